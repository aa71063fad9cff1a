"""Reads files line by line, within bounds, and takes messages out of lines."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from amplifier import json_characters, json_numbers
from amplifier.imports.items import Fault

LONGEST = 17_000_000  # bytes of a line that is kept; a message has at most 16 MB
_PIECE = 1024 * 1024
NO_UTF8 = "bytes that are no UTF-8 became U+FFFD"
TOO_DEEP = "it is nested too deeply to be read"
Shape = TypeVar("Shape")


class FileLine(NamedTuple):
    """A line without its line feed. `raw` is None if it is longer than LONGEST; `is_whole` if a line feed ended it."""

    number: int
    raw: bytes | None
    size: int
    is_whole: bool


class Unreadable(Exception):
    """A line is no JSON object. The text says why."""


def of(path: Path) -> Iterator[FileLine]:
    """Yields the lines of a file. A last line without a line feed is yielded, too. Raises OSError."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LONGEST + 1):
            number += 1
            if raw.endswith(b"\n"):
                yield FileLine(number, raw[:-1], len(raw), True)
            elif len(raw) <= LONGEST:
                yield FileLine(number, raw, len(raw), False)
            else:
                size = len(raw)
                while (piece := file.readline(_PIECE)) and not piece.endswith(b"\n"):
                    size += len(piece)
                yield FileLine(number, None, size + len(piece), piece.endswith(b"\n"))


class Parsed(NamedTuple, Generic[Shape]):
    """A line, what it says, and what is wrong with it. `text` is the line as PostgreSQL accepts it."""

    line: FileLine
    entry: Shape | None
    text: bytes
    faults: list[Fault]


def parsed(path: Path, decoder: "msgspec.json.Decoder[Shape]") -> Iterator[Parsed[Shape]]:
    """Yields the lines of a file of JSON objects, except a last one that is written in part. Raises OSError."""
    for line in of(path):
        if line.raw is None:
            yield Parsed(line, None, b"", [Fault(line.number, f"it has {line.size} bytes: at most {LONGEST} are kept")])
            continue
        if not line.raw.strip():
            yield Parsed(line, None, b"", [])
            continue
        text, is_as_it_was = stored(line.raw)
        faults = [] if is_as_it_was else [Fault(line.number, NO_UTF8, is_loss=False)]
        try:
            yield Parsed(line, decoder.decode(text), text, faults)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            if not line.is_whole:
                half = Fault(line.number, "it is written in part: the next import takes it", is_loss=False)
                yield Parsed(line._replace(raw=None, size=0), None, b"", [half])
                return
            yield Parsed(line, None, text, [Fault(line.number, _reason(line.raw, error))])


def stored(raw: bytes) -> tuple[bytes, bool]:
    """Returns JSON as PostgreSQL accepts it, and whether no bytes had to be replaced."""
    text = json_characters.stored(raw)
    try:
        if not text.isascii():
            text.decode()
        return text, True
    except UnicodeDecodeError:
        return json_characters.stored(raw.decode(errors="replace").encode()), False


def is_half(line: FileLine) -> bool:
    """Returns whether a line is the last one, written in part, which is left for the next import."""
    return line.raw is None and line.size == 0


def message(raw: "msgspec.Raw | bytes") -> bytes:
    """Returns a message that may be stored. Raises Unreadable for one that no transcript takes."""
    text = bytes(raw)
    if not text.startswith(b"{"):
        raise Unreadable("its message is no JSON object")
    try:
        json_numbers.check(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unreadable(str(error).partition(" - at ")[0]) from None
    return text


def is_too_deep(text: bytes) -> bool:
    """Returns whether JSON is nested more deeply than the parser follows."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:
        return True
    except (msgspec.MsgspecError, UnicodeError):
        pass
    return False


def time(value: Any) -> datetime | None:
    """Returns the time in a text of ISO 8601 or in a number of seconds or milliseconds since 1970, or None."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def text(value: Any, longest: int = 500) -> str | None:
    """Returns a text that is not empty, cut and without characters that PostgreSQL refuses, or None."""
    if not isinstance(value, str):
        return None
    cut = json_characters.replaced(msgspec.json.encode(value[:longest])) if "\x00" in value else None
    found = msgspec.json.decode(cut, type=str) if cut else value[:longest]
    if not found.isprintable():
        found = "".join(one if one.isprintable() or one in "\n\t" else " " for one in found)
    return found.strip() or None


def _reason(raw: bytes, error: Exception) -> str:
    if not raw.strip(b"\0"):
        return "it has NUL bytes only"
    return f"it is no JSON object ({error})"
