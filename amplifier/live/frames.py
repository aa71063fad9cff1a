"""What streams carry: a frame is one event, written as server-sent event or as text of a WebSocket."""

from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Raw

_BREAKS = [(letter.encode(), f"\\u{ord(letter):04x}".encode()) for letter in "\x85\u2028\u2029"]
_BREAKS += [(b"\n", b" "), (b"\r", b" ")]  # which JSON has only between its tokens
_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct):
    """A message and its circumstances."""

    seq: int
    message: Raw
    author_user_id: str
    author_app_id: str
    created_at: datetime


class _Circumstances(msgspec.Struct):
    """What every event says besides what happened."""

    seq: int
    actor_user_id: str | None
    created_at: datetime


class Frame:
    """An event: its number on the session's clock (none for what is never replayed), its type, its data as JSON."""

    def __init__(self, type: str, data: bytes, seq: int | None = None) -> None:
        self.type, self.data, self.seq = type, data, seq

    @cached_property
    def event(self) -> bytes:
        """As a server-sent event. JSON has no line breaks and the database checks types, so nothing can break out."""
        head = b"" if self.seq is None else b"id: %d\n" % self.seq
        return b"%sevent: %s\ndata: %s\n\n" % (head, self.type.encode(), escaped(self.data))

    @cached_property
    def message(self) -> bytes:
        """As a message of a WebSocket: an object of `type`, `data` and, where it has one, `seq`."""
        seq = b"" if self.seq is None else b'"seq":%d,' % self.seq
        return b'{"type":"%s",%s"data":%s}' % (self.type.encode(), seq, self.data)

    @cached_property
    def text(self) -> str:
        """The same as text."""
        return self.message.decode()


def escaped(data: bytes) -> bytes:
    """Returns JSON without line breaks, also those that only some clients take for one."""
    for letter, escape in _BREAKS:
        data = data.replace(letter, escape)
    return data


def frame(type: str, seq: int | None = None, /, **data: Any) -> Frame:
    """A frame with this data."""
    return Frame(type, _encode(data), seq)


def logged(row: Any) -> Frame:
    """The frame of a row of `events.list`: a message as the transcript shows it, or what happened, by whom and when."""
    seq, type, data, user_id, app_id, created_at = row[2:8]
    if type == "message.created":
        return Frame(type, _encode(Entry(seq, data, user_id, app_id, created_at)), seq)
    rest = _encode(_Circumstances(seq, user_id, created_at))
    members = bytes(data).strip()[1:-1].strip()
    return Frame(type, b"{" + members + (b"," if members else b"") + rest[1:], seq)
