"""Project folders of Claude Code: a file of JSON lines for each session, linked by `uuid` and `parentUuid`.

A prompt that follows something before the turn's beginning is a rewind: from there on the file is about another branch,
which becomes a fork. Sub-agents have files of their own, or lines in the file of their session (`isSidechain`).
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source

TOOL = "claude-code"
_TYPES = frozenset({"user", "assistant", "system", "summary", "attachment", "progress", "file-history-snapshot"})
_HEAD = 200_000  # bytes in which other sessions are named
_COUNTED = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class _Message(msgspec.Struct):
    role: Any = None
    content: Any = None
    model: Any = None
    usage: Any = None
    id: Any = None


class _Entry(msgspec.Struct, rename={"parent": "parentUuid", "is_side": "isSidechain", "is_meta": "isMeta"}):
    type: Any = None
    uuid: Any = None
    parent: Any = None
    is_side: Any = None
    is_meta: Any = None
    isCompactSummary: Any = None  # noqa: N815 - as in the file
    sessionId: Any = None  # noqa: N815
    timestamp: Any = None
    version: Any = None
    cwd: Any = None
    gitBranch: Any = None  # noqa: N815
    agentId: Any = None  # noqa: N815
    attributionAgent: Any = None  # noqa: N815
    summary: Any = None
    customTitle: Any = None  # noqa: N815
    aiTitle: Any = None  # noqa: N815
    forkedFrom: Any = None  # noqa: N815
    message: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Entry)
_message = msgspec.json.Decoder(_Message)


def places() -> list[Path]:
    """Returns the folder of the projects."""
    home = os.environ.get("CLAUDE_CONFIG_DIR")
    return [(Path(home) if home else Path.home() / ".claude") / "projects"]


def matches(path: Path, head: bytes) -> bool:
    """Returns whether the first lines are entries of Claude Code."""
    if path.suffix != ".jsonl":
        return False
    for line in head.split(b"\n")[:20]:
        try:
            entry = _decoder.decode(json_characters.stored(line))
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            continue
        if isinstance(entry.sessionId, str) and isinstance(entry.type, str):
            return True
        if entry.type == "summary" and isinstance(entry.summary, str):
            return True
    return False


def parts(source: Source) -> Iterator[Part]:
    """Yields the file as one part."""
    yield Part(functools.partial(read, source), source.size)


def read(source: Source) -> Iterator[Item]:
    """Yields the sessions of a file: the main one, branches, and sub-agents whose lines are in the file."""
    yield from _File(source.path).read()


class _Branch:
    """One of the sessions of a file, while it is read."""

    def __init__(self, session: Session, is_side: bool) -> None:
        self.session, self.is_side = session, is_side
        self.turn = 0  # number of the line of the last prompt
        self.titles: dict[str, str] = {}
        self.tokens = dict.fromkeys(_COUNTED, 0)
        self.counted: Any = None  # id of the answer whose tokens were counted last

    def learn(self, entry: _Entry) -> None:
        """Takes title, version and tags from an entry."""
        for name, value in (("custom", entry.customTitle), ("ai", entry.aiTitle), ("summary", entry.summary)):
            if entry.type in ("custom-title", "ai-title", "summary") and (title := titles.title(value)):
                self.titles[name] = title
        session = self.session
        if version := lines.text(entry.version, 100):
            session.tool_version = version
        for tag, value in (("cwd", entry.cwd), ("branch", entry.gitBranch), ("agent", entry.attributionAgent)):
            if value := lines.text(value):
                session.tags[tag] = value

    def count(self, message: _Message) -> None:
        """Adds the tokens of an answer, once for all lines of it."""
        if (model := lines.text(message.model)) and model != "<synthetic>":
            self.session.tags["model"] = model
        if isinstance(message.usage, dict) and (message.id is None or message.id != self.counted):
            self.counted = message.id
            for name in _COUNTED:
                number = message.usage.get(name)
                self.tokens[name] += number if isinstance(number, int) and 0 <= number < 2**40 else 0

    def finished(self) -> Session:
        """Returns the session with what the file said about it."""
        for name in ("custom", "ai", "summary", "prompt"):
            if name in self.titles:
                self.session.title = self.titles[name]
                break
        self.session.metadata = {name: number for name, number in self.tokens.items() if number}
        return self.session


class _File:
    """The state of one reading: the branch and line of each entry, by its uuid, and a digest against duplicates."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, tuple[_Branch, int, int]] = {}
        self._is_agent = path.stem.startswith("agent-")
        self._main = _Branch(_main(path), False)
        self._branches = {MAIN: self._main}
        self._now = self._main

    def read(self) -> Iterator[Item]:
        """Yields the items of the file."""
        if self._is_agent:
            yield from self._beside()
        yield self._main.session
        for line, entry, text, faults in lines.parsed(self._path, _decoder):
            yield from faults
            if lines.is_half(line):
                break
            if entry is None:
                yield Line(self._now.session.key, line.number, line.raw, is_whole=line.is_whole)
            else:
                yield from self._line(line, entry, text)
        for branch in self._branches.values():
            yield branch.finished()

    def _line(self, line: lines.FileLine, entry: _Entry, text: bytes) -> Iterator[Item]:
        found = Line("", line.number, line.raw, is_whole=line.is_whole, created_at=lines.time(entry.timestamp))
        message = None
        if entry.type in ("user", "assistant") and entry.message:
            try:
                found.message = lines.message(entry.message)
                message = _message.decode(found.message)
            except (lines.Unreadable, msgspec.MsgspecError, RecursionError) as error:
                found.message = None
                yield Fault(line.number, str(error))
        digest = hash(found.message if message else text)
        if twin := self._twin(entry, digest):
            yield Fault(line.number, f"it repeats line {twin}, with the same uuid", is_loss=False)
            found.message = message = None
        prompt = titles.said(message.content) if message and _is_prompt(entry, message) else None
        branch, is_new = self._branch(entry, line.number, prompt is not None)
        branch.learn(entry)
        if message is not None:
            branch.count(message)
        if prompt is not None:
            branch.turn = line.number
            branch.titles.setdefault("prompt", titles.title(prompt) or "")
        if isinstance(entry.uuid, str) and not twin:
            self._entries[hash(entry.uuid)] = (branch, line.number, digest)
        if is_new:
            branch.session.created_at = found.created_at
            yield branch.session
        found.session = branch.session.key
        yield found

    def _twin(self, entry: _Entry, digest: int) -> int | None:
        """Returns the number of an earlier line with the same uuid and content."""
        former = self._entries.get(hash(entry.uuid)) if isinstance(entry.uuid, str) else None
        return former[1] if former and former[2] == digest else None

    def _branch(self, entry: _Entry, number: int, is_prompt: bool) -> tuple[_Branch, bool]:
        """Returns the branch of an entry, and whether it begins with it."""
        parent = self._entries.get(hash(entry.parent)) if isinstance(entry.parent, str) else None
        is_side = entry.is_side is True and not self._is_agent
        if is_side and (parent is None or not parent[0].is_side):
            if entry.type not in ("user", "assistant"):
                return self._now, False
            return self._begun(self._side(entry, number), True)
        if parent is None:
            return (self._main if self._now.is_side else self._now), False
        branch, place, _ = parent
        if is_prompt and not is_side and branch.turn and place < branch.turn:
            branch, _ = self._begun(self._fork(branch, entry, place, number), False)
            self._now = branch
            return branch, True
        if not branch.is_side:
            self._now = branch
        return branch, False

    def _begun(self, session: Session, is_side: bool) -> tuple[_Branch, bool]:
        branch = _Branch(session, is_side)
        self._branches[session.key] = branch
        return branch, True

    def _fork(self, branch: _Branch, entry: _Entry, place: int, number: int) -> Session:
        name = _name(entry, number)
        return Session(
            key=name,
            source_id=f"{self._main.session.source_id}/{name}",
            tags=dict(branch.session.tags),
            parent=self._main.session.parent,
            fork_of=branch.session.key,
            fork_line=place,
        )

    def _side(self, entry: _Entry, number: int) -> Session:
        name = _name(entry, number)
        return Session(
            key=name,
            source_id=f"{self._main.session.source_id}/{name}",
            tags={"agent": "sidechain", **self._main.session.tags},
            parent=self._main.session.source_id,
        )

    def _beside(self) -> Iterator[Item]:
        """Reads the small file beside the file of a sub-agent."""
        session, beside = self._main.session, self._path.with_suffix(".meta.json")
        try:
            text = beside.read_bytes()[:100_000]
            about = msgspec.json.decode(text)
            session.files[beside.name] = text.decode()
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            yield Fault(0, f"{beside.name} cannot be read: {error}")
            return
        if isinstance(about, dict) and (agent := lines.text(about.get("agentType"))):
            session.tags["agent"] = agent


