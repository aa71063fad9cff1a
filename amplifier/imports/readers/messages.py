"""Messages without a tool around them: of OpenAI, Anthropic and others, of the Responses API, LangChain and the AI SDK.

A file of JSON lines has a message per line, which is one session, or a conversation per line. A JSON file has a list of
messages, a list of conversations, or one conversation.
"""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec

from amplifier.imports import lines, values
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source
from amplifier.imports.readers import conversations, shapes

TOOLS = (shapes.MESSAGES, shapes.RESPONSES, shapes.LANGCHAIN, shapes.UI)
_TRIED = 5  # lines in which a message may come first
_HINTS = tuple(b'"%b"' % name for name in (b"messages", b"input", b"items", b"output", b"data", b"role", b"type"))
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Reader:
    """Reads the files of one of the formats."""

    def __init__(self, tool: str) -> None:
        self.TOOL = tool

    def places(self) -> list[Path]:
        """Returns nothing: no tool keeps such files."""
        return []

    def matches(self, path: Path, head: bytes) -> bool:
        """Returns whether the first messages are of this format."""
        return _tool_of(path, head) == self.TOOL

    def parts(self, source: Source) -> Iterator[Part]:
        """Yields each conversation, or the file if its lines are messages."""
        _, are_messages = next(_kinds(source.path), (None, False))
        if are_messages:
            yield Part(functools.partial(_read, source), source.size)
            return
        for number, text, size, fault in _texts(source.path):
            if text is None:
                yield _fault(number, size, fault)
                continue
            stored, is_as_it_was = lines.stored(text)
            conversation = conversations.decoded(stored)
            if conversation is None or conversations.kind(conversation) is None:
                other = "it is no conversation of a format that is known"
                yield _fault(number, size, fault or (lines.TOO_DEEP if lines.is_too_deep(stored) else other))
            else:
                yield conversations.part(conversation, source.path.stem, f"conversation {number}", size, is_as_it_was)


@functools.lru_cache(maxsize=1)
def _tool_of(path: Path, head: bytes) -> str | None:
    """Returns the format of a file, or None. Each reader asks for the same file."""
    if path.suffix not in (".jsonl", ".json", ".ndjson") or not any(hint in head for hint in _HINTS):
        return None
    return next((kind for kind, _ in _kinds(path)), None)


def _kinds(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields the format of the first line or value that is recognised, and whether it is a message."""
    # one object is no file of messages: tools keep parts of messages so
    takes_messages = path.suffix != ".json" or _is_list(path)
    for text in itertools.islice(_tried(path), _TRIED):
        if takes_messages and (kind := shapes.kind(shapes.decoded(text))):
            yield kind, True
        elif kind := conversations.kind(conversations.decoded(text)):
            yield kind, False


def _is_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _tried(path: Path) -> Iterator[bytes]:
    return (lines.stored(text)[0] for _, text, _, _ in _texts(path) if text)


def _texts(path: Path) -> Iterator[tuple[int, bytes | None, int, str | None]]:
    """Yields lines or values with their numbers and sizes, and what is wrong with those that cannot be read."""
    if path.suffix != ".json":
        for line, entry, _, faults in lines.parsed(path, _decoder):
            if lines.is_half(line):
                return
            reason = faults[0].reason if faults else None
            if line.raw is None or line.raw.strip():
                yield line.number, line.raw if entry is not None else None, line.size, reason
        return
    with path.open("rb") as file:
        for number, found, size, is_whole in values.of(file, conversations.LONGEST):
            yield number, found, size, None if found is not None else _cut(size, is_whole)


def _cut(size: int, is_whole: bool) -> str:
    return f"it has {size} bytes: at most {conversations.LONGEST} are read" if is_whole else "the file ends within it"


def _fault(number: int, size: int, reason: str | None) -> Part:
    fault = Fault(number, reason or "it is no JSON object")
    return Part(lambda: iter((fault,)), size)


def _read(source: Source) -> Iterator[Item]:
    """Yields the session of a file of messages."""
    read = conversations.Messages(
        Session(key=MAIN, source_id=conversations.named(source.path.stem, _tried(source.path)))
    )
    yield read.session
    yield from _values(source.path, read) if source.path.suffix == ".json" else _lines(source.path, read)
    yield read.session


def _lines(path: Path, read: conversations.Messages) -> Iterator[Item]:
    for line, entry, text, faults in lines.parsed(path, _decoder):
        yield from faults
        if lines.is_half(line):
            break
        found = Line(MAIN, line.number, line.raw, is_whole=line.is_whole)
        if entry is None:
            yield found
        else:
            yield from read.items(found, text)


def _values(path: Path, read: conversations.Messages) -> Iterator[Item]:
    with path.open("rb") as file:
        for number, raw, size, is_whole in values.of(file, lines.LONGEST):
            if not is_whole:
                yield read.fault(number, "it is written in part: the next import takes it", is_loss=False)
                break
            if raw is None:
                yield read.fault(number, _cut(size, is_whole))
                yield Line(MAIN, number, None)
                continue
            text, is_as_it_was = lines.stored(raw)
            if not is_as_it_was:
                yield read.fault(number, lines.NO_UTF8, is_loss=False)
            yield from read.items(Line(MAIN, number, raw), text)
