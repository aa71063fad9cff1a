"""The items that readers yield: the sessions of a source, their lines, and what is wrong with lines."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

MAIN = ""  # the key of the session that a file is about


class Source(msgspec.Struct, frozen=True):
    """A file to read. `tool` names the reader."""

    path: Path
    tool: str
    size: int


class Session(msgspec.Struct, kw_only=True):
    """A session in a source. A reader yields it before its first line, and again with what it learnt meanwhile.

    `key` names it within its source. `parent` is the source_id of the session whose agent started it. `fork_of` is the
    key of a session of the same source if `fork_line` is given, the number of the last line that both have; else the
    source_id of another session of the tool. `files` are small files beside it. `whole` is for forks that may have been
    the main session at an earlier import: the number and the digest of all lines up to the fork's last one.
    """

    key: str
    source_id: str
    tool_version: str | None = None
    title: str | None = None
    created_at: datetime | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    parent: str | None = None
    fork_of: str | None = None
    fork_line: int | None = None
    files: dict[str, str] = {}
    whole: tuple[int, str] | None = None


class Line(msgspec.Struct):
    """A line of the session `session`, a key. `raw` is None if it is too long to keep.

    `message` is the JSON object that becomes a message, as `json_characters.stored` returns it, or None. `identity` is
    what counts when lines are compared, if that is not `raw`: exports repeat a message with other details.
    """

    session: str
    number: int
    raw: bytes | None
    message: bytes | None = None
    created_at: datetime | None = None
    is_whole: bool = True
    identity: bytes | None = None


class Fault(msgspec.Struct):
    """The reason why a line of the source became no message, or another one. `is_loss` is false for mere remarks."""

    number: int
    reason: str
    is_loss: bool = True


Item = Session | Line | Fault


class Part(NamedTuple):
    """A part of a source that is about other sessions than the rest. `items` reads it, as often as it is called."""

    items: Callable[[], Iterator[Item]]
    size: int


class Reader(Protocol):
    """A module of `readers`."""

    TOOL: str

    def places(self) -> list[Path]:
        """Returns the folders where the tool keeps its files."""
        ...

    def matches(self, path: Path, head: bytes) -> bool:
        """Returns whether a file is of this format, by its name and how it begins."""
        ...

    def parts(self, source: Source) -> Iterator[Part]:
        """Yields the parts of a source. Memory grows neither with their number nor with lines. Raises OSError."""
        ...
