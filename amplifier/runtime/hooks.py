"""Asks the hooks of a session: emits only what somebody listens to, and does what they decide."""

from typing import Any, NamedTuple

from amplifier_core import HookResult


class Decision(NamedTuple):
    """What the hooks decided: `denied` is the reason, none if they did not; `data` is the event as they changed it."""

    denied: str | None
    data: dict[str, Any]


class Hooks:
    """The hooks during one turn. `notes` are what they add to the next request, and to no other."""

    def __init__(self, registry: Any, coordinator: Any) -> None:
        self._registry, self._coordinator = registry, coordinator
        self._waiting: list[tuple[HookResult, str]] = []
        self._notes: list[Any] = []

    def has(self, event: str) -> bool:
        """Whether somebody listens; an event costs 0.1 ms also when nobody does."""
        return bool(self._registry.list_handlers(event).get(event))

    async def emit(self, event: str, data: dict[str, Any]) -> None:
        """Tells it; what the hooks answer does not matter."""
        if self.has(event):
            await self._registry.emit(event, data)

    async def ask(self, event: str, data: dict[str, Any]) -> Decision:
        """Tells it and does what the hooks want, as asking a user.

        Messages that they add wait until `settle` if the event is about a tool: between a call and its result nothing
        may come.
        """
        if not self.has(event):
            return Decision(None, data)
        result = await self._registry.emit(event, data)
        changed = result.data if isinstance(result.data, dict) else data
        if result.action == "inject_context" and event.startswith("tool:"):
            self._waiting.append((result, event))
            return Decision(None, changed)
        result = await self._process(result, event)
        return Decision((result.reason or "") if result.action == "deny" else None, changed)

    async def settle(self) -> None:
        """Adds the messages that waited: the results of the calls are there."""
        waiting, self._waiting = self._waiting, []
        for result, event in waiting:
            await self._process(result, event)

    def take_notes(self) -> list[Any]:
        """What the next request gets; the one after it does not."""
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
