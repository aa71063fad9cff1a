"""The words that are searched of a message, by the parts that the reader makes of it.

`message_texts` in the database has to find the same.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from amplifier.transcripts.parts import (
    Audio,
    Call,
    File,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thinking,
    Unknown,
)
from amplifier.transcripts.reader import read

_DATA_ADDRESS = re.compile(r"data:[^;,\s]*;base64,[A-Za-z0-9+/=_-]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]{500}")
_SEALED = {"encrypted_content", "encrypted_index", "signature", "thoughtSignature", "thought_signature"}


def texts(message: Message) -> list[str]:
    """Returns what is said, called, returned and thought in a message."""
    reading = read(message, hidden=False)
    said, called, returned, thought = [], [], [], []
    for part in reading.parts:
        if isinstance(part, Call):
            called += [part.name, arguments(part.arguments)]
        elif isinstance(part, Thinking):
            thought.append(part.text)
        elif isinstance(part, Result) or reading.role in ("tool", "function"):
            returned.append(inside(part) if isinstance(part, Result) else of_part(part))
        else:
            said.append(of_part(part))
    found = (said, called, returned, thought)
    return [_DATA_ADDRESS.sub(" ", "\n".join(filter(None, several))) for several in found]


def arguments(given: dict[str, Any]) -> str:
    """Returns the values of arguments; of a list as JSON text, which the reader calls `input`, its values."""
    text = given.get("input") if len(given) == 1 else None
    return plain(text) if isinstance(text, str) and text.lstrip().startswith("[") else values(given)


def inside(result: Result) -> str:
    """Returns the words within a result; of JSON text, the values."""
    return "\n".join(of_part(part) if isinstance(part, Unknown) else plain(of_part(part)) for part in result.content)


def of_part(part: Part) -> str:
    """Returns the words of a part that is neither a call nor a result."""
    if isinstance(part, Text | Refusal | Thinking):
        return part.text
    if isinstance(part, File):
        return "\n".join(filter(None, (part.name, part.text)))
    if isinstance(part, Audio):
        return part.transcript or ""
    return values(unsealed(part.value)) if isinstance(part, Unknown) else ""


def plain(text: str) -> str:
    """Returns the values of JSON text, and other text as it is."""
    if not re.match(r"\s*[\[{]", text):
        return text
    try:
        return values(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return text


def values(value: Any) -> str:
    """Returns the texts and numbers in a JSON value, without its keys and without long base64."""
    return " ".join(text for text in scalars(value) if not _BASE64.match(text))


def scalars(value: Any) -> Iterable[str]:
    """Yields the texts and numbers in a JSON value."""
    if isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from scalars(item)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield msgspec.json.encode(value).decode()


def unsealed(value: Any) -> Any:
    """Returns a value without what only its provider can read."""
    if isinstance(value, list):
        return [unsealed(item) for item in value]
    if isinstance(value, dict):
        return {key: unsealed(item) for key, item in value.items() if key not in _SEALED}
    return value
