"""Conversations that are one JSON object with a list of messages: each is decoded whole, within a bound."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session
from amplifier.imports.readers import shapes

LONGEST = 128_000_000  # bytes of a conversation
_TRIED = 20  # messages of which one must be known
_LISTS = ("messages", "input", "items", "output", "data")


class Conversation(msgspec.Struct):
    """The members of a conversation, as far as they are known. The messages are in one or two of the lists."""

    id: Any = None
    conversation_id: Any = None
    session_id: Any = None
    thread_id: Any = None
    uuid: Any = None
    title: Any = None
    name: Any = None
    model: Any = None
    object: Any = None
    created_at: Any = None
    createdAt: Any = None  # noqa: N815 - as in the file
    created: Any = None
    timestamp: Any = None
    checkpoint: Any = None
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    items: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    values: msgspec.Raw = msgspec.Raw()


class _Values(msgspec.Struct):
    messages: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(Conversation)
_values = msgspec.json.Decoder(_Values)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_ERRORS = (msgspec.MsgspecError, RecursionError, UnicodeError)


def decoded(text: bytes) -> Conversation | None:
    """Returns a conversation, or None for JSON that is none."""
    try:
        return _decoder.decode(text)
    except _ERRORS:
        return None


def messages(conversation: Conversation) -> list[bytes]:
    """Returns the messages of a conversation, each as it is in the file."""
    found: list[bytes] = []
    for name in ("system", "instructions"):
        raw = bytes(getattr(conversation, name))
        if raw[:1] in (b'"', b"[") and raw not in (b'""', b"[]"):
            found.append(b'{"role":"system","content":%b}' % raw)
    whole = len(found)
    if _begins(conversation.input, b'"') and _begins(conversation.output, b"["):
        found.append(b'{"role":"user","content":%b}' % bytes(conversation.input))
    for name in _LISTS:
        found += _items(getattr(conversation, name))
    if len(found) == whole and conversation.values:
        try:
            found += _items(_values.decode(conversation.values).messages)
        except _ERRORS:
            return []
    if conversation.object == "list" and _is_newest_first(found):
        found.reverse()
    return found if len(found) > whole else []


def kind(conversation: Conversation | None) -> str | None:
    """Returns the format of the messages of a conversation, or None if it has none that are known."""
    if conversation is None:
        return None
    kinds = (shapes.kind(shapes.decoded(text)) for text in messages(conversation)[:_TRIED])
    found = next((one for one in kinds if one), None)
    are_items = any(_begins(raw, b"[") for raw in (conversation.input, conversation.output, conversation.items))
    # the first messages of a list of items may look like others
    return shapes.RESPONSES if are_items and found == shapes.MESSAGES else found


def part(conversation: Conversation, stem: str, place: str, size: int, is_as_it_was: bool = True) -> Part:
    """Returns a conversation as a part of a source. `place` says where it is there, for faults."""
    texts = messages(conversation)
    session = Session(key=MAIN, source_id=_id(conversation) or named(stem, texts))
    session.title = titles.title(conversation.title) or titles.title(conversation.name)
    times = (conversation.created_at, conversation.createdAt, conversation.created, conversation.timestamp)
    session.created_at = next((time for value in times if (time := lines.time(value))), None)
    if model := lines.text(conversation.model):
        session.tags["model"] = model
    read = Messages(session, place)
    items: list[Item] = [session]
    if not is_as_it_was:
        items.append(Fault(0, f"{place}: {lines.NO_UTF8}", is_loss=False))
    for number, text in enumerate(texts, 1):
        items += read.items(Line(MAIN, number, json_characters.restored(text)), text)
    return Part(lambda: iter(items), size)


class Messages:
    """Makes messages of lines, and learns from them what the session is about."""

    def __init__(self, session: Session, place: str = "") -> None:
        """Takes the place where the messages are, for faults."""
        self.session, self._place = session, place

    def items(self, line: Line, text: bytes) -> Iterator[Item]:
        """Yields a line, as a message if its text, which PostgreSQL accepts, is one; else the reason before it."""
        shape = shapes.decoded(text)
        try:
            if shape is None:
                raise lines.Unreadable("it is no JSON object")
            if shapes.kind(shape) is None:
                raise lines.Unreadable("it is no message of a format that is known")
            line.message, line.created_at = lines.message(text), shapes.created_at(shape)
            self._learn(shape)
        except lines.Unreadable as error:
            yield self.fault(line.number, str(error))
        yield line

    def fault(self, number: int, reason: str, is_loss: bool = True) -> Fault:
        """Returns a fault of a message."""
        if self._place:
            return Fault(0, f"{self._place}, message {number}: {reason}", is_loss)
        return Fault(number, reason, is_loss)

    def _learn(self, shape: shapes.Shape) -> None:
        if self.session.title is None:
            self.session.title = shapes.prompt(shape)
        if model := shapes.model(shape):
            self.session.tags["model"] = model


def named(stem: str, texts: Iterable[bytes]) -> str:
    """Returns an id for a conversation that has none: the file's name, and a digest of all up to the first prompt."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text + b"\n")
        shape = shapes.decoded(text)
        if shape is not None and shapes.is_said(shape):
            break
    return f"{lines.text(stem, 200) or 'file'}-{digest.hexdigest()[:16]}"


def _id(conversation: Conversation) -> str | None:
    checkpoint = conversation.checkpoint if isinstance(conversation.checkpoint, dict) else {}
    about = (conversation.conversation_id, conversation.session_id, conversation.thread_id)
    for value in (*about, conversation.id, conversation.uuid, checkpoint.get("thread_id")):
        if found := lines.text(value, 400):
            return found
    return None


def _begins(raw: msgspec.Raw, begin: bytes) -> bool:
    return bool(raw) and bytes(memoryview(raw)[:1]) == begin


def _items(raw: msgspec.Raw) -> list[bytes]:
    if not _begins(raw, b"["):
        return []
    try:
        return [bytes(item) for item in _list.decode(raw)]
    except _ERRORS:
        return []


def _is_newest_first(texts: list[bytes]) -> bool:
    """Returns whether each message has a time, and the last one is older than the first one, as lists of an API are."""
    times: list[datetime | None] = []
    for text in texts:
        shape = shapes.decoded(text)
        times.append(shapes.created_at(shape) if shape else None)
    first, last = (times[0], times[-1]) if times else (None, None)
    return None not in times and first is not None and last is not None and first > last
