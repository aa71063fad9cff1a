"""The blocks of an answer while it streams: events for whoever follows, and in the end the response."""

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

from amplifier.runtime.hooks import tell

_DELTA = "llm:stream_block_delta"


class Block:
    """A block that grows. `kind` is text, thinking, redacted or tool_call."""

    def __init__(self, index: int, kind: str, id: str = "", name: str = "") -> None:
        self.index, self.kind, self.id, self.name = index, kind, id, name
        self.type = "thinking" if kind == "redacted" else kind
        self.parts: list[str] = []
        self.signatures: list[str] = []
        self.ended = False

    @property
    def text(self) -> str:
        """What came so far."""
        return "".join(self.parts)


class Blocks:
    """The blocks of one answer, in order. A `silent` one, which the request asked for, sends no events."""

    def __init__(self, coordinator: ModuleCoordinator, silent: bool = False) -> None:
        self.request_id = uuid.uuid4().hex
        self.all: list[Block] = []
        self._coordinator, self._hooks, self._silent = coordinator, coordinator.hooks, silent
        self._live: Callable[[str, dict[str, Any]], None] | None = coordinator.get_capability("amplifier.live")
        self._sequence = 0
        self._ids: set[str] = set()

    async def begin(self, kind: str, id: str = "", name: str = "") -> Block:
        """A new block behind the others."""
        block = Block(len(self.all), kind, id, name)
        self._ids.add(id)
        self.all.append(block)
        await self._emit("llm:stream_block_start", block, {"name": name} if name else {})
        return block

    async def grow(self, block: Block, text: str) -> None:
        """More of a block."""
        block.parts.append(text)
        if self._silent:
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
        """More text of a kind: of the last block if that is of this kind, else of a new one."""
        last = self.all[-1] if self.all else None
        if last is None or last.kind != kind or last.ended:
            if last is not None and last.kind != "tool_call":
                await self.end(last)
            last = await self.begin(kind)
        await self.grow(last, text)

    async def end(self, block: Block) -> None:
        """Nothing more comes of a block."""
        if not block.ended:
            block.ended = True
            await self._emit("llm:stream_block_end", block, {})

    async def end_all(self) -> None:
        """The answer is whole."""
        for block in self.all:
            await self.end(block)

    async def abort(self, error: str) -> None:
        """The answer failed; whoever saw a part of it is told."""
        if self.all and not self._silent:
            aborted = {"request_id": self.request_id, "error": error}
            await tell(self._coordinator, self._hooks, "llm:stream_aborted", aborted)

    def response(self, usage: Usage | None, finish_reason: str | None) -> ChatResponse:
        """All of it. The arguments of a call that are no JSON object are `{}`, with their text as `raw_arguments`."""
        calls = [_call(block) for block in self.all if block.kind == "tool_call"]
        arguments = {call.id: call.arguments for call in calls}
        content = [_content(block, arguments) for block in self.all]
        return ChatResponse(
            content=content,
            tool_calls=calls or None,
            usage=usage,
            finish_reason=finish_reason,
        )

    def fresh_id(self, given: str | None) -> str:
        """The id of a call, or a new one when the model gave none or one that is used."""
        return given if given and given not in self._ids else f"call_{uuid.uuid4().hex}"

    async def _emit(self, event: str, block: Block, more: dict[str, Any]) -> None:
        if not self._silent:
            known = {"request_id": self.request_id, "block_index": block.index, "block_type": block.type}
            await tell(self._coordinator, self._hooks, event, known | more)


def _content(block: Block, arguments: dict[str, dict[str, Any]]) -> Any:
    if block.kind == "text":
        return TextBlock(text=block.text)
    if block.kind == "thinking":
        return ThinkingBlock(thinking=block.text, signature="".join(block.signatures) or None)
    if block.kind == "redacted":
        return RedactedThinkingBlock(data=block.text)
    return ToolCallBlock(id=block.id, name=block.name, input=arguments[block.id])


def _call(block: Block) -> ToolCall:
    text = block.text
    try:
        arguments = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    if isinstance(arguments, dict):
        return ToolCall(id=block.id, name=block.name, arguments=arguments)
    return ToolCall(id=block.id, name=block.name, arguments={}, raw_arguments=text)
