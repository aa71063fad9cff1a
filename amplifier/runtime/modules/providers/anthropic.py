"""The provider for Anthropic's messages API."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import msgspec
from amplifier_core import ConfigurationError, ModuleCoordinator
from amplifier_core.message_models import ChatRequest, Usage

from amplifier.runtime.modules.providers import anthropic_messages, base, clients, failures
from amplifier.runtime.modules.providers.base import Answer, HttpProvider
from amplifier.runtime.modules.providers.blocks import Block, Blocks
from amplifier.runtime.modules.providers.messages import chosen_tool, option
from amplifier.runtime.modules.providers.options import Options, read

_BASE_URL = "https://api.anthropic.com"
API_VERSION = "2026-10-21"  # the version whose events this module reads
_MAX_TOKENS = 8192  # the API demands a limit
_LEAST_BUDGET = 1024


@functools.cache
def warm() -> ModuleType:
    """Imports and returns the SDK. Takes almost a second: call it in a thread, before the first session."""
    import anthropic

    clients.tls()
    return anthropic


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> Callable[[], Awaitable[None]]:
    """Mounts the provider. Returns the function that gives its client back. Raises ConfigurationError."""
    options = read("anthropic", _BASE_URL, config)
    _check_thinking(options)
    return await base.mount(coordinator, AnthropicProvider, options, warm)


def _check_thinking(options: Options) -> None:
    if options.thinking is None:
        return
    budget = options.thinking.get("budget_tokens")
    if type(budget) is not int or not _LEAST_BUDGET <= budget < (options.max_tokens or _MAX_TOKENS):
        text = f"`thinking.budget_tokens` must be a number from {_LEAST_BUDGET} on and below `max_tokens`"
        raise ConfigurationError(f"provider-anthropic: {text}", provider="anthropic")


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Content(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class _Details(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Content | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_KINDS = {"text": "text", "thinking": "thinking", "redacted_thinking": "redacted", "tool_use": "tool_call"}


class AnthropicProvider(HttpProvider):
    """Sends messages, always as a stream."""

    name = "anthropic"
    display_name = "Anthropic"
    path = "/v1/messages"

    @staticmethod
    def connect(options: Options, sdk: Any) -> Any:
        """Returns a client that sends only what the options contain."""
        make = functools.partial(sdk.AsyncAnthropic, open_telemetry=False)
        return clients.connect(options, make, {"anthropic-version": API_VERSION})

    def body(self, request: ChatRequest, model: str, more: dict[str, Any]) -> dict[str, Any]:
        """Returns the body of the HTTP request. `more` holds the options of the call."""
        system, messages = anthropic_messages.convert(request.messages)
        choice = option(request, more, "tool_choice") if request.tools else None
        most = option(request, more, "max_output_tokens", self._options.max_tokens or _MAX_TOKENS)
        thinking = self._thinking(most, choice)
        known = {
            "max_tokens": most,
            "system": system or None,
            "messages": messages,
            "thinking": thinking,
            "temperature": None if thinking else option(request, more, "temperature", self._options.temperature),
            "top_p": option(request, more, "top_p"),
            "stop_sequences": option(request, more, "stop"),
            "tools": anthropic_messages.convert_tools(request.tools) if request.tools else None,
            "tool_choice": None if choice is None else anthropic_messages.convert_choice(choice),
            "output_config": _output(request),
        }
        given = {key: value for key, value in known.items() if value is not None}
        return {"model": model, **given, "stream": True}

    def _thinking(self, most: int, choice: Any) -> dict[str, Any] | None:
        """Returns the option for thinking.

        Returns None if the API would refuse it: its budget is not below the limit of tokens, or a tool must be called.
        """
        if self._options.thinking is None or (choice is not None and chosen_tool(choice) not in ("auto", "none")):
            return None
        budget = self._options.thinking["budget_tokens"]
        return {"type": "enabled", "budget_tokens": budget} if budget < most else None

    async def read(self, events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
        """Reads events up to `message_stop`. Raises StreamError if the answer ends without it."""
        reason: str | None = None
        counted = _Usage()
        grown: dict[int, Block] = {}
        async for data in events:
            event = _decode(data)
            if event.type == "content_block_delta" and event.delta is not None:
                if event.index in grown:
                    await _grow(blocks, grown[event.index], event.delta)
            elif event.type == "content_block_start" and event.content_block is not None:
                await _begin(blocks, grown, event.index, event.content_block)
            elif event.type == "content_block_stop" and event.index in grown:
                await blocks.end(grown[event.index])
            elif event.type == "message_start" and event.message is not None:
                counted = event.message.usage or counted
            elif event.type == "message_delta":
                reason = event.delta.stop_reason if event.delta is not None else reason
                counted = _newer(counted, event.usage)
            elif event.type == "message_stop":
                return Answer(_usage(counted), reason)
            elif event.type == "error":
                raise failures.of_event({"error": event.error}, source)
        raise failures.broken(source, "it has no end")


async def _begin(blocks: Blocks, grown: dict[int, Block], index: int, content: _Content) -> None:
    """Begins a block of a known type. Blocks of the API's own tools are left out."""
    kind = _KINDS.get(content.type)
    if kind is None:
        return
    identifier = blocks.fresh_id(content.id) if kind == "tool_call" else ""
    block = grown[index] = await blocks.begin(kind, identifier, content.name)
    block.signatures.append(content.signature)
    if kind == "redacted":
        block.parts.append(content.data)
    first = content.text or content.thinking or (msgspec.json.encode(content.input).decode() if content.input else "")
    if first:
        await blocks.grow(block, first)


async def _grow(blocks: Blocks, block: Block, delta: _Delta) -> None:
    if delta.signature:
        block.signatures.append(delta.signature)
    text = delta.text or delta.partial_json or delta.thinking
    if text:
        await blocks.grow(block, text)


def _newer(before: _Usage, after: _Usage | None) -> _Usage:
    """Returns the counts at the end of an answer, with those from its start where they are missing at the end."""
    if after is None:
        return before
    names = _Usage.__struct_fields__
    return _Usage(*(getattr(before if getattr(after, name) is None else after, name) for name in names))


def _usage(counted: _Usage) -> Usage | None:
    """Returns the counts as OpenAI defines them: the input includes tokens read from and written to the cache."""
    if counted.input_tokens is None and counted.output_tokens is None:
        return None
    read, written = counted.cache_read_input_tokens, counted.cache_creation_input_tokens
    given = (counted.input_tokens or 0) + (read or 0) + (written or 0)
    made = counted.output_tokens or 0
    details = counted.output_tokens_details
    return Usage(
        input_tokens=given,
        output_tokens=made,
        total_tokens=given + made,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=None if details is None else details.thinking_tokens,
    )


def _output(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None or wanted.type != "json_schema":
        return None
    schema = wanted.json_schema.get("schema", wanted.json_schema)
    return {"format": {"type": "json_schema", "schema": schema}}
