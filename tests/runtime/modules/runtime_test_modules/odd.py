"""Hooks, tools, a provider and an orchestrator with unexpected behaviour."""

import asyncio
import sys
from typing import Any

from amplifier_core import ChatRequest, ChatResponse, HookResult, Message, ToolResult


async def hooks(coordinator: Any, config: dict[str, Any]) -> None:
    """Registers a hook for each event of `config`, which returns these fields or `raises` the named exception."""
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
    """A tool whose behaviour is its name."""

    input_schema = {"type": "object"}

    def __init__(self, name: str) -> None:
        self.name = self.description = name

    async def execute(self, input: dict[str, Any]) -> Any:
        return await getattr(self, f"_{self.name}")()

    async def _stubborn(self) -> ToolResult:
        """Suppresses its cancellation."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return ToolResult(output="went on")
        return ToolResult()

    async def _exit(self) -> ToolResult:
        sys.exit(3)

    async def _garbled(self) -> ToolResult:
        """Returns characters of a file name that is not UTF-8, and of a binary file."""
        return ToolResult(output="half \udcff and NUL \0.")

    async def _long(self) -> ToolResult:
        """Returns more than followers receive of an event."""
        return ToolResult(output="long " * 2000)

    async def _flood(self) -> ToolResult:
        """Returns more than an agent receives of a transcript."""
        return ToolResult(output="flood " * 2_000_000)


async def tools(coordinator: Any, config: dict[str, Any]) -> None:
    for name in ("stubborn", "exit", "garbled", "long", "flood"):
        await coordinator.mount("tools", Tool(name), name=name)


class Stubborn:
    """A provider that calls a tool in every answer, and answers when it is cancelled."""

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
    """An orchestrator of another package. With `orphan` its last message contains a call without result."""

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
