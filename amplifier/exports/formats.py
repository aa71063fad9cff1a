"""The formats by name, and documents in them: pieces of bytes, made while messages come in."""

import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

from amplifier.exports.amplifier_cli import METADATA, TRANSCRIPT, Amplifier
from amplifier.exports.anthropic import Anthropic
from amplifier.exports.claude_code import ClaudeCode
from amplifier.exports.codex import Codex
from amplifier.exports.html import Html
from amplifier.exports.markdown import Markdown
from amplifier.exports.names import safe
from amplifier.exports.openai import OpenAI
from amplifier.exports.origin import Copy, Origin
from amplifier.exports.plain_lines import JsonLines
from amplifier.exports.source import Exported, FormatName, Line, Writer


class Format(NamedTuple):
    """The media type of a format, and its writer."""

    media_type: str
    writer: Callable[[Exported], Writer]


FORMATS: dict[FormatName, Format] = {
    "jsonl": Format("application/x-ndjson", JsonLines),
    "openai": Format("application/json", OpenAI),
    "anthropic": Format("application/json", Anthropic),
    "claude-code": Format("application/x-ndjson", ClaudeCode),
    "codex": Format("application/x-ndjson", Codex),
    "amplifier": Format("application/zip", Amplifier),
    "markdown": Format("text/markdown; charset=utf-8", Markdown),
    "html": Format("text/html; charset=utf-8", Html),
}


# The formats in which an imported session is written as it came.
COPIED: frozenset[FormatName] = frozenset({"amplifier", "claude-code", "codex"})


class Document:
    """A transcript in a format, in pieces. That of an imported session begins with its file, if `origin` is given."""

    def __init__(self, name: FormatName, session: Exported, origin: Origin | None = None) -> None:
        self._writer = FORMATS[name].writer(session)
        self._folder = _Folder(session) if isinstance(self._writer, Amplifier) else None
        self._copy = None if origin is None else Copy(origin)
        if origin is not None and isinstance(self._writer, Amplifier):
            self._writer.resume(origin)

    def begin(self) -> bytes:
        """Returns what is before the first message. A file that is written again has its own head."""
        return self._packed(self._writer.begin() if self._copy is None else "")

    @property
    def is_copied(self) -> bool:
        """True if no line of the imported file is left, or there is none."""
        return self._copy is None or self._copy.is_done

    def copy(self, lines: list[bytes | None]) -> bytes:
        """Returns the next lines of the imported file, of which there are some left."""
        assert self._copy is not None  # noqa: S101
        kept = self._copy.of(lines)
        if isinstance(self._writer, Amplifier | ClaudeCode):
            self._writer.follow(kept)
        content = self._copy.joined(kept)
        return content if self._folder is None else self._folder.add(content)

    def add(self, lines: list[Line]) -> bytes:
        """Returns what the next messages add."""
        return self._packed("".join(map(self._writer.add, lines)))

    def end(self) -> bytes:
        """Returns what follows the last message."""
        text = self._separated(self._writer.end())
        if self._folder is None or not isinstance(self._writer, Amplifier):
            return _encoded(text)
        return self._folder.add(_encoded(text)) + self._folder.end(self._writer.metadata())

    def _packed(self, text: str) -> bytes:
        content = _encoded(self._separated(text))
        return content if self._folder is None else self._folder.add(content)

    def _separated(self, text: str) -> str:
        return text if self._copy is None else self._copy.separated(text)


class _Folder:
    """The ZIP file with the folder of a session, written piece by piece."""

    def __init__(self, session: Exported) -> None:
        self._name, self._made = safe(session.id_in("amplifier")), session.updated_at.timetuple()[:6]
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w")  # type: ignore[call-overload]
        self._file = self._archive.open(self._info(TRANSCRIPT), "w", force_zip64=True)

    def add(self, content: bytes) -> bytes:
        """Returns what more of the transcript adds to the ZIP file."""
        self._file.write(content)
        return self._sink.taken()

    def end(self, metadata: str) -> bytes:
        """Returns the rest of the ZIP file, with the file of metadata."""
        self._file.close()
        self._archive.writestr(self._info(METADATA), metadata)
        self._archive.close()
        return self._sink.taken()

    def _info(self, name: str) -> zipfile.ZipInfo:
        """Returns the entry of a file; its time is that of the session's last change, so that equal ones stay equal."""
        info = zipfile.ZipInfo(f"{self._name}/{name}", self._made)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        return info


class _Sink:
    """A file that hands on what was written to it. Without `seek`, zipfile writes sizes after the content."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        """Returns what was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
