"""The database of opencode, which is read only: the tables `session`, `message` and `part`, with JSON in `data`."""

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amplifier.imports.lines import LONGEST, Unreadable
from amplifier.imports.readers.opencode_files import Message, decoded

_MAGIC = b"SQLite format 3\0"
_TABLES = frozenset({"session", "message", "part"})
# of a session: the columns, as the files call them
_ABOUT = {
    "id": "id",
    "project_id": "projectID",
    "parent_id": "parentID",
    "directory": "directory",
    "title": "title",
    "version": "version",
}
_DATA = "case when length(cast(data as blob)) <= ? then data end"
_MESSAGES = f"select id, {_DATA} from message where session_id = ? order by time_created, id"  # noqa: S608
_PARTS = f"select id, {_DATA} from part where message_id = ? order by id"  # noqa: S608


class Unusable(OSError):
    """Raised for a database that cannot be read."""


def matches(path: Path, head: bytes) -> bool:
    """Returns whether a file is a database with the tables of opencode."""
    if path.suffix != ".db" or not head.startswith(_MAGIC):
        return False
    try:
        with _connected(path) as connection:
            found = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
            return {name for (name,) in found} >= _TABLES
    except Unusable:
        return False


def sessions(path: Path) -> Iterator[dict[str, Any]]:
    """Yields what is known about each session, in the order of their times. Raises OSError."""
    with _connected(path) as connection:
        names = sorted({row[1] for row in connection.execute("pragma table_info(session)")} & _ABOUT.keys())
        order = [row[0] for row in connection.execute("select id from session order by time_created, id")]
    for session_id in order:
        with _connected(path) as connection:
            row = connection.execute(
                f"select time_created, {', '.join(names)} from session where id = ?",  # noqa: S608 - of _ABOUT
                (session_id,),
            ).fetchone()
        if row is not None:
            about = {_ABOUT[name]: value for name, value in zip(names, row[1:], strict=True)}
            yield {**about, "time": {"created": row[0]}}


def messages(path: Path, about: dict[str, Any]) -> Iterator[Message]:
    """Yields the messages of a session, in the order of their times. Raises OSError."""
    with _connected(path) as connection:
        for message_id, data in connection.execute(_MESSAGES, (LONGEST, about["id"])):
            faults: list[str] = []
            info = _object(data, message_id, faults)
            if info:
                info |= {"id": message_id, "sessionID": about["id"]}
            rows = connection.execute(_PARTS, (LONGEST, message_id))
            parts = [(name, _object(text, name, faults)) for name, text in rows]
            named = [
                {**part, "id": name, "messageID": message_id, "sessionID": about["id"]} for name, part in parts if part
            ]
            yield Message(info, named, faults)


def _object(data: Any, name: Any, faults: list[str]) -> dict[str, Any]:
    try:
        if not isinstance(data, str | bytes):
            raise Unreadable(f"it is no text of at most {LONGEST} bytes")
        return decoded(data)
    except Unreadable as error:
        faults.append(f"{name} cannot be read: {error}")
        return {}


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Yields a connection that sees one state of the database. Raises Unusable for what goes wrong."""
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            connection.execute("pragma query_only = on")
            connection.execute("begin")
            yield connection
    except sqlite3.Error as error:
        raise Unusable(0, f"the database cannot be read: {error}") from error
