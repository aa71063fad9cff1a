"""Makes documents of messages, as an export does."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from amplifier.exports.formats import Document
from amplifier.exports.source import Exported, FormatName, Line

TIME = datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)
SESSION_ID = "7a4e9d18-3c62-4f0a-b1d7-6e85c20f9a3d"


def session(title: str | None = "Flight to Geneva", **changes: Any) -> Exported:
    """Returns a session."""
    known: dict[str, Any] = {
        "session_id": SESSION_ID,
        "external_id": None,
        "title": title,
        "status": "active",
        "tags": msgspec.Raw(b'{"cwd": "/home/ann/trip", "branch": "main", "model": "claude-opus-4"}'),
        "metadata": msgspec.Raw(b"{}"),
        "messages_total": 0,
        "last_seq": 0,
        "created_at": TIME,
        "updated_at": TIME,
        "may_write": True,
    }
    return Exported(**(known | changes))


def lines(messages: list[Any], thoughtless: bool = False) -> list[Line]:
    """Returns messages as a writer gets them; text is the JSON of one."""
    texts = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    return [
        Line(number, msgspec.Raw(text.encode()), "ann", "app", TIME, thoughtless=thoughtless)
        for number, text in enumerate(texts, 1)
    ]


def document(name: FormatName, messages: list[Any], *, thoughtless: bool = False, **changes: Any) -> bytes:
    """Returns the document of messages, which the writer gets one by one."""
    made = Document(name, session(messages_total=len(messages), **changes))
    return b"".join([made.begin(), *(made.add([line]) for line in lines(messages, thoughtless)), made.end()])


def text(name: FormatName, messages: list[Any], **changes: Any) -> str:
    """Returns the document as text."""
    return document(name, messages, **changes).decode()


def rows(name: FormatName, messages: list[Any], **changes: Any) -> list[Any]:
    """Returns the lines of a document of JSON lines."""
    return [json.loads(line) for line in text(name, messages, **changes).splitlines()]