def _is_prompt(entry: _Entry, message: _Message) -> bool:
    return message.role == "user" and entry.is_meta is not True and entry.isCompactSummary is not True


def _name(entry: _Entry, number: int) -> str:
    """Returns a name for a branch that is the same at each reading."""
    uuid = entry.uuid if isinstance(entry.uuid, str) else ""
    return uuid if 8 <= len(uuid) <= 64 and uuid.isascii() and uuid.isprintable() else f"line-{number}"


def _main(path: Path) -> Session:
    """Returns the session of a file, with the ids that its path gives. Those in its lines may be of other sessions."""
    session = Session(key=MAIN, source_id=path.stem[:200], fork_of=_forked_from(path))
    if path.stem.startswith("agent-"):
        parent = path.parent.parent.name if path.parent.name == "subagents" else _session_id(path)
        if parent:
            session.parent, session.source_id = parent[:200], f"{parent[:200]}/{path.stem[:200]}"
    return session


def _session_id(path: Path) -> str | None:
    """Returns the session that an agent's file beside those of sessions names in its lines."""
    found = (entry.sessionId for entry in _first(path))
    return next((lines.text(one) for one in found if isinstance(one, str) and one != path.stem), None)


def _forked_from(path: Path) -> str | None:
    """Returns the session from which the first lines were copied, when somebody went on in a session of its own."""
    for entry in _first(path):
        if isinstance(entry.forkedFrom, dict):
            found = lines.text(entry.forkedFrom.get("sessionId"), 200)
            return found if found != path.stem else None
    return None


def _first(path: Path) -> Iterator[_Entry]:
    """Yields the first entries of a file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for line in head.split(b"\n")[:20]:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError, UnicodeError):
            yield _decoder.decode(json_characters.stored(line))
