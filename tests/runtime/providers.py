"""Mounts providers against the stub of the model APIs and collects their events."""

import contextlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from amplifier_core import HookResult, ModuleCoordinator
from amplifier_core.message_models import ChatRequest, ChatResponse, Message, ToolSpec
from amplifier_core.testing import MockCoordinator

from amplifier.runtime.modules.providers import anthropic, echo, openai
from tests.support.llm import Stub

MODULES: dict[str, ModuleType] = {"openai": openai, "anthropic": anthropic, "echo": echo}
APIS = ("openai", "anthropic")
KEY = "sk-test-0123456789abcdef"
EVENTS = ("llm:request", "llm:response", "llm:stream_block_start", "llm:stream_block_end", "llm:stream_aborted")
DELTA = "llm:stream_block_delta"


class Mounted:
    """A mounted provider with its events in order, of hooks and of the live capability."""

    def __init__(self, coordinator: ModuleCoordinator, name: str, events: list[tuple[str, dict[str, Any]]]) -> None:
        self.provider = coordinator.get("providers", name)
        self.events = events

    async def ask(
        self, *messages: str | dict[str, Any], tools: list[ToolSpec] | None = None, **more: Any
    ) -> ChatResponse:
        """Returns the answer to the messages. A text is a user's message."""
        dicts = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        request = ChatRequest(messages=[Message(**one) for one in dicts], tools=tools, **more)
        response: ChatResponse = await self.provider.complete(request)
        return response

    def of(self, event: str) -> list[dict[str, Any]]:
        """Returns the data of the events with this name."""
        return [data for name, data in self.events if name == event]

    def deltas(self, kind: str = "text") -> list[str]:
        """Returns the texts of the deltas of this kind."""
        return [data["text"] for data in self.of(DELTA) if data["block_type"] == kind]


@contextlib.asynccontextmanager
async def mounted(name: str, stub: Stub | None = None, live: bool = True, **config: Any) -> AsyncIterator[Mounted]:
    """Mounts the provider `name`, without retries unless the config sets them."""
    coordinator = MockCoordinator()
    events: list[tuple[str, dict[str, Any]]] = []

    async def keep(event: str, data: dict[str, Any]) -> HookResult:
        events.append((event, data))
        return HookResult(action="continue")

    for event in EVENTS if live else (*EVENTS, DELTA):
        coordinator.hooks.register(event, keep)
    if live:
        coordinator.register_capability("amplifier.live", lambda event, data: events.append((event, data)))
    if stub is not None:
        url = stub.openai_url if name == "openai" else stub.anthropic_url
        config = {"api_key": KEY, "base_url": url, "model": "model-1", "max_retries": 0} | config
    cleanup = await MODULES[name].mount(coordinator, config)
    try:
        yield Mounted(coordinator, name, events)
    finally:
        if cleanup is not None:
            await cleanup()


async def sent(stub: Stub, api: str, *messages: Any, config: dict[str, Any] | None = None, **more: Any) -> Any:
    """Sends the messages and returns the body that the API received, without marks of the prompt cache by default."""
    async with mounted(api, stub, **({"cache": False} | (config or {}))) as one:
        await one.ask(*messages, **more)
    return stub.requests[-1].body
