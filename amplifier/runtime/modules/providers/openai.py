"""The provider for OpenAI's chat completions API and compatible servers, including Azure OpenAI."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import httpx2
from amplifier_core import ModuleCoordinator
from amplifier_core.message_models import ChatRequest

from amplifier.runtime.modules.providers import base, clients, failures, openai_messages, openai_stream
from amplifier.runtime.modules.providers.base import Answer, HttpProvider
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.messages import option
from amplifier.runtime.modules.providers.names import Names
from amplifier.runtime.modules.providers.options import Options, read

_BASE_URL = "https://api.openai.com/v1"
_OWN_HOSTS = (".openai.com", ".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
_SIGNING_HOSTS = (".googleapis.com",)  # demand the signatures of calls back
_THOUGHTFUL_HOSTS = (".deepseek.com", ".moonshot.ai", ".moonshot.cn")  # demand the reasoning of turns with calls back
_MISTRAL = ".mistral.ai"


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
        host = f".{httpx2.URL(self._options.base_url).host}"
        own = host.endswith(_OWN_HOSTS)
        names = Names(tool.name for tool in request.tools or ())
        limit = "max_completion_tokens" if own else "max_tokens"  # OpenAI's newer models refuse the old name
        known = {
            "messages": openai_messages.convert(request.messages, names, self._accepted(host)),
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
            known["tools"] = openai_messages.convert_tools(request.tools, names)
            known["tool_choice"] = None if choice is None else openai_messages.convert_choice(choice, names)
        given = {key: value for key, value in known.items() if value is not None}
        return {"model": model, **given, "stream": True, "stream_options": {"include_usage": True}}

    def _accepted(self, host: str) -> openai_messages.Accepted:
        options = self._options
        return openai_messages.Accepted(
            developer=host.endswith(_OWN_HOSTS),
            vision=options.vision,
            audio=options.audio,
            reasoning=host.endswith(_THOUGHTFUL_HOSTS) if options.send_reasoning is None else options.send_reasoning,
            signatures=host.endswith(_SIGNING_HOSTS) if options.send_reasoning is None else options.send_reasoning,
            short_ids=host.endswith(_MISTRAL),
        )

    async def read(self, events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
        """Reads the answer, as `openai_stream.read` describes."""
        return await openai_stream.read(events, blocks, source)
