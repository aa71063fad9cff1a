"""Encodes events as frames, for server-sent events and for WebSockets. Delivery is in `hub.py` and `subscriber.py`."""

from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw

_BREAKS = [(letter.encode(), f"\\u{ord(letter):04x}".encode()) for letter in "\x85\u2028\u2029"]
_BREAKS += [(b"\n", b" "), (b"\r", b" ")]  # JSON has these only between its tokens
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, omit_defaults=True, gc=False):
    """A message and its circumstances; `key` only if it has one."""

    seq: int
    message: Raw
    author_user_id: str
    author_app_id: str
    created_at: datetime
    key: str | None = None


class _Circumstances(msgspec.Struct):
    """The members that every logged event has in addition to its own data."""

    seq: int
    actor_user_id: str | None
    created_at: datetime


class Frame:
    """An event with its type and its data as JSON.

    `seq` is the event's number in the session, None for an event that is never replayed.
    """

    def __init__(self, type: str, data: bytes, seq: int | None = None) -> None:
        self.type, self.data, self.seq = type, data, seq

    @cached_property
    def event(self) -> bytes:
        """The frame as a server-sent event.

        Neither data nor type can end it early: JSON is written without line breaks, and the database checks types.
        """
        head = b"" if self.seq is None else b"id: %d\n" % self.seq
        return b"%sevent: %s\ndata: %s\n\n" % (head, self.type.encode(), escaped(self.data))

    @cached_property
    def message(self) -> bytes:
        """The frame as a WebSocket message: a JSON object of `type`, `data` and, if the event has one, `seq`."""
        seq = b"" if self.seq is None else b'"seq":%d,' % self.seq
        return b'{"type":"%s",%s"data":%s}' % (self.type.encode(), seq, self.data)

    @cached_property
    def text(self) -> str:
        """The WebSocket message as `str`."""
        return self.message.decode()


def escaped(data: bytes) -> bytes:
    """Escapes all line breaks in `data`, which is JSON, also those that only some clients treat as such."""
    for letter, escape in _BREAKS:
        data = data.replace(letter, escape)
    return data


def frame(type: str, seq: int | None = None, /, **data: Any) -> Frame:
    """Returns a frame whose data is the keyword arguments as a JSON object."""
    return Frame(type, _encode(data), seq)


def logged(row: Any) -> Frame:
    """Returns the frame of a row of the query `events.list`.

    Its data is the message as the transcript shows it, or the event's own data with number, actor and time.
    """
    seq, type, data, user_id, app_id, created_at, key = row[2:9]
    if type == "message.created":
        return Frame(type, _encode(Entry(seq, data, user_id, app_id, created_at, key)), seq)
    rest = _encode(_Circumstances(seq, user_id, created_at))
    members = bytes(data).strip()[1:-1].strip()
    return Frame(type, b"{" + members + (b"," if members else b"") + rest[1:], seq)
