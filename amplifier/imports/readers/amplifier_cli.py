"""Session folders of the Amplifier CLI: `transcript.jsonl` with a message per line, and `metadata.json`.

The CLI writes the transcript anew at each turn, and keeps the former one as `.backup`.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier.imports import lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source

TOOL = "amplifier"
FILE, BACKUP = "transcript.jsonl", "transcript.jsonl.backup"
_METADATA = ("metadata.json", "metadata.json.backup")
_LARGEST = 1_000_000  # bytes of metadata that are kept


class _Entry(msgspec.Struct):
    role: Any = None
    content: Any = None
    metadata: Any = None


_decoder = msgspec.json.Decoder(_Entry)


def places() -> list[Path]:
    """Returns the folder of the CLI's projects."""
    return [Path.home() / ".amplifier" / "projects"]


def matches(path: Path, head: bytes) -> bool:
    """Returns whether a file is a transcript, or the backup of one that is missing or has nothing that can be read."""
    if path.name == FILE:
        return _has_something(path) or not _has_something(path.with_name(BACKUP))
    return path.name == BACKUP and not _has_something(path.with_name(FILE)) and _has_something(path)


def parts(source: Source) -> Iterator[Part]:
    """Yields the file as one part."""
    yield Part(functools.partial(read, source), source.size)


def read(source: Source) -> Iterator[Item]:
    """Yields the session of a folder."""
    folder = source.path.parent
    name, about, fault = _metadata(folder)
    if fault:
        yield Fault(0, fault)
    session = _session(folder.name, msgspec.json.decode(about) if about else {})
    if name and about and session:
        session.files[name] = about
    if source.path.name == BACKUP:
        yield Fault(0, f"{FILE} is missing or cannot be read: its backup is taken", is_loss=False)
    yield session
    for line, entry, text, faults in lines.parsed(source.path, _decoder):
        yield from faults
        if lines.is_half(line):
            break
        found = Line(MAIN, line.number, line.raw, is_whole=line.is_whole)
        if entry is not None:
            try:
                found.message = lines.message(text)
            except lines.Unreadable as error:
                yield Fault(line.number, str(error))
            if isinstance(entry.metadata, dict):
                found.created_at = lines.time(entry.metadata.get("timestamp"))
            if session.title is None and entry.role == "user":
                session.title = titles.title(titles.said(entry.content))
        yield found
    yield session


def _has_something(path: Path) -> bool:
    """Returns whether a line of the file can be read."""
    with contextlib.suppress(OSError):
        return any(entry is not None for _, entry, _, _ in lines.parsed(path, _decoder))
    return False


def _metadata(folder: Path) -> tuple[str | None, str | None, str | None]:
    """Returns the name and text of the metadata that can be read, or the reason why there is none."""
    fault = None
    for name in _METADATA:
        try:
            text = (folder / name).read_bytes()
            if len(text) > _LARGEST:
                fault = f"{name} has more than {_LARGEST} bytes and is left out"
            elif isinstance(msgspec.json.decode(text), dict):
                return name, text.decode(), None
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            fault = fault or f"{name} cannot be read: {error}"
    return None, None, fault


def _session(name: str, about: dict[str, Any]) -> Session:
    parent, is_fork = lines.text(about.get("parent_id")), about.get("forked_from_turn") is not None
    tags = {
        "cwd": lines.text(about.get("working_dir")),
        "model": lines.text(about.get("model")),
        "bundle": lines.text(about.get("bundle")),
        "agent": lines.text(about.get("agent_name")),
    }
    return Session(
        key=MAIN,
        source_id=name[:400],
        title=titles.title(about.get("name")),
        created_at=lines.time(about.get("created")),
        tags={key: value for key, value in tags.items() if value},
        parent=None if is_fork else parent,
        fork_of=parent if is_fork else None,
    )
