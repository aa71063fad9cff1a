"""The files of opencode: `session/<project>/<id>.json`, `message/<session>/<id>.json`, `part/<message>/<id>.json`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from amplifier.imports import lines
from amplifier.imports.lines import Unreadable

_LARGEST = lines.LONGEST  # bytes of a file
_MOST = 100_000  # files in a folder
DATABASE = "opencode.db"


class Message(NamedTuple):
    """A message with its parts, and what is wrong with files of it."""

    info: dict[str, Any]
    parts: list[dict[str, Any]]
    faults: list[str]


def matches(path: Path, head: bytes) -> bool:
    """Returns whether a file describes a session, and lies where opencode keeps these, and not in a database by now."""
    if path.suffix != ".json" or path.parent.parent.name != "session":
        return False
    if len(path.parents) > 3 and (path.parents[3] / DATABASE).exists():
        return False
    return head.lstrip().startswith(b"{") and b'"id"' in head


def session(path: Path) -> dict[str, Any]:
    """Returns what a file says about its session. Raises OSError."""
    try:
        return _decoded(path)
    except Unreadable as error:
        raise OSError(0, f"it cannot be read: {error}") from error


def messages(path: Path, about: dict[str, Any]) -> Iterator[Message]:
    """Yields the messages of a session, in the order of their times. Raises OSError."""
    storage = path.parent.parent.parent
    found: list[tuple[Any, str, Path]] = []
    for file in _files(storage / "message", about.get("id"), path.stem):
        try:
            info = _decoded(file)
        except Unreadable:
            info = {}
        found.append((_created(info), str(info.get("id") or file.stem), file))
    for _, _, file in sorted(found, key=lambda one: one[:2]):
        faults: list[str] = []
        info = _read(file, faults)
        parts = [_read(part, faults) for part in _files(storage / "part", info.get("id"), file.stem)]
        parts.sort(key=lambda one: str(one.get("id")))
        yield Message(info, [part for part in parts if part], faults)


def _read(path: Path, faults: list[str]) -> dict[str, Any]:
    try:
        return _decoded(path)
    except Unreadable as error:
        faults.append(f"{path.parent.name}/{path.name} cannot be read: {error}")
        return {}


def _created(info: dict[str, Any]) -> float:
    times = info.get("time")
    created = times.get("created") if isinstance(times, dict) else None
    return float(created) if isinstance(created, int | float) and abs(created) < 1e18 else 0.0


def _files(folder: Path, name: Any, other: str) -> list[Path]:
    """Returns the files in the folder that is named by an id, or else by the file that has the id."""
    for one in (name, other):
        if not isinstance(one, str) or not one or one in (".", "..") or {"/", "\\", "\0"} & set(one):
            continue
        try:
            names = sorted(os.listdir(folder / one))
        except (FileNotFoundError, NotADirectoryError):
            continue
        if len(names) > _MOST:
            raise OSError(0, f"{folder.name}/{one} has {len(names)} files: at most {_MOST} are read")
        return [folder / one / file for file in names if file.endswith(".json")]
    return []


def _decoded(path: Path) -> dict[str, Any]:
    """Returns the object in a file. Raises OSError, and Unreadable for what is none."""
    with path.open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise Unreadable(f"it has more than {_LARGEST} bytes")
    return decoded(text)


def decoded(text: bytes | str) -> dict[str, Any]:
    """Returns the object in a text. Raises Unreadable."""
    try:
        value = msgspec.json.decode(lines.stored(text.encode(errors="replace") if isinstance(text, str) else text)[0])
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise Unreadable(str(error)) from None
    if not isinstance(value, dict):
        raise Unreadable("it is no JSON object")
    return value
