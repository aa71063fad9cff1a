"""The blocks of a streaming answer: emits an event for each part, and makes the response at the end.

The formats of the APIs are read in `anthropic_stream.py` and `openai_stream.py`.
"""

import json
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from amplifier_core import ModuleCoordinator
from amplifier_core.message_models import (
    ChatResponse,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolCallBlock,
    Usage,
)
from pydantic import BaseModel, ConfigDict

from amplifier.runtime.finish_reasons import normalised
from amplifier.runtime.hooks import show_and_emit
from amplifier.runtime.modules.providers.lenient import has_half, joined, whole

_DELTA = "llm:stream_block_delta"


class Response(ChatResponse):  # type: ignore[misc]
    """A response that may contain blocks of types that amplifier-core does not know."""

    content: list[Any]


class OtherBlock(BaseModel):
    """A block as the API sent it, which later requests must contain unchanged."""

    model_config = ConfigDict(extra="allow")

    type: str


class Block:
    """A block that is being received. `kind` is text, thinking, redacted, tool_call or other.

    `more` holds further members of the block; of another block, all of them.
    """

    def __init__(self, index: int, kind: str, id: str = "", name: str = "") -> None:
        self.index, self.kind, self.id, self.name = index, kind, id, name
        self.type = "thinking" if kind == "redacted" else kind
        self.parts: list[str] = []
        self.signatures: list[str] = []
        self.more: dict[str, Any] = {}
        self.half = ""  # of a surrogate pair whose other half has not arrived
        self.ended = False

    @property
    def text(self) -> str:
        """Returns the text received so far."""
        return "".join(self.parts)


class Blocks:
    """The blocks of one answer, in order. Emits no events if `silent`, which a request without a stream sets.

    `names` holds the original names of tools by those that the model uses, where these differ.
    """

    def __init__(
        self, coordinator: ModuleCoordinator, silent: bool = False, names: dict[str, str] | None = None
    ) -> None:
        self.request_id = uuid.uuid4().hex
        self._names = names or {}
        self.all: list[Block] = []
        self._coordinator, self._hooks, self._silent = coordinator, coordinator.hooks, silent
        self._live: Callable[[str, dict[str, Any]], None] | None = coordinator.get_capability("amplifier.live")
        self._sequence = 0
        self._ids: set[str] = set()

    async def begin(self, kind: str, id: str = "", name: str = "") -> Block:
        """Begins a new block after the others and returns it."""
        block = Block(len(self.all), kind, id, name)
        self.all.append(block)
        await self._emit("llm:stream_block_start", block, {"name": self._names.get(name, name)} if name else {})
        return block

    async def grow(self, block: Block, text: str) -> None:
        """Adds text to a block."""
        if block.half or has_half(text):
            text = _without_end(block, block.half + text)
        block.parts.append(text)
        if self._silent or not text or block.kind == "other":
            return
        data = {
            "request_id": self.request_id,
            "block_index": block.index,
            "block_type": block.type,
            "sequence": self._sequence,
            "text": text,
        }
        self._sequence += 1
        if self._live is not None:
            self._live(_DELTA, data)
        else:
            await self._hooks.emit(_DELTA, data)

    async def write(self, kind: str, text: str) -> None:
        """Adds text to the last block if it is of this kind, else to a new one."""
        last = self.all[-1] if self.all else None
        if last is None or last.kind != kind or last.ended:
            if last is not None and last.kind != "tool_call":
                await self.end(last)
            last = await self.begin(kind)
        await self.grow(last, text)

    async def end(self, block: Block) -> None:
        """Ends a block."""
        if block.half:
            block.half, half = "", block.half
            await self.grow(block, joined(half))
        if not block.ended:
            block.ended = True
            await self._emit("llm:stream_block_end", block, {})

    async def end_all(self) -> None:
        """Ends all blocks of a complete answer."""
        for block in self.all:
            await self.end(block)

    async def abort(self, error: str) -> None:
        """Emits an event about the failure, if followers have seen a part of the answer."""
        if self.all and not self._silent:
            aborted = {"request_id": self.request_id, "error": error}
            await show_and_emit(self._coordinator, self._hooks, "llm:stream_aborted", aborted)

    def response(self, usage: Usage | None, finish_reason: str | None) -> ChatResponse:
        """Returns the complete response.

        If the arguments of a call are not a JSON object, they become `{}`, with their text in `raw_arguments`.
        """
        for block in self.all:
            block.name = self._names.get(block.name, block.name)
        is_cut = normalised(finish_reason) == "length"
        calls = [_call(block, is_cut and block is self.all[-1]) for block in self.all if block.kind == "tool_call"]
        arguments = {call.id: call.arguments for call in calls}
        content = [_content(block, arguments) for block in self.all if block.kind != "text" or block.text]
        return Response(
            content=content,
            tool_calls=calls or None,
            usage=usage,
            finish_reason=finish_reason,
        )

    def fresh_id(self, given: str | None) -> str:
        """Returns the given id of a call, or a new one if it is missing or used."""
        fresh = given if given and given not in self._ids else f"call_{uuid.uuid4().hex}"
        self._ids.add(fresh)
        return fresh

    async def _emit(self, event: str, block: Block, more: dict[str, Any]) -> None:
        if not self._silent and block.kind != "other":
            known = {"request_id": self.request_id, "block_index": block.index, "block_type": block.type}
            await show_and_emit(self._coordinator, self._hooks, event, known | more)


def _content(block: Block, arguments: dict[str, dict[str, Any]]) -> Any:
    if block.kind == "text":
        return TextBlock(text=block.text, **whole(block.more))
    if block.kind == "thinking":
        return ThinkingBlock(thinking=block.text, signature="".join(block.signatures) or None)
    if block.kind == "redacted":
        return RedactedThinkingBlock(data=block.text)
    if block.kind == "other":
        given = _decoded(block.text) if block.parts else None
        return OtherBlock(**whole(block.more) | ({} if given is None else {"input": given}))
    return ToolCallBlock(id=block.id, name=block.name, input=arguments[block.id], **block.more)


def _call(block: Block, may_be_cut: bool) -> ToolCall:
    """Returns the call of a block. One that `may_be_cut` and has no complete arguments is marked as `is_cut`."""
    text = block.text
    arguments = _decoded(text) if text.strip() or may_be_cut else {}
    if isinstance(arguments, dict):
        return ToolCall(id=block.id, name=block.name, arguments=arguments, **block.more)
    cut = {"is_cut": True} if may_be_cut else {}
    return ToolCall(id=block.id, name=block.name, arguments={}, raw_arguments=text, **block.more, **cut)


def _decoded(text: str) -> Any:
    """Returns the value of a JSON text, or None. Half a surrogate pair in it becomes U+FFFD."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        return None
    except msgspec.DecodeError:
        if "\\u" not in text:
            return None
    try:
        return json.loads(joined(json.dumps(json.loads(text, parse_constant=_refused), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _without_end(block: Block, text: str) -> str:
    """Returns the text with its halves joined. A first half at its end is kept for the text that comes next."""
    block.half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
    return joined(text[:-1] if block.half else text)
