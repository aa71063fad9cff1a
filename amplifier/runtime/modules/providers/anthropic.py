"""The provider for Anthropic's messages API."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

from amplifier_core import ConfigurationError, ModuleCoordinator
from amplifier_core.message_models import ChatRequest

from amplifier.runtime.modules.providers import (
    anthropic_cache,
    anthropic_messages,
    anthropic_stream,
    base,
    clients,
    failures,
)
from amplifier.runtime.modules.providers.base import Answer, HttpProvider
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.messages import chosen_tool, option
from amplifier.runtime.modules.providers.names import Names
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
        names = Names(tool.name for tool in request.tools or ())
        system, messages = anthropic_messages.convert(request.messages, names, self._options.vision)
        called = [] if request.tools else anthropic_messages.describe_called(names)
        tools = anthropic_messages.convert_tools(request.tools or [], names) or called
        anthropic_cache.mark(tools, system, messages, self._options.cache)
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
            "tools": tools or None,
            "tool_choice": {"type": "none"} if called else choice and anthropic_messages.convert_choice(choice, names),
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
        """Reads the answer, as `anthropic_stream.read` describes."""
        return await anthropic_stream.read(events, blocks, source)


def _output(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None or wanted.type != "json_schema":
        return None
    schema = wanted.json_schema.get("schema", wanted.json_schema)
    return {"format": {"type": "json_schema", "schema": schema}}
