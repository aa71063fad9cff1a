"""Messages as text for a model: what was said, called and returned, without thinking and without data of media."""

from typing import Any, NamedTuple

import msgspec

from amplifier import json_characters
from amplifier.transcripts import reader
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Refusal, Result, Role, Text, Thinking, Unknown

# Decoding more would delay other requests, and no model reads it.
_LARGEST = 1024 * 1024  # bytes of JSON
_SHORT = 2000  # characters of arguments


class Said(NamedTuple):
    """A message as text: its role, the name of its speaker if it gives one, and what was said."""

    role: Role | None
    name: str | None
    text: str


def said(message: msgspec.Raw) -> Said:
    """Returns a message of any known format as text. Of one above 1 MB it returns the size only."""
    size = len(bytes(message))
    if size > _LARGEST:
        return Said(None, None, f"[a message of {size:,} bytes, which the REST API returns]")
    reading = reader.read(msgspec.json.decode(json_characters.replaced(message)), hidden=False)
    texts = filter(None, map(_text, reading.parts))
    return Said(reading.role, reading.author, "\n".join(texts))


def _text(part: Part) -> str:
    match part:
        case Text() | Refusal():
            return part.text
        case Thinking():
            return ""
        case Call():
            return f"[calls {part.name} {_json(part.arguments)}]"
        case Result():
            returned = "\n".join(filter(None, map(_text, part.content)))
            return f"[{'error' if part.is_error else 'result'}] {returned}"
        case Image():
            return f"[image {part.url}]" if _is_address(part.url) else "[image]"
        case File():
            return " ".join(filter(None, (f"[file {part.name or part.media_type or ''}]", part.text)))
        case Audio():
            return " ".join(filter(None, ("[recording]", part.transcript)))
        case Unknown():
            return _json(part.value)
    return ""


def _is_address(url: str | None) -> bool:
    return url is not None and not url.startswith("data:")


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
