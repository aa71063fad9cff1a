"""The blocks of a streaming answer: emits an event for each part, and makes the response at the end.

The formats of the APIs are read in `anthropic.py` and `openai.py`.
"""

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

from amplifier.runtime.hooks import show_and_emit

_DELTA = "llm:stream_block_delta"


class Block:
    """A block that is being received. `kind` is text, thinking, redacted or tool_call."""

    def __init__(self, index: int, kind: str, id: str = "", name: str = "") -> None:
        self.index, self.kind, self.id, self.name = index, kind, id, name
        self.type = "thinking" if kind == "redacted" else kind
        self.parts: list[str] = []
        self.signatures: list[str] = []
        self.ended = False

    @property
    def text(self) -> str:
        """Returns the text received so far."""
        return "".join(self.parts)


class Blocks:
    """The blocks of one answer, in order. Emits no events if `silent`, which a request without a stream sets."""

    def __init__(self, coordinator: ModuleCoordinator, silent: bool = False) -> None:
        self.request_id = uuid.uuid4().hex
        self.all: list[Block] = []
        self._coordinator, self._hooks, self._silent = coordinator, coordinator.hooks, silent
        self._live: Callable[[str, dict[str, Any]], None] | None = coordinator.get_capability("amplifier.live")
        self._sequence = 0
        self._ids: set[str] = set()

    async def begin(self, kind: str, id: str = "", name: str = "") -> Block:
        """Begins a new block after the others and returns it."""
        block = Block(len(self.all), kind, id, name)
        self._ids.add(id)
        self.all.append(block)
        await self._emit("llm:stream_block_start", block, {"name": name} if name else {})
        return block

    async def grow(self, block: Block, text: str) -> None:
        """Adds text to a block."""
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
        """Adds text to the last block if it is of this kind, else to a new one."""
        last = self.all[-1] if self.all else None
        if last is None or last.kind != kind or last.ended:
            if last is not None and last.kind != "tool_call":
                await self.end(last)
            last = await self.begin(kind)
        await self.grow(last, text)

    async def end(self, block: Block) -> None:
        """Ends a block."""
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
        """Returns the given id of a call, or a new one if it is missing or used."""
        return given if given and given not in self._ids else f"call_{uuid.uuid4().hex}"

    async def _emit(self, event: str, block: Block, more: dict[str, Any]) -> None:
        if not self._silent:
            known = {"request_id": self.request_id, "block_index": block.index, "block_type": block.type}
            await show_and_emit(self._coordinator, self._hooks, event, known | more)


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
