"""The orchestrator for `loop-basic` and `loop-streaming`: calls the provider and its tools until it answers.

Tools are executed in `tools.py`, requests are made in `model_requests.py`, and `endings.py` says which answers fail.
"""

from typing import Any

from amplifier_core import ChatResponse, ConfigurationError
from pydantic_core import to_jsonable_python

from amplifier.runtime.hooks import KEPT, Hooks
from amplifier.runtime.modules.endings import Endings
from amplifier.runtime.modules.model_requests import Requests
from amplifier.runtime.modules.tools import Toolbox
from amplifier.transcripts.parts import Message

_NAME = "loop-streaming"
_MOST_ROUNDS, _ROUNDS = 500, 50
_PRIORITY = 100  # of a provider without one; the lowest comes first
_FINISH = (
    "<system-reminder>The limit of rounds with tools is reached. Call no more tools: answer with what there is, and "
    "say what is missing.</system-reminder>"
)


async def mount(coordinator: Any, config: dict[str, Any]) -> None:
    """Mounts the orchestrator. Raises ValueError for an invalid `max_iterations` or `default_provider`."""
    await coordinator.mount("orchestrator", Loop(config))


class Loop:
    """Executes turns. Keeps no state between turns."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        config = config or {}
        self._rounds = _rounds(config.get("max_iterations"))
        self._provider = _provider(config.get("default_provider"))
        thinking = config.get("extended_thinking")
        self._options = {"extended_thinking": thinking} if thinking else {}

    async def execute(
        self,
        prompt: str,
        context: Any,
        providers: dict[str, Any],
        tools: dict[str, Any],
        hooks: Any,
        coordinator: Any = None,
        **_: Any,
    ) -> str:
        """Executes a turn and returns the text of the answer.

        Raises ConfigurationError if the provider is not mounted, and the errors of the provider, which end the turn.
        """
        name = self._choose(providers)
        turn = _Turn(context, name, providers[name], list(tools.values()), Hooks(hooks, coordinator), coordinator)
        turn.options = self._options
        return await turn.run(prompt, self._rounds)

    def _choose(self, providers: dict[str, Any]) -> str:
        if not providers:
            raise ConfigurationError("none of the config's providers was mounted")
        if self._provider is None:
            return min(providers, key=lambda name: _priority(providers[name]))
        for name in (self._provider, self._provider.removeprefix("provider-")):
            if name in providers:
                return name
        raise ConfigurationError(f"default_provider {self._provider[:200]!r} is none of: {', '.join(providers)}")


class _Turn:
    def __init__(
        self, context: Any, name: str, provider: Any, tools: list[Any], hooks: Hooks, coordinator: Any
    ) -> None:
        self._context, self._name, self._provider = context, name, provider
        self._hooks, self._coordinator = hooks, coordinator
        kept = None if coordinator is None else coordinator.get_capability(KEPT)
        self._toolbox, self._requests = Toolbox(tools, hooks), Requests(tools, kept)
        self._endings = Endings(name)
        self._count, self._status = 0, "success"
        self.options: dict[str, Any] = {}

    async def run(self, prompt: str, rounds: int) -> str:
        asked = await self._hooks.ask("prompt:submit", {"prompt": prompt})
        if asked.denied is not None:
            self._status = "denied"
            return await self._end(asked.denied or "Denied")
        await self._hooks.emit("execution:start", {"prompt": prompt})
        try:
            await self._context.add_message({"role": "user", "content": asked.data.get("prompt", prompt)})
            answer = await self._until_answered(rounds)
        except Exception:
            self._status = "error"
            await self._end("")
            raise
        return await self._end(answer)

    async def _end(self, answer: str) -> str:
        if self._status != "denied" or self._count:
            await self._hooks.emit("execution:end", {"response": answer, "status": self._status})
        ended = {"orchestrator": _NAME, "turn_count": self._count, "status": self._status}
        await self._hooks.emit("orchestrator:complete", ended)
        return answer

    async def _until_answered(self, rounds: int) -> str:
        text = paused = ""
        while True:
            if self._coordinator is not None and self._coordinator.cancellation.is_cancelled:
                self._status = "cancelled"
                return text
            last = self._count >= rounds
            self._count += 1
            asked = await self._hooks.ask("provider:request", {"provider": self._name, "iteration": self._count})
            if asked.denied is not None:
                self._status = "denied"
                return await self._say(asked.denied or "Denied")
            text, calls, reason = await self._answer(last)
            if reason == "pause_turn" and not calls and not last:
                paused += text  # the provider continues the answer when it gets it back
            elif not calls:
                return paused + text
            for message in await self._toolbox.run(calls):
                await self._context.add_message(message)
            await self._hooks.settle()

    async def _answer(self, last: bool) -> tuple[str, list[Any], str | None]:
        """Adds the next answer of the model. Returns its text, the calls to execute and the reason of its end."""
        response = await self._request(last)
        calls = [] if last else list(self._provider.parse_tool_calls(response) or [])
        blocks = [_dump(block) for block in response.content]
        reason = self._endings.check(response, _text(blocks), calls)
        return await self._record(response, blocks, calls, reason), calls, reason

    async def _request(self, last: bool) -> ChatResponse:
        messages = await self._context.get_messages_for_request(provider=self._provider)
        if last:
            self._status = "incomplete"
            messages = [*messages, {"role": "user", "content": _FINISH}]
        request = self._requests.request(messages, self._hooks.take_notes(), last)
        response: ChatResponse = await self._provider.complete(request, **self.options)
        await self._show(response)
        return response

    async def _show(self, response: ChatResponse) -> None:
        """Emits the events of every block. A streaming provider has shown the texts before."""
        if not (self._hooks.has("content_block:start") or self._hooks.has("content_block:end")):
            return
        blocks = [_dump(block) for block in response.content]
        for index, block in enumerate(blocks):
            shown = {"block_type": block["type"], "block_index": index, "total_blocks": len(blocks)}
            await self._hooks.emit("content_block:start", shown)
            await self._hooks.emit("content_block:end", {**shown, "block": block})

    async def _record(
        self, response: ChatResponse, blocks: list[dict[str, Any]], calls: list[Any], reason: str | None
    ) -> str:
        """Adds the assistant's message and returns its text. Calls that are not executed are left out of it."""
        text = _text(blocks)
        if not calls:
            blocks = [block for block in blocks if block["type"] != "tool_call"]
        plain = all(block["type"] == "tool_call" or block.keys() <= {"type", "text"} for block in blocks)
        message: Message = {"role": "assistant", "content": text if plain else blocks}
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        metadata = (response.metadata or {}) | ({"finish_reason": reason} if reason else {})
        if metadata:
            message["metadata"] = to_jsonable_python(metadata)
        await self._context.add_message(message)
        return text

    async def _say(self, text: str) -> str:
        await self._context.add_message({"role": "assistant", "content": text})
        return text


def _text(blocks: list[dict[str, Any]]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _call(call: Any) -> dict[str, Any]:
    """Returns a call in its stored form, with what its provider needs to get back."""
    extra = getattr(call, "extra_content", None)
    known = {"id": call.id, "tool": call.name, "arguments": call.arguments}
    return known if extra is None else known | {"extra_content": extra}


def _dump(block: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = block.model_dump(mode="json", exclude_none=True)
    return dumped


def _priority(provider: Any) -> float:
    priority = getattr(provider, "priority", None)
    return priority if isinstance(priority, int | float) else _PRIORITY


def _provider(given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise ValueError("default_provider must be the name of a provider")
    return given


def _rounds(given: Any) -> int:
    if given is None:
        return _ROUNDS
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _MOST_ROUNDS:
        raise ValueError(f"max_iterations must be a whole number from 1 to {_MOST_ROUNDS}")
    return given
