"""The file that a session was imported from, which is written again as it was."""

from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.exports.source import Exported, FormatName

_METADATA = ("metadata.json", "metadata.json.backup")


class Origin(msgspec.Struct):
    """An imported session whose messages up to `last_seq` are lines of its file, in the same order.

    `lines` counts all lines of the file that are the session's, `messages` those that are messages. `is_whole` is False
    if the last line had no line feed.
    """

    tool: str
    source_id: str
    path: str
    title: str | None
    lines: int
    is_whole: bool
    files: msgspec.Raw
    messages: int
    last_seq: int

    def fits(self, session: Exported, name: FormatName) -> bool:
        """Returns whether a format is that of the tool, and the session has its id there: forks have others."""
        return self.tool == name and session.external_id == f"{self.tool}:{self.source_id}"

    def about(self) -> str | None:
        """Returns the text of the file of metadata beside a transcript of the Amplifier CLI."""
        files: dict[str, str] = msgspec.json.decode(self.files)
        return next((files[name] for name in _METADATA if name in files), None)

    def file_name(self) -> str | None:
        """Returns the name of the file if the tool knows it again by that."""
        name = self.path.replace("\\", "/").rpartition("/")[2]
        if self.tool == "claude-code":
            return f"{self.source_id.rpartition('/')[2]}.jsonl"
        return name if self.tool == "codex" and name.startswith("rollout-") and name.endswith(".jsonl") else None


class OriginLine(msgspec.Struct):
    """A line of a file, without its line feed; None for one that was too long to keep.

    `first_line` is the number of the first line that is stored in the same row.
    """

    first_line: int
    line: bytes | None


class Copy:
    """Puts lines together to the file that they were."""

    def __init__(self, origin: Origin) -> None:
        self._left, self._is_whole = origin.lines, origin.is_whole
        self._is_open = False

    def of(self, lines: list[bytes | None]) -> list[bytes]:
        """Returns those of the next lines that are kept and were there when the export began."""
        kept = [line for line in lines[: self._left] if line is not None]
        self._left -= min(len(lines), self._left)
        return kept

    def joined(self, lines: list[bytes]) -> bytes:
        """Returns lines as a piece of the file."""
        self._is_open = bool(lines) and not self._left and not self._is_whole
        return b"".join(line + b"\n" for line in lines)[: -1 if self._is_open else None]

    def separated(self, text: str) -> str:
        """Returns text that follows the file, on lines of its own."""
        if not text or not self._is_open:
            return text
        self._is_open = False
        return "\n" + text

    @property
    def is_done(self) -> bool:
        """True if no line is left."""
        return not self._left


def entry(line: bytes) -> dict[str, Any]:
    """Returns the object on a line, or an empty one."""
    try:
        found = msgspec.json.decode(json_characters.replaced(line.decode(errors="replace").encode()))
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
