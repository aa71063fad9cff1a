"""A session that is being imported, with the lines of it that are not stored yet."""

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from amplifier.imports.items import Line, Session

_SOON = 300  # seconds by which another machine's clock may be ahead


class Digest:
    """SHA-256 of the lines of a session so far, and their number."""

    def __init__(self) -> None:
        self.lines, self._hash = 0, hashlib.sha256()

    def add(self, line: Line) -> None:
        """Takes a line. One that is too long to keep counts by its presence."""
        raw = line.raw if line.identity is None else line.identity
        self.lines += 1
        self._hash.update(b"\0\n" if raw is None else raw)
        self._hash.update(b"\n")

    def copy(self) -> "Digest":
        """Returns a digest that goes on from here."""
        copy = Digest()
        copy.lines, copy._hash = self.lines, self._hash.copy()
        return copy

    def text(self) -> str:
        """Returns the digest of the lines so far, in hexadecimal."""
        return self._hash.hexdigest()


class Target:
    """A session of a source on its way into the database."""

    def __init__(self, session: Session, tool: str, path: Path, session_id: str, external_id: str) -> None:
        self.session, self.tool, self.session_id, self.external_id = session, tool, session_id, external_id
        self.path = path
        self._stored_path = os.fsencode(path).decode(errors="replace")[-4096:]
        self._modified = path.stat().st_mtime
        self.digest = Digest()
        self.is_new = True
        self.forked_from: str | None = None
        self.forked_at: int | None = None
        self.copies_from: str | None = None  # the session whose messages up to forked_at it begins with
        self.parent_id: str | None = None
        self.parent_key: str | None = None  # their external ids
        self.fork_key: str | None = None
        self.is_redacted = False
        self.former_title: str | None = None
        self.skips = 0  # lines that are stored already
        self.after = 0  # the session's last number before those of this batch
        self.newest: datetime | None = None
        self.has_changed = False  # since the last write
        self.has_news = False  # since the source was opened
        self._is_whole = True
        self._lines: list[Line] = []
        self.size = 0

    def add(self, line: Line, kept: bytes | None) -> bool:
        """Takes a line whose bytes are kept as `kept`. Returns false if the database has it already."""
        self.digest.add(line)
        self._is_whole = line.is_whole
        if self.digest.lines <= self.skips:
            return False
        self.has_changed = self.has_news = True
        if line.message is not None:
            line.created_at = self.newest = self._time(line.created_at)
        self._lines.append(Line(line.session, line.number, kept, line.message, line.created_at))
        self.size += len(kept or b"") + len(line.message or b"") + 200
        return True

    def _time(self, own: datetime | None) -> datetime:
        """Returns the time of a message: its own, but none before that of its predecessor and none in the future.

        The numbers and the times of messages have one order, on which reads `as_of` a time depend.
        """
        found = own or self.newest or self.session.created_at or datetime.fromtimestamp(self._modified, UTC)
        latest = datetime.now(UTC)
        if found > latest and (found - latest).total_seconds() > _SOON:
            found = latest
        return found if self.newest is None or found > self.newest else self.newest

    @property
    def created_at(self) -> datetime:
        """The time of the session: its own, or that of its first message, or of the file."""
        first = next((line.created_at for line in self._lines if line.message is not None and line.created_at), None)
        known = [one for one in (self.session.created_at, first) if one is not None]
        return min(known) if known else datetime.fromtimestamp(self._modified, UTC)

    @property
    def tags(self) -> dict[str, str]:
        """The tags, with that of the tool."""
        return {"tool": self.tool, **{name: value[:500] for name, value in self.session.tags.items() if value}}

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata: what is known about the import is in one member."""
        about = {
            "source_id": self.session.source_id,
            "version": self.session.tool_version,
            "parent": self.parent_key,
            "forked_from": self.fork_key,
            "redacted": self.is_redacted or None,
            **self.session.metadata,
        }
        return {"import": {name: value for name, value in about.items() if value is not None}}

    @property
    def added(self) -> int:
        """The number of messages that are not stored yet."""
        return sum(line.message is not None for line in self._lines)

    @property
    def read_seq(self) -> int:
        """The number up to which a new session counts as read."""
        return (self.forked_at or 0 if self.copies_from else 0) + self.added

    def messages(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """Yields the messages with their numbers and times."""
        seq = self.after
        for line in self._lines:
            if line.message is not None:
                seq += 1
                yield seq, line.message, line.created_at

    def rows(self, most: int, most_bytes: int) -> Iterator[tuple[list[int], list[int | None], list[bytes | None]]]:
        """Yields the lines in parts: their numbers in the file, those of their messages, and their bytes."""
        numbers: list[int] = []
        seqs: list[int | None] = []
        kept: list[bytes | None] = []
        size, seq = 0, self.after
        for line in self._lines:
            length = len(line.raw or b"")
            if numbers and (len(numbers) == most or size + length > most_bytes):
                yield numbers, seqs, kept
                numbers, seqs, kept, size = [], [], [], 0
            seq += line.message is not None
            numbers.append(line.number)
            seqs.append(seq if line.message is not None else None)
            kept.append(line.raw)
            size += length
        if numbers:
            yield numbers, seqs, kept

    def origin(self) -> tuple[Any, ...]:
        """Returns the row of session_origins."""
        session = self.session
        about = (session.tool_version, session.source_id, self._stored_path, session.title, self.digest.lines)
        return (self.session_id, self.tool, *about, self.digest.text(), self._is_whole, Jsonb(session.files))

    def candidates(self) -> list[tuple[int, bytes]]:
        """Returns the messages that are not stored yet, with the numbers of their lines."""
        return [(line.number, line.message) for line in self._lines if line.message is not None]

    def refuse(self, number: int) -> None:
        """Makes a message a mere line."""
        for line in self._lines:
            if line.number == number:
                line.message = None

    def wrote(self) -> None:
        """Forgets the lines that are stored."""
        self.is_new, self.has_changed, self._lines, self.size = False, False, [], 0
        self.former_title = self.session.title
