"""Reads the JSON of exports, in files and in ZIP archives, value by value. Nothing is extracted, and no name is a path.

An archive is refused if it unpacks to much more than it should.
"""

import contextlib
import functools
import itertools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar, cast

import msgspec

from amplifier.imports import lines, values
from amplifier.imports.items import Fault, Item, Part

LONGEST = 128_000_000  # bytes of a conversation
MOST_MEMBERS = 200_000
_TRIED = 5  # conversations of which one must be known
_DIRECTORY = 64_000_000  # bytes of an archive's list of members
_LARGEST = 100_000_000_000  # bytes that an archive may unpack to
_RATIO, _RATIO_FROM = 200, 64_000_000  # times its size that a member may unpack to, once it has this many bytes
_MEMBER = re.compile(r"(?:^|/)conversations(?:[-_]\d+)?\.json$")
_BROKEN = (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError, struct.error, ValueError)

Decoded = TypeVar("Decoded", bound=msgspec.Struct)


class Broken(OSError):
    """Raised for an archive that cannot be read, or is not to be."""


class Found(NamedTuple):
    """A conversation. `text` is None if it cannot be read, for `reason`. `size` is that in the file."""

    where: str
    text: bytes | None
    size: int
    reason: str


def conversations(path: Path) -> Generator[Found, None, None]:
    """Yields the values of a file, or of the members of an archive that have conversations. Raises OSError."""
    try:
        with contextlib.ExitStack() as stack:
            for name, file in _files(path, stack):
                for number, text, size, is_whole in values.of(file, LONGEST):
                    reason = (
                        f"it has {size} bytes: at most {LONGEST} are read" if is_whole else "the file ends within it"
                    )
                    yield Found(f"{name}conversation {number}", text, size, reason)
    except _BROKEN as error:
        raise Broken(f"the archive cannot be read: {error}") from error


def first(path: Path) -> Iterator[bytes]:
    """Yields the first conversations that are within the bound.

    Raises OSError for an archive whose conversations cannot be read.
    """
    if path.suffix.lower() == ".zip" and not zipfile.is_zipfile(path):
        return
    with contextlib.closing(conversations(path)) as found:
        yield from itertools.islice((one.text for one in found if one.text), _TRIED)


def decoded(decoder: msgspec.json.Decoder[Decoded], text: bytes | None) -> Decoded | None:
    """Returns a conversation, or None for a text that is none of the decoder's tool."""
    try:
        return decoder.decode(lines.stored(text)[0]) if text else None
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def parts(
    path: Path, tool: str, decoder: msgspec.json.Decoder[Decoded], items: Callable[[Decoded, str], Iterable[Item]]
) -> Iterator[Part]:
    """Yields each conversation of an export, as `items` makes them of one and its place. Raises OSError."""
    for one in conversations(path):
        conversation = decoded(decoder, one.text)
        if conversation is None:
            found: list[Item] = [Fault(0, f"{one.where}: {_reason(one, tool)}")]
        else:
            found = list(items(conversation, one.where))
        yield Part(functools.partial(iter, found), one.size)


def _reason(found: Found, tool: str) -> str:
    if found.text is None:
        return found.reason
    return lines.TOO_DEEP if lines.is_too_deep(found.text) else f"it is no conversation of {tool}"


def _files(path: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, IO[bytes]]]:
    if path.suffix.lower() != ".zip":
        yield "", stack.enter_context(path.open("rb"))
        return
    _check_directory(path)
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise Broken(f"the archive has {len(members)} members: at most {MOST_MEMBERS} are allowed")
    for member in sorted(members, key=lambda one: one.filename):
        if _MEMBER.search(member.filename):
            with archive.open(member) as file:
                yield f"{member.filename[-100:]}, ", cast(IO[bytes], _Bounded(file, member))


def _check_directory(path: Path) -> None:
    """Raises Broken if the list of members is too long to be read into memory."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 70_000))
        end = file.read()
    place = end.rfind(b"PK\x05\x06")
    if place >= 0 and len(end) >= place + 16 and struct.unpack_from("<L", end, place + 12)[0] > _DIRECTORY:
        raise Broken("the archive has too many members")


class _Bounded:
    """A member that may not unpack to much more than it should."""

    def __init__(self, file: IO[bytes], member: zipfile.ZipInfo) -> None:
        self._file, self._read = file, 0
        self._most = min(_LARGEST, max(_RATIO_FROM, member.compress_size * _RATIO))

    def read(self, size: int) -> bytes:
        """Returns the next bytes. Raises Broken."""
        piece = self._file.read(size)
        self._read += len(piece)
        if self._read > self._most:
            raise Broken(f"the archive unpacks to more than {_RATIO} times its size")
        return piece
