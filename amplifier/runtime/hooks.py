"""Emits events to the hooks of a session and carries out their decisions.

The hooks themselves are modules of the config; the events that followers receive are selected in `run_events.py`.
"""

from typing import Any, NamedTuple

from amplifier_core import HookResult

SHOW = "amplifier.show"  # the capability that shows an event to followers of the run: a function of event and data
FEED = "feed "  # prefix of the handlers that show the events of modules which do not use the capability
KEPT = "amplifier.models"  # the capability with `History.models`
ALREADY_SHOWN = "amplifier.told"  # key in the data of an event that was shown already


async def show_and_emit(coordinator: Any, registry: Any, event: str, data: dict[str, Any]) -> HookResult | None:
    """Shows an event to followers, and emits it if a hook listens: emitting takes amplifier-core 0.1 to 0.3 ms.

    Returns the result of the hooks, or None if none listens.
    """
    show = coordinator.get_capability(SHOW) if coordinator is not None else None
    names = registry.list_handlers(event).get(event) or ()
    if show is not None:
        show(event, data)
        names = [name for name in names if not name.startswith(FEED)]
        data = {**data, ALREADY_SHOWN: True}
    return await registry.emit(event, data) if names else None


class Decision(NamedTuple):
    """The decision of the hooks: `denied` is the reason for a denial, else None; `data` is the event's changed data."""

    denied: str | None
    data: dict[str, Any]


class Hooks:
    """The hooks during one turn, with the notes that they add to the next request and to no other."""

    def __init__(self, registry: Any, coordinator: Any) -> None:
        self._registry, self._coordinator = registry, coordinator
        self._waiting: list[tuple[HookResult, str]] = []
        self._notes: list[Any] = []

    def has(self, event: str) -> bool:
        """Returns whether a handler is registered for the event."""
        return bool(self._registry.list_handlers(event).get(event))

    async def emit(self, event: str, data: dict[str, Any]) -> None:
        """Emits an event and ignores the result of the hooks."""
        await show_and_emit(self._coordinator, self._registry, event, data)

    async def ask(self, event: str, data: dict[str, Any]) -> Decision:
        """Emits an event and carries out what the hooks decide, for example asks the user.

        Messages that hooks add on an event of a tool wait until `settle`, because a result must follow its call
        directly.
        """
        result = await show_and_emit(self._coordinator, self._registry, event, data)
        if result is None:
            return Decision(None, data)
        changed = result.data if isinstance(result.data, dict) else data
        if result.action == "inject_context" and event.startswith("tool:"):
            self._waiting.append((result, event))
            return Decision(None, changed)
        result = await self._process(result, event)
        return Decision((result.reason or "") if result.action == "deny" else None, changed)

    async def settle(self) -> None:
        """Adds the messages that waited until the results of the calls were in the context."""
        waiting, self._waiting = self._waiting, []
        for result, event in waiting:
            await self._process(result, event)

    def take_notes(self) -> list[Any]:
        """Returns the notes for the next request and forgets them."""
        notes, self._notes = self._notes, []
        return notes

    async def _process(self, result: HookResult, event: str) -> HookResult:
        plain = result.action in ("continue", "modify") and not result.user_message
        if self._coordinator is None or plain:
            return result
        result = await self._coordinator.process_hook_result(result, event, "orchestrator")
        if result.action == "inject_context":
            self._notes += [one for one in result.context_injections if one.ephemeral and one.content]
        return result
