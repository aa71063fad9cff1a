"""Session files as tools write them, made for tests, and imports of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amplifier.imports import formats
from amplifier.imports.importer import Importer
from amplifier.imports.redaction import Redaction
from amplifier.imports.report import Report
from amplifier.imports.store import Store, connected

DEEP = "[" * 300_000 + "]" * 300_000  # JSON that no parser of any Python follows to its end


def imported(dsn: str, *paths: Path, user_id: str = "ann", redacts: bool = False, dry_run: bool = False) -> Report:
    """Imports files and folders, and returns the report."""
    report = Report()
    with connected(dsn) as connection:
        importer = Importer(Store(connection, user_id, None), report, Redaction(redacts), dry_run)
        with importer.alone():
            for source in formats.found(list(paths), formats.AUTO, report.file, report.skip):
                importer.take(source)
            importer.finish()
    return report


def write(path: Path, entries: Iterable[Any]) -> Path:
    """Writes lines of JSON; bytes stay as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line(entry) for entry in entries))
    return path


def add(path: Path, *entries: Any) -> None:
    """Adds lines to a file."""
    with path.open("ab") as file:
        file.write(b"".join(line(entry) for entry in entries))


def line(entry: Any) -> bytes:
    """Returns an entry as a line."""
    return entry if isinstance(entry, bytes) else json.dumps(entry, ensure_ascii=False).encode() + b"\n"


class Claude:
    """Entries of Claude Code, each the child of the one before."""

    def __init__(self, session_id: str) -> None:
        self._session_id, self._number, self._parent = session_id, 0, None

    def entry(self, role: str, content: Any, parent: Any = ..., **more: Any) -> dict[str, Any]:
        """Returns the next entry. `parent` is a uuid if it is not the one before."""
        self._number += 1
        uuid = f"{self._session_id}-uuid-{self._number:04}"
        entry = {
            "parentUuid": self._parent if parent is ... else parent,
            "isSidechain": False,
            "cwd": "/home/ann/shop",
            "sessionId": self._session_id,
            "version": "2.1.0",
            "gitBranch": "main",
            "type": role,
            "message": {"role": role, "content": content},
            "uuid": uuid,
            "timestamp": f"2026-03-01T10:{self._number // 60:02}:{self._number % 60:02}.000Z",
            **more,
        }
        self._parent = uuid
        return entry

    def say(self, text: str, **more: Any) -> dict[str, Any]:
        """Returns a prompt."""
        return self.entry("user", text, **more)

    def answer(self, text: str, **more: Any) -> dict[str, Any]:
        """Returns an answer."""
        return self.entry("assistant", [{"type": "text", "text": text}], **more)
