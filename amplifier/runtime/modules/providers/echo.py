"""The provider `echo`, which needs no model: repeats the user's message, or calls a tool on `/call`."""

import asyncio
import re
import time
from typing import Annotated, Any

import msgspec
from amplifier_core import ConfigurationError, ModelInfo, ModuleCoordinator, ProviderInfo
from amplifier_core.message_models import ChatRequest, ChatResponse, Message, ToolCall, Usage

from amplifier.runtime.modules.providers import notes
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.conversation import Entry, conversation, parts_of
from amplifier.transcripts.parts import Call, Part, Result

_CALL = "/call"
_WORDS = re.compile(r"\s*\S+|\s+")
_WINDOW = 200_000


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> None:
    """Mounts the provider. `delay` is the pause before each word, in seconds. Raises ConfigurationError."""
    try:
        options = msgspec.convert({key: one for key, one in (config or {}).items() if one is not None}, _Options)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"provider-echo: {error}", provider="echo") from None
    await coordinator.mount("providers", EchoProvider(coordinator, options), name="echo")


class _Options(msgspec.Struct, frozen=True):
    delay: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0
    priority: float = 100


class EchoProvider:
    """Answers `You said: ...`; for `/call NAME {json}` calls the tool, and then answers with its result."""

    name = "echo"

    def __init__(self, coordinator: ModuleCoordinator, options: _Options) -> None:
        self._coordinator, self._delay, self.priority = coordinator, options.delay, options.priority

    def get_info(self) -> ProviderInfo:
        """Returns the description of the provider."""
        defaults = {"model": "echo", "context_window": _WINDOW, "max_output_tokens": _WINDOW}
        return ProviderInfo(id="echo", display_name="Echo", capabilities=["streaming", "tools"], defaults=defaults)

    async def list_models(self) -> list[ModelInfo]:
        """Returns the only model."""
        return [ModelInfo(id="echo", display_name="Echo", context_window=_WINDOW, max_output_tokens=_WINDOW)]

    def parse_tool_calls(self, response: ChatResponse) -> list[ToolCall]:
        """Returns the calls in a response."""
        return response.tool_calls or []

    async def complete(self, request: ChatRequest, **kwargs: Any) -> ChatResponse:
        """Streams the answer word by word and returns it."""
        heard = conversation(message for message in request.messages if not _is_of_hook(message))
        entries = [(entry[0], parts_of(entry)) for entry in heard]
        blocks = Blocks(self._coordinator, silent=(request.metadata or {}).get("stream") is False)
        model = str(kwargs.get("model") or request.model or "echo")
        known = {"provider": self.name, "model": model}
        await self._coordinator.hooks.emit("llm:request", known | {"message_count": len(request.messages)})
        started = time.perf_counter()
        call = _wanted_call(entries, request)
        if call is not None:
            identifier = _new_id(entries, len(request.messages))
            await blocks.grow(await blocks.begin("tool_call", identifier, call[0]), call[1])
        else:
            await self._say(_answer(entries), blocks)
        await blocks.end_all()
        usage = _usage(entries, blocks)
        duration = round((time.perf_counter() - started) * 1000)
        said = known | {"usage": usage.model_dump(exclude_none=True), "duration_ms": duration}
        await self._coordinator.hooks.emit("llm:response", said)
        return blocks.response(usage, "tool_calls" if call else "stop")

    async def _say(self, text: str, blocks: Blocks) -> None:
        block = await blocks.begin("text")
        for word in _WORDS.finditer(text):
            await asyncio.sleep(self._delay)
            await blocks.grow(block, word[0])


def _last_turn(entries: list[Entry]) -> tuple[str, list[Result]]:
    """Returns the text of the last human message, and the tool results since the last message of the assistant."""
    results: list[Result] = []
    for index in range(len(entries) - 1, -1, -1):
        role, parts = entries[index]
        if role == "assistant":
            break
        if role == "tool":
            results = parts + results
        elif role == "user" and _is_human(parts):
            return notes.text_of(parts), results
    human: list[Part] = next((parts for role, parts in reversed(entries) if role == "user" and _is_human(parts)), [])
    return notes.text_of(human), results


def _is_of_hook(message: Message) -> bool:
    return message.metadata is not None and message.metadata.get("source") == "hook"


def _is_human(parts: list[Part]) -> bool:
    return not notes.text_of(parts).startswith("<system-reminder>")


def _wanted_call(entries: list[Entry], request: ChatRequest) -> tuple[str, str] | None:
    text, results = _last_turn(entries)
    given = text.removeprefix(_CALL)
    if results or given == text or not given[:1].isspace():
        return None
    name, brace, rest = given.partition("{")
    name, arguments = name.strip(), brace + rest.rstrip() or "{}"
    if name not in {tool.name for tool in request.tools or ()} or not arguments.endswith("}"):
        return None
    try:
        msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return None
    return name, arguments


def _answer(entries: list[Entry]) -> str:
    text, results = _last_turn(entries)
    if not results:
        return f"You said: {text}"
    return "\n".join(f"{result.name} said: {notes.text_of(result.content)}" for result in results)


def _new_id(entries: list[Entry], number: int) -> str:
    """Returns an id for a call that depends only on the messages and is not used in them."""
    taken = {part.id for _, parts in entries for part in parts if isinstance(part, Call)}
    while f"call_{number}" in taken:
        number += 1
    return f"call_{number}"


def _usage(entries: list[Entry], blocks: Blocks) -> Usage:
    given = sum(len(notes.text_of(parts).split()) for _, parts in entries)
    made = sum(len(block.text.split()) for block in blocks.all)
    return Usage(input_tokens=given, output_tokens=made, total_tokens=given + made)
