"""Joins the parts of tool calls in OpenAI's format. Says where a call ends and the next one begins."""

import json
import re

import msgspec

from amplifier.runtime.modules.providers import lenient
from amplifier.runtime.modules.providers.blocks import Block, Blocks
from amplifier.runtime.modules.providers.lenient import Plain

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_MOST_TRIES = 50  # attempts to find the end of one call's arguments, each of which reads all of them


class _Open:
    """A call that may go on: its block, and the id that the server gave."""

    def __init__(self, block: Block, given: str) -> None:
        self.block, self.given, self.tries = block, given, 0

    def is_complete(self) -> bool:
        """Returns whether the arguments are a JSON value, or there are none yet."""
        text = self.block.text.strip()
        if not text or not text.endswith("}") or self.tries >= _MOST_TRIES:
            return not text
        self.tries += 1
        try:
            msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Calls:
    """The calls of an answer, by the index of the API. Some servers send several calls at one index, or no index."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._open: dict[int, _Open] = {}

    async def grow(self, part: Plain) -> None:
        """Adds a part of a call, or begins the next call."""
        function = lenient.mapping(part.get("function"))
        given, name = lenient.identifier(part.get("id")), lenient.word(function.get("name"))
        text = _arguments(function.get("arguments"))
        index = self._index(lenient.count(part.get("index")), given)
        known = self._open.get(index)
        if known is None or _is_next(known, given, name, text):
            name = name or ("" if known is None else known.block.name)
            known = self._open[index] = _Open(await self._begin(given, name), given)
        else:
            self._complete(known, given, name)
        if isinstance(part.get("extra_content"), dict):  # a signature of Gemini, to be sent back with the call
            known.block.more["extra_content"] = lenient.whole(part["extra_content"])
        if text:
            await self._blocks.grow(known.block, text)

    async def separate(self) -> None:
        """Makes calls of their own of objects that follow each other in the arguments of one call."""
        for block in [block for block in self._blocks.all if block.kind == "tool_call"]:
            first, *others = _objects(block.text)
            if others:
                block.parts = [first]
            for text in others:
                await self._blocks.grow(await self._begin("", block.name), text)

    def sign(self, extra: Plain) -> None:
        """Adds Gemini's signature of the last call, which may come after it."""
        if self._open:
            self._open[max(self._open)].block.more.setdefault("extra_content", lenient.whole(extra))

    def _index(self, given: int | None, identifier: str) -> int:
        """Returns the index of a part; without one, that of the call with its id, or of the last call."""
        if given is not None:
            return given
        of_id = [index for index, one in self._open.items() if identifier and one.given == identifier]
        return next(iter(of_id), max(self._open, default=0))

    def _complete(self, known: _Open, given: str, name: str) -> None:
        """Adds what came late: the id, the name, or the rest of the name."""
        block = known.block
        if given and not known.given:
            known.given = given
            block.id = self._blocks.fresh_id(given)
        if name and name != block.name:
            block.name = name if name.startswith(block.name) else block.name + name

    async def _begin(self, given: str, name: str) -> Block:
        if self._blocks.all and self._blocks.all[-1].kind != "tool_call":
            await self._blocks.end(self._blocks.all[-1])
        return await self._blocks.begin("tool_call", self._blocks.fresh_id(given), name)


def _is_next(known: _Open, given: str, name: str, text: str) -> bool:
    """Returns whether a part at the index of a call begins another call.

    An id alone does not: some servers send a new id with each part. A name or the beginning of an object does if the
    arguments so far are complete.
    """
    if given and given == known.given:
        return False
    block = known.block
    if name and block.name and ((given and known.given) or name != block.name):
        return known.is_complete()
    begins = text.lstrip().startswith("{")
    return begins and bool(block.text.strip()) and known.is_complete()


def _objects(text: str) -> list[str]:
    """Returns the JSON objects in a text, the last of which may be cut off; the text itself if it is anything else."""
    found, at = list[str](), 0
    while at < len(text):
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            value, end = {}, len(text)
        if not text.startswith("{", at) or not isinstance(value, dict):
            return [text]
        found.append(text[at:end])
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    return found or [text]


def _arguments(given: object) -> str:
    if isinstance(given, str):
        return given
    return "" if given is None else msgspec.json.encode(lenient.whole(given)).decode()
