"""Files of archived sessions: compressed NDJSON, complete or absent.

A file is written under another name, flushed to the disk and renamed. Only then are its sessions deleted.
docs/privacy.md describes the format.
"""

import contextlib
import gzip
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.sql import SQL, Composable, Literal

from amplifier.errors import InputError
from amplifier.maintenance.operator_database import Connection
from amplifier.maintenance.session_rows import Rows, line

FORMAT = {"format": "amplifier-sessions", "version": 1}
_PART = ".part"
_REMEDY = "name a folder that exists and that this user may write, with room on its disk"


class Archived(NamedTuple):
    """A session in a finished file, as it was when it was read."""

    session_id: str
    last_seq: int
    updated_at: datetime


class Archive:
    """A folder of archive files. One command at a time writes into it."""

    def __init__(self, folder: Path) -> None:
        """Deletes what a killed command left unfinished. Raises InputError."""
        self.folder = folder
        with self._usable():
            if not folder.is_dir():
                raise InputError(folder, "is no folder", _REMEDY)
            for left in folder.glob(f"sessions-*{_PART}"):
                left.unlink()

    def write(
        self, connection: Connection, rule: str, session_ids: Iterable[str], condition: Composable
    ) -> tuple[Path, list[Archived]]:
        """Writes the sessions that still fulfil the condition into a new file, from one snapshot of the database.

        Returns the finished file and its sessions. Raises InputError.
        """
        name = f"sessions-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.ndjson.gz"
        part, file = self.folder / f"{name}{_PART}", self.folder / name
        archived: list[Archived] = []
        with self._usable():
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
                    with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6) as packed:
                        for text in _lines(connection, rule, session_ids, condition, archived):
                            packed.write(text.encode())
                    raw.flush()
                    os.fsync(raw.fileno())
                part.rename(file)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._flush_names()
        return file, archived

    def _flush_names(self) -> None:
        """Makes the new name survive a power cut."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(self.folder, error.strerror or str(error), _REMEDY) from error


def _lines(
    connection: Connection, rule: str, session_ids: Iterable[str], condition: Composable, archived: list[Archived]
) -> Iterator[str]:
    counts: dict[str, int] = {}
    configs: set[str] = set()
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        rows = Rows(connection)
        yield _said("archive", FORMAT | {"created_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "rule": rule})
        for session_id in session_ids:
            found = connection.execute(
                SQL("select last_seq, updated_at, config_id from sessions as s where session_id = {} and {}").format(
                    Literal(session_id), condition
                )
            ).fetchone()
            if found is None:
                continue
            last_seq, updated_at, config_id = found
            if config_id not in configs:
                configs.add(config_id)
                yield from (
                    line("config", row) for row in rows.of("configs", SQL("config_id = {}").format(Literal(config_id)))
                )
            for type, text in rows.of_session(session_id):
                counts[type] = counts.get(type, 0) + 1
                yield text
            archived.append(Archived(session_id, last_seq, updated_at))
        yield _said("end", counts)


def _said(type: str, members: dict[str, Any]) -> str:
    return json.dumps({"type": type, **members}) + "\n"
