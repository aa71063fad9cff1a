"""The formats that can be imported, and the files of these formats in folders."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import cast

from amplifier.imports import archives, lines
from amplifier.imports.items import Reader, Source
from amplifier.imports.readers import (
    amplifier_cli,
    chatgpt,
    claude_ai,
    claude_code,
    codex,
    conversations,
    messages,
    opencode,
)

_MODULES: tuple[ModuleType, ...] = (amplifier_cli, codex, claude_code, opencode, chatgpt, claude_ai)
_ORDER = (*(cast(Reader, module) for module in _MODULES), *map(messages.Reader, messages.TOOLS))  # asked in this order
READERS: dict[str, Reader] = {reader.TOOL: reader for reader in _ORDER}
AUTO = "auto"
_HEAD = 256 * 1024  # bytes of a file that readers see to recognise it
_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".backup", ".zip", ".db"})

Report = Callable[[Path, str], None]


def places() -> list[Path]:
    """Returns the existing folders where the tools keep their files."""
    return [place for reader in READERS.values() for place in reader.places() if place.exists()]


def found(paths: list[Path], format: str, unreadable: Report, unknown: Report) -> Iterator[Source]:
    """Yields the sources in files and folders, in the order of their paths.

    Calls `unreadable` for what cannot be opened, and `unknown` for files that are of no format and might be. A folder
    is entered once, also if links lead to it again.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        for file in _files(path, seen, unreadable):
            if path != file and file.suffix not in _SUFFIXES:
                continue
            try:
                one = source(file, format)
                doubt = None if one or path == file else _doubt(file)
            except OSError as error:
                unreadable(file, error.strerror or str(error))
                continue
            if one is not None:
                yield one
            elif doubt:
                unreadable(file, doubt)
            elif file.suffix in (".jsonl", ".ndjson") or path == file:
                unknown(file, "is of no format that is known")


def _doubt(file: Path) -> str | None:
    """Returns why a JSON file in a folder may have conversations, though its format is not known, or None."""
    if file.suffix != ".json":
        return None
    if file.stat().st_size > (most := conversations.LONGEST):
        return f"it is of no format that is known, or one value of more than {most} bytes"
    return lines.TOO_DEEP if any(map(lines.is_too_deep, archives.first(file))) else None


def source(path: Path, format: str = AUTO) -> Source | None:
    """Returns the source that a file is, or None. Raises OSError.

    What SQLite has not moved to a database yet is in a file beside it, with `-wal` at the end of its name.
    """
    path = path.with_name(path.name.removesuffix("-wal"))
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if path.suffix == ".jsonl" and b"\n" not in head:
            head += file.readline(lines.LONGEST)
        size = os.fstat(file.fileno()).st_size
    for name, reader in READERS.items():
        if format in (AUTO, name) and reader.matches(path, head):
            return Source(path, name, size)
    return None


def _files(path: Path, seen: set[tuple[int, int]], unreadable: Report) -> Iterator[Path]:
    """Yields the regular files at a path and below it."""
    try:
        status = path.stat()
        if not path.is_dir():
            if path.is_file() and (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield path
            return
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        names = sorted(os.listdir(path))
    except OSError as error:
        unreadable(path, error.strerror or str(error))
        return
    for name in names:
        yield from _files(path / name, seen, unreadable)
