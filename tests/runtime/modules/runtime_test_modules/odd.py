"""Hooks, tools, a provider and an orchestrator that do what nobody expects."""

import asyncio
import sys
from typing import Any

from amplifier_core import ChatRequest, ChatResponse, HookResult, Message, ToolResult


async def hooks(coordinator: Any, config: dict[str, Any]) -> None:
    """For each event of the config what its hook answers, or that it `raises` the exception of that name."""
    for event, given in config.items():

        async def answer(event: str, data: dict[str, Any], given: dict[str, Any] = given) -> HookResult:
            if "raises" in given:
                raise _EXCEPTIONS[given["raises"]]
            return HookResult(**given)

        coordinator.hooks.register(event, answer, name=f"odd {event}")


_EXCEPTIONS: dict[str, BaseException] = {
    "cancelled": asyncio.CancelledError(),
    "error": LookupError("a hook failed"),
}


class Tool:
    """What it does is its name."""

    input_schema = {"type": "object"}

    def __init__(self, name: str) -> None:
        self.name = self.description = name

    async def execute(self, input: dict[str, Any]) -> Any:
        return await getattr(self, f"_{self.name}")()

    async def _stubborn(self) -> ToolResult:
        """Does not care that it is cancelled."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return ToolResult(output="went on")
        return ToolResult()

    async def _exit(self) -> ToolResult:
        sys.exit(3)

    async def _garbled(self) -> ToolResult:
        """What a file name can have that is not UTF-8, and a file that is not text."""
        return ToolResult(output="half \udcff and NUL \0.")

    async def _long(self) -> ToolResult:
        """More than a follower is shown of an event."""
        return ToolResult(output="long " * 2000)

    async def _flood(self) -> ToolResult:
        """More than an agent is shown of a transcript."""
        return ToolResult(output="flood " * 2_000_000)


async def tools(coordinator: Any, config: dict[str, Any]) -> None:
    for name in ("stubborn", "exit", "garbled", "long", "flood"):
        await coordinator.mount("tools", Tool(name), name=name)


class Stubborn:
    """A provider that calls a tool for ever, and answers also when it is cancelled."""

    name = "stubborn"
    asked = 0

    async def complete(self, request: ChatRequest, **options: Any) -> ChatResponse:
        Stubborn.asked += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return ChatResponse(content=[], tool_calls=[{"id": f"c{self.asked}", "name": "garbled", "arguments": {}}])
        raise AssertionError

    def parse_tool_calls(self, response: ChatResponse) -> list[Any]:
        return response.tool_calls or []


async def provider(coordinator: Any, config: dict[str, Any]) -> None:
    await coordinator.mount("providers", Stubborn(), name="stubborn")


class Loop:
    """Somebody else's orchestrator; with `orphan` it ends behind calls that it does not answer."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._orphan = config.get("orphan", False)

    async def execute(
        self, prompt: str, context: Any, providers: Any, tools: Any, hooks: Any, coordinator: Any = None
    ) -> str:
        await context.add_message({"role": "user", "content": prompt})
        [provider] = providers.values()
        messages = [Message(**message) for message in await context.get_messages_for_request()]
        response = await provider.complete(ChatRequest(messages=messages))
        text = "".join(block.text for block in response.content if block.type == "text")
        message: dict[str, Any] = {"role": "assistant", "content": [block.model_dump() for block in response.content]}
        if self._orphan:
            message["tool_calls"] = [{"id": "c", "tool": "say", "arguments": {}}]
        await context.add_message(message)
        await hooks.emit("orchestrator:complete", {"orchestrator": "theirs", "turn_count": 1, "status": "success"})
        return text


async def loop(coordinator: Any, config: dict[str, Any]) -> None:
    await coordinator.mount("orchestrator", Loop(config))
