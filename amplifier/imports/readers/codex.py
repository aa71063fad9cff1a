"""Rollouts of Codex: `{timestamp, type, payload}` per line. The items of a response are the messages.

What `event_msg` lines repeat for people, contexts of turns and compactions stay lines. Rollouts of early versions have
the items themselves as lines.
"""

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source

TOOL = "codex"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TYPES = frozenset(
    {"session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state"}
)  # of lines with a payload
_COUNTED = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")


class _Entry(msgspec.Struct):
    timestamp: Any = None
    type: Any = None
    payload: msgspec.Raw = msgspec.Raw()
    role: Any = None
    content: Any = None
    id: Any = None
    instructions: Any = None
    record_type: Any = None


class _Payload(msgspec.Struct):
    type: Any = None
    role: Any = None
    content: Any = None
    message: Any = None
    id: Any = None
    timestamp: Any = None
    cwd: Any = None
    cli_version: Any = None
    git: Any = None
    model: Any = None
    source: Any = None
    agent_role: Any = None
    agent_nickname: Any = None
    parent_thread_id: Any = None
    forked_from_id: Any = None
    thread_name: Any = None
    info: Any = None


_decoder = msgspec.json.Decoder(_Entry)
_payload = msgspec.json.Decoder(_Payload)


def places() -> list[Path]:
    """Returns the folders of sessions and of archived ones."""
    home = os.environ.get("CODEX_HOME")
    folder = Path(home) if home else Path.home() / ".codex"
    return [folder / "sessions", folder / "archived_sessions"]


def matches(path: Path, head: bytes) -> bool:
    """Returns whether the first lines are those of a rollout."""
    if path.suffix != ".jsonl":
        return False
    for line in head.split(b"\n")[:20]:
        try:
            entry = _decoder.decode(json_characters.stored(line))
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            continue
        if entry.payload:
            return entry.type in _TYPES
        if path.name.startswith("rollout-") and (entry.instructions is not None or entry.record_type == "state"):
            return True
    return path.name.startswith("rollout-")


def parts(source: Source) -> Iterator[Part]:
    """Yields the file as one part."""
    yield Part(functools.partial(read, source), source.size)


def read(source: Source) -> Iterator[Item]:
    """Yields the session of a rollout."""
    rollout = _Rollout(source.path)
    rollout.begin()
    yield rollout.session
    for line, entry, text, faults in lines.parsed(source.path, _decoder):
        yield from faults
        if lines.is_half(line):
            break
        found = Line(MAIN, line.number, line.raw, is_whole=line.is_whole)
        if entry is not None:
            found.created_at = lines.time(entry.timestamp)
            try:
                found.message = rollout.message(entry, text)
            except (lines.Unreadable, msgspec.MsgspecError, RecursionError) as error:
                yield Fault(line.number, str(error))
        yield found
    yield rollout.finished()


class _Rollout:
    """The session of a rollout, in its own words."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = _UUID.findall(path.stem)
        self.session = Session(key=MAIN, source_id=found[-1] if found else path.stem[:400])
        self._has_meta = False
        self._prompt: str | None = None

    def begin(self) -> None:
        """Reads the first line, which has the session's id."""
        for _, entry, text, _ in lines.parsed(self._path, _decoder):
            if entry is not None:
                with contextlib.suppress(lines.Unreadable, msgspec.MsgspecError, RecursionError):
                    self.message(entry, text)
            return

    def message(self, entry: _Entry, text: bytes) -> bytes | None:
        """Returns the message of a line, or None, and learns from the line. Raises Unreadable."""
        if not entry.payload:
            return self._early(entry, text)
        payload = _payload.decode(entry.payload)
        if entry.type == "session_meta" and not self._has_meta:
            self._meta(payload)
        elif entry.type == "turn_context":
            self._tag(model=payload.model, cwd=payload.cwd)
        elif entry.type == "event_msg":
            self._event(payload)
        elif entry.type == "response_item":
            if self._prompt is None and payload.role == "user":
                self._prompt = titles.title(titles.said(payload.content))
            return lines.message(entry.payload)
        return None

    def finished(self) -> Session:
        """Returns the session with what the rollout said about it."""
        self.session.title = self.session.title or self._prompt
        return self.session

    def _early(self, entry: _Entry, text: bytes) -> bytes | None:
        if entry.type is None:
            if not self._has_meta and isinstance(entry.id, str):
                self._has_meta, self.session.created_at = True, lines.time(entry.timestamp)
            return None
        if self._prompt is None and entry.role == "user":
            self._prompt = titles.title(titles.said(entry.content))
        return lines.message(text)

    def _meta(self, payload: _Payload) -> None:
        """Takes the first session_meta: those that follow are of the sessions that this one was forked from."""
        self._has_meta, session = True, self.session
        session.source_id = lines.text(payload.id, 400) or session.source_id
        session.tool_version = lines.text(payload.cli_version, 100)
        session.created_at = lines.time(payload.timestamp)
        branch = payload.git.get("branch") if isinstance(payload.git, dict) else None
        self._tag(cwd=payload.cwd, branch=branch, agent=payload.agent_role or payload.agent_nickname)
        session.fork_of = lines.text(payload.forked_from_id, 400)
        session.parent = lines.text(payload.parent_thread_id, 400) or _spawned_by(payload.source)

    def _event(self, payload: _Payload) -> None:
        if payload.type == "user_message" and self._prompt is None:
            self._prompt = titles.title(titles.said(payload.message))
        elif payload.type == "thread_name_updated" and (title := titles.title(payload.thread_name)):
            self.session.title = title
        elif payload.type == "token_count" and isinstance(payload.info, dict):
            total = payload.info.get("total_token_usage")
            if isinstance(total, dict):
                counts = {name: total.get(name) for name in _COUNTED}
                self.session.metadata = {name: n for name, n in counts.items() if isinstance(n, int) and 0 < n < 2**50}

    def _tag(self, **values: Any) -> None:
        for name, value in values.items():
            if text := lines.text(value):
                self.session.tags[name] = text


def _spawned_by(source: Any) -> str | None:
    """Returns the thread that started a sub-agent, from `{"subagent": {"thread_spawn": {"parent_thread_id"}}}`."""
    for member in ("subagent", "thread_spawn", "parent_thread_id"):
        source = source.get(member) if isinstance(source, dict) else None
    return lines.text(source, 400)
