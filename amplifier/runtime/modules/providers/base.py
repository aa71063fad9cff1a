"""The base of providers with an HTTP API: sends a request, streams the answer, and translates errors.

The format of each API is in the module of its provider.
"""

import asyncio
import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any, NamedTuple

import httpx2
import msgspec
from amplifier_core import ModelInfo, ModuleCoordinator, ProviderInfo
from amplifier_core.message_models import ChatRequest, ChatResponse, ToolCall, Usage

from amplifier.runtime.hooks import show_and_emit
from amplifier.runtime.modules.providers import clients, failures, sse
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.names import Names
from amplifier.runtime.modules.providers.options import Options

_DRAIN = 0.1  # seconds to wait for the end of a complete response, so that its connection can be reused


class Answer(NamedTuple):
    """The properties of an answer besides its blocks."""

    usage: Usage | None
    finish_reason: str | None


class HttpProvider(ABC):
    """Implements the Provider protocol of amplifier-core with the client of an SDK."""

    name: str
    display_name: str
    path: str

    def __init__(self, coordinator: ModuleCoordinator, options: Options, client: Any, sdk: Any) -> None:
        self._coordinator, self._options, self._client, self._sdk = coordinator, options, client, sdk
        self.priority = options.priority  # orchestrators take the provider with the lowest

    @staticmethod
    @abstractmethod
    def connect(options: Options, sdk: Any) -> Any:
        """Returns a client of the SDK."""

    @abstractmethod
    def body(self, request: ChatRequest, model: str, more: dict[str, Any]) -> dict[str, Any]:
        """Returns the body of the HTTP request. `more` holds the options of the call."""

    @abstractmethod
    async def read(self, events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
        """Reads events into `blocks` until the answer is complete. Raises errors of amplifier-core."""

    def get_info(self) -> ProviderInfo:
        """Returns the description of the provider, with the defaults that context managers read."""
        known = {
            "model": self._options.model,
            "context_window": self._options.context_window,
            "max_output_tokens": self._options.max_tokens,
        }
        defaults = {key: value for key, value in known.items() if value is not None}
        capabilities = ["streaming", "tools", *(["vision"] if self._options.vision else [])]
        return ProviderInfo(id=self.name, display_name=self.display_name, capabilities=capabilities, defaults=defaults)

    async def list_models(self) -> list[ModelInfo]:
        """Returns the configured model if its context window is configured, else an empty list."""
        options = self._options
        if options.context_window is None:
            return []
        most = options.max_tokens or options.context_window
        model, window = options.model, options.context_window
        return [ModelInfo(id=model, display_name=model, context_window=window, max_output_tokens=most)]

    def parse_tool_calls(self, response: ChatResponse) -> list[ToolCall]:
        """Returns the calls in a response."""
        return response.tool_calls or []

    async def complete(self, request: ChatRequest, **kwargs: Any) -> ChatResponse:
        """Sends a request, shows the answer while it arrives, and returns it.

        Raises the errors of `amplifier_core.llm_errors`. Cancelling the task closes the connection.
        """
        model = str(kwargs.get("model") or request.model or self._options.model)
        source = failures.Source(self.name, model, self._options.secrets(), self._sdk)
        names = Names(tool.name for tool in request.tools or ()).changed()
        blocks = Blocks(self._coordinator, (request.metadata or {}).get("stream") is False, names)
        body = msgspec.json.encode(self.body(request, model, kwargs))
        asked = {"provider": self.name, "model": model, "message_count": len(request.messages)}
        await show_and_emit(self._coordinator, self._coordinator.hooks, "llm:request", asked)
        started = time.perf_counter()
        failure = None
        try:
            answer = await self._exchange(body, blocks, source)
        except Exception as error:
            failure = failures.translate(error, source)
        if failure is not None:
            await blocks.abort(str(failure))
            raise failure  # outside of the handler: the SDK's error, which may contain secrets, would be chained
        response = blocks.response(answer.usage, answer.finish_reason)
        usage = None if answer.usage is None else answer.usage.model_dump(exclude_none=True)
        duration = round((time.perf_counter() - started) * 1000)
        said = {"provider": self.name, "model": model, "usage": usage, "duration_ms": duration}
        await show_and_emit(self._coordinator, self._coordinator.hooks, "llm:response", said)
        return response

    async def _exchange(self, body: bytes, blocks: Blocks, source: failures.Source) -> Answer:
        """Sends the body and reads the answer. The SDK authenticates, and retries until the answer begins."""
        response = await self._client.post(
            self.path,
            content=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=self._sdk.AsyncStream[Any],
            options={"max_retries": self._options.max_retries, "timeout": clients.TIMEOUT},
        )
        try:
            events = sse.data(response)
            answer = await self.read(events, blocks, source)
            await blocks.end_all()
            with contextlib.suppress(TimeoutError, httpx2.HTTPError):
                async with asyncio.timeout(_DRAIN):
                    async for _ in events:
                        pass
            return answer
        finally:
            await response.aclose()


_pool: clients.Pool[Any] = clients.Pool()


async def mount(
    coordinator: ModuleCoordinator, kind: type[HttpProvider], options: Options, warm: Callable[[], ModuleType]
) -> Callable[[], Awaitable[None]]:
    """Mounts a provider with an SDK that `warm` imports. Returns the function that gives its client back."""
    sdk = warm() if kind.name in sys.modules else await asyncio.to_thread(warm)  # importing would block the event loop
    key = (kind.name, options.identity())
    provider = kind(coordinator, options, _pool.take(key, lambda: kind.connect(options, sdk)), sdk)
    taken = [key]

    async def cleanup() -> None:
        if taken:
            await _pool.give_back(taken.pop())

    try:
        await coordinator.mount("providers", provider, name=kind.name)
    except BaseException:
        await cleanup()
        raise
    return cleanup
