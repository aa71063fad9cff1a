"""Sessions of opencode: JSON files in folders of `storage`, or the tables of `opencode.db` in newer versions.

Both become the same lines, so that a session whose files were moved into the database is nothing new: one per message,
`{"info": ..., "parts": [...]}`, with members in alphabetical order.
"""

import functools
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source
from amplifier.imports.readers import opencode_database, opencode_files
from amplifier.imports.readers.opencode_files import Message

TOOL = "opencode"
_DAY = timedelta(days=1)
_COUNTED = {"input": "input_tokens", "output": "output_tokens", "reasoning": "reasoning_output_tokens"}


def places() -> list[Path]:
    """Returns the folder of sessions, and the database."""
    home = os.environ.get("XDG_DATA_HOME")
    folder = (Path(home) if home else Path.home() / ".local" / "share") / "opencode"
    return [folder / "storage", folder / opencode_files.DATABASE]


def matches(path: Path, head: bytes) -> bool:
    """Returns whether a file describes a session, or is the database."""
    return opencode_files.matches(path, head) or opencode_database.matches(path, head)


def parts(source: Source) -> Iterator[Part]:
    """Yields the session of a file, or those of the database. Raises OSError."""
    if source.path.suffix == ".json":
        yield Part(functools.partial(_file, source), source.size)
        return
    for about in opencode_database.sessions(source.path):
        messages = functools.partial(opencode_database.messages, source.path, about)
        yield Part(functools.partial(_session, about, messages), 0)


def _file(source: Source) -> Iterator[Item]:
    about = opencode_files.session(source.path)
    return _session(about, functools.partial(opencode_files.messages, source.path, about))


def _session(about: dict[str, Any], messages: Any) -> Iterator[Item]:
    """Yields a session with the messages that `messages` returns, except those at its end that are being written."""
    times = about.get("time")
    session = Session(
        key=MAIN,
        source_id=lines.text(about.get("id"), 400) or "without-id",
        tool_version=lines.text(about.get("version"), 100),
        title=titles.title(about.get("title")),
        created_at=lines.time(times.get("created")) if isinstance(times, dict) else None,
        parent=lines.text(about.get("parentID"), 400),
    )
    if cwd := lines.text(about.get("directory")):
        session.tags["cwd"] = cwd
    yield session
    waiting: list[tuple[int, Message]] = []
    for number, message in enumerate(messages(), 1):
        waiting.append((number, message))
        if not _is_open(message):
            for one in waiting:
                yield from _line(session, *one)
            waiting.clear()
    for number, _ in waiting:
        yield Fault(number, "the message is being written: the next import takes it", is_loss=False)
    yield session


def _is_open(message: Message) -> bool:
    """Returns whether an answer is neither complete nor has failed, and is not older than a day."""
    info = message.info
    if info.get("role") != "assistant" or info.get("error") or info.get("finish"):
        return False
    times = info.get("time")
    if not isinstance(times, dict) or times.get("completed") is not None:
        return False
    begun = lines.time(times.get("created"))
    return begun is not None and datetime.now(UTC) - begun < _DAY


def _line(session: Session, number: int, message: Message) -> Iterator[Item]:
    for reason in message.faults:
        yield Fault(number, reason)
    text = msgspec.json.encode({"info": message.info, "parts": message.parts}, order="sorted")
    line = Line(MAIN, number, json_characters.restored(text) if len(text) <= lines.LONGEST else None)
    times = message.info.get("time")
    line.created_at = lines.time(times.get("created")) if isinstance(times, dict) else None
    try:
        if line.raw is None:
            raise lines.Unreadable(f"it has {len(text)} bytes: at most {lines.LONGEST} are kept")
        if not isinstance(message.info.get("role"), str):
            raise lines.Unreadable("it has no role")
        line.message = lines.message(text)
    except lines.Unreadable as error:
        yield Fault(number, str(error))
    _learn(session, message)
    yield line


def _learn(session: Session, message: Message) -> None:
    info = message.info
    model, chosen = info.get("modelID"), info.get("model")
    if model is None and isinstance(chosen, dict):
        model = chosen.get("modelID")
    for tag, value in (("model", model), ("agent", info.get("agent") or info.get("mode"))):
        if text := lines.text(value):
            session.tags[tag] = text
    if session.title is None and info.get("role") == "user":
        session.title = titles.title(titles.said([part for part in message.parts if not part.get("synthetic")]))
    tokens = info.get("tokens")
    for name, counted in _COUNTED.items():
        count = tokens.get(name) if isinstance(tokens, dict) else None
        if isinstance(count, int) and 0 < count < 2**40:
            session.metadata[counted] = session.metadata.get(counted, 0) + count
