"""Reads answers of Anthropic's messages API and of compatible servers. Requests are made in `anthropic.py`."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from amplifier_core.message_models import Usage

from amplifier.runtime.modules.providers import failures, lenient
from amplifier.runtime.modules.providers.base import Answer
from amplifier.runtime.modules.providers.blocks import Block, Blocks
from amplifier.runtime.modules.providers.lenient import Plain
from amplifier.telemetry import run_traces

_KINDS = {"text": "text", "thinking": "thinking", "redacted_thinking": "redacted", "tool_use": "tool_call"}
_TEXTS = ("text", "thinking", "partial_json")  # members of a delta


async def read(events: AsyncIterator[bytes], blocks: Blocks, source: failures.Source) -> Answer:
    """Reads events up to `message_stop`, or an answer that is no stream. Raises errors of amplifier-core."""
    reading = _Reading(blocks, source)
    async for data in events:
        if data == b"[DONE]":  # of proxies
            break
        for event in lenient.objects(data):
            await reading.take(event)
        if reading.has_stopped:
            break
    return reading.answer()


class _Reading:
    """The state of reading an answer, besides its blocks."""

    def __init__(self, blocks: Blocks, source: failures.Source) -> None:
        self._blocks, self._source = blocks, source
        self._open: dict[int, Block] = {}
        self._reason: str | None = None
        self._counts: dict[str, int] = {}
        self.has_stopped = False

    async def take(self, event: Plain) -> None:
        """Reads an event, or a whole answer. Raises the error that it contains. Unknown events are left out."""
        match event.get("type"):
            case "content_block_delta":
                await self._grow(event)
            case "content_block_start":
                await self._begin(lenient.count(event.get("index")), lenient.mapping(event.get("content_block")))
            case "content_block_stop":
                if (block := self._block(event)) is not None:
                    await self._blocks.end(block)
            case "message_start":
                message = lenient.mapping(event.get("message"))
                self._counts |= lenient.counts(message.get("usage"))
                run_traces.note_model(message.get("model"))
            case "message_delta":
                self._end(lenient.mapping(event.get("delta")), event.get("usage"))
            case "message_stop":
                self.has_stopped = True
            case "message":
                await self._take_whole(event)
            case _:
                if event.get("error"):
                    raise failures.of_event(event, self._source)

    def _end(self, known: Plain, usage: Any) -> None:
        self._reason = lenient.word(known.get("stop_reason")) or self._reason
        self._counts |= lenient.counts(usage)

    async def _take_whole(self, message: Plain) -> None:
        for content in map(lenient.mapping, lenient.items(message.get("content"))):
            await self._blocks.end(await self._begin(None, content))
        self._end(message, message.get("usage"))
        run_traces.note_model(message.get("model"))
        self.has_stopped = True

    def _block(self, event: Plain) -> Block | None:
        """Returns the block of an event; the last one if it has no index."""
        index = lenient.count(event.get("index"))
        if index is None:
            return self._blocks.all[-1] if self._blocks.all else None
        return self._open.get(index)

    async def _begin(self, index: int | None, content: Plain) -> Block:
        """Begins a block. One of another type, such as a call of a tool of the API, is kept as it comes."""
        kind = _KINDS.get(lenient.word(content.get("type")), "other")
        identifier = self._blocks.fresh_id(lenient.identifier(content.get("id"))) if kind == "tool_call" else ""
        block = await self._blocks.begin(kind, identifier, lenient.word(content.get("name")))
        self._open[len(self._open) if index is None else index] = block
        if kind == "other":
            block.more = content | {"type": lenient.word(content.get("type")) or "unknown"}
            return block
        block.signatures.append(lenient.word(content.get("signature")))
        if kind == "redacted":
            block.parts.append(lenient.word(content.get("data")))
        if kind == "text" and content.get("citations"):
            block.more["citations"] = lenient.items(content["citations"])
        given = content.get("input") if kind == "tool_call" else None
        first = lenient.text(content.get(kind)) if not given else msgspec.json.encode(lenient.whole(given)).decode()
        if first:
            await self._blocks.grow(block, first)
        return block

    async def _grow(self, event: Plain) -> None:
        block, delta = self._block(event), lenient.mapping(event.get("delta"))
        if block is None:
            return
        block.signatures.append(lenient.word(delta.get("signature")))
        if "citation" in delta:
            block.more.setdefault("citations", []).append(delta["citation"])
        names = _TEXTS if block.kind != "other" else ("partial_json",)
        if text := "".join(lenient.text(delta.get(name)) for name in names):
            await self._blocks.grow(block, text)
        if block.kind == "other":
            _merge(block.more, delta)

    def answer(self) -> Answer:
        """Returns the properties of the answer. Raises StreamError if it has no end."""
        if not self.has_stopped and self._reason is None:
            raise failures.broken(self._source, "it has no end")
        return Answer(_usage(self._counts), self._reason)


def _merge(block: Plain, delta: Plain) -> None:
    """Adds the members of a delta to a block of a type that is not known: texts are joined, others replaced."""
    for name, value in delta.items():
        if name in ("type", "partial_json", "citation"):
            continue
        before = block.get(name)
        block[name] = (before or "") + value if isinstance(value, str) and isinstance(before, str | None) else value


def _usage(counts: dict[str, int]) -> Usage | None:
    """Returns the counts as OpenAI defines them: the input includes tokens read from and written to the cache."""
    if not counts.keys() & {"input_tokens", "output_tokens"}:
        return None
    read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    given = counts.get("input_tokens", 0) + (read or 0) + (written or 0)
    made = counts.get("output_tokens", 0)
    return Usage(
        input_tokens=given,
        output_tokens=made,
        total_tokens=given + made,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=counts.get("output_tokens_details.thinking_tokens"),
    )
