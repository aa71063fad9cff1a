"""The provider for OpenAI's chat completions API and compatible servers, including Azure OpenAI."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import httpx2
import msgspec
from amplifier_core import ModuleCoordinator
from amplifier_core.message_models import ChatRequest, Usage

from amplifier.runtime.modules.providers import base, clients, failures, openai_messages
from amplifier.runtime.modules.providers.base import Answer, HttpProvider
from amplifier.runtime.modules.providers.blocks import Block, Blocks
from amplifier.runtime.modules.providers.messages import option
from amplifier.runtime.modules.providers.options import Options, read

_BASE_URL = "https://api.openai.com/v1"
_OWN_HOSTS = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


@functools.cache
def warm() -> ModuleType:
    """Imports and returns the SDK. Takes half a second: call it in a thread, before the first session."""
    import openai
    import openai.resources.chat

    clients.tls()
    return openai


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> Callable[[], Awaitable[None]]:
    """Mounts the provider. Returns the function that gives its client back. Raises ConfigurationError."""
    options = read("openai", _BASE_URL, config)
    return await base.mount(coordinator, OpenAIProvider, options, warm)


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class OpenAIProvider(HttpProvider):
    """Sends chat completions, always as a stream."""

    name = "openai"
    display_name = "OpenAI"
    path = "/chat/completions"

    @staticmethod
    def connect(options: Options, sdk: Any) -> Any:
        """Returns a client that sends only what the options contain."""
        return clients.connect(options, sdk.AsyncOpenAI, {})

    def body(self, request: ChatRequest, model: str, more: dict[str, Any]) -> dict[str, Any]:
        """Returns the body of the HTTP request. `more` holds the options of the call."""
        own = f".{httpx2.URL(self._options.base_url).host}".endswith(_OWN_HOSTS)
        limit = "max_completion_tokens" if own else "max_tokens"  # OpenAI's newer models refuse the old name
        known = {
            "messages": openai_messages.convert(request.messages, own),
            limit: option(request, more, "max_output_tokens", self._options.max_tokens),
            "temperature": option(request, more, "temperature", self._options.temperature),
            "top_p": option(request, more, "top_p"),
            "stop": option(request, more, "stop"),
            "reasoning_effort": option(request, more, "reasoning_effort"),
            "response_format": openai_messages.convert_format(request.response_format)
            if request.response_format
            else None,
        }
        if request.tools:
            choice = option(request, more, "tool_choice")
            known["tools"] = openai_messages.convert_tools(request.tools)
            known["tool_choice"] = None if choice is None else openai_messages.convert_choice(choice)
        given = {key: value for key, value in known.items() if value is not None}
        return {"model": model, **given, "stream": True, "stream_options": {"include_usage": True}}

    async def read(self, events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
        """Reads chunks up to `[DONE]`. Raises StreamError if the answer ends without a finish reason."""
        reason: str | None = None
        usage: Usage | None = None
        calls = _Calls(blocks)
        async for data in events:
            if data == b"[DONE]":
                break
            chunk = _decode(data)
            if chunk.error:
                raise failures.of_event({"error": chunk.error}, source)
            if chunk.usage is not None:
                usage = _usage(chunk.usage)
            for choice in chunk.choices or ():
                if choice.delta is not None and choice.index == 0:
                    await _grow(choice.delta, blocks, calls)
                reason = choice.finish_reason or reason
        if reason is None:
            raise failures.broken(source, "it has no end")
        return Answer(usage, reason)


async def _grow(delta: _Delta, blocks: Blocks, calls: "_Calls") -> None:
    if delta.content and isinstance(delta.content, str):
        await blocks.write("text", delta.content)
    thought = delta.reasoning_content or delta.reasoning
    if thought and isinstance(thought, str):
        await blocks.write("thinking", thought)
    if delta.refusal and isinstance(delta.refusal, str):
        await blocks.write("text", delta.refusal)
    for call in delta.tool_calls or ():
        await calls.grow(call)


class _Calls:
    """The calls of an answer, by the index of the API. Some servers send complete calls with index 0 or no index."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._open: dict[int, tuple[str | None, Block]] = {}

    async def grow(self, call: _Call) -> None:
        index = call.index or 0
        known = self._open.get(index)
        function = call.function or _Function()
        if known is None or (call.id and call.id != known[0]):
            block = await self._begin(call.id, function.name or "")
            self._open[index] = (call.id, block)
        else:
            block = known[1]
        text = function.arguments
        if text:
            await self._blocks.grow(block, text if isinstance(text, str) else msgspec.json.encode(text).decode())

    async def _begin(self, given: str | None, name: str) -> Block:
        if self._blocks.all and self._blocks.all[-1].kind != "tool_call":
            await self._blocks.end(self._blocks.all[-1])
        return await self._blocks.begin("tool_call", self._blocks.fresh_id(given), name)


def _usage(usage: _Usage) -> Usage:
    given, made = usage.prompt_tokens_details or _Details(), usage.completion_tokens_details or _Details()
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        cache_read_tokens=given.cached_tokens,
        reasoning_tokens=made.reasoning_tokens,
    )
