"""Estimates how much of a model's window messages take, in characters. The tokenizers of models are not used."""

from typing import Any

import msgspec

from amplifier.transcripts.parts import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Part,
    Reading,
    Refusal,
    Result,
    Text,
    Thinking,
)

CHARACTERS = 4  # per token, approximately
_IMAGE = 1_600 * CHARACTERS
_FILE = 1_600 * CHARACTERS  # at least
_AUDIO = 100 * CHARACTERS  # at least
_FILE_BYTES, _AUDIO_BYTES = 25, 1_600  # per token
_ENCODER = msgspec.json.Encoder(enc_hook=str)
_WRITTEN = ("text", "thinking", "redacted_thinking", "tool_call", "tool_use")  # blocks that are sent as they are


def fits(messages: list[Message], room: int) -> bool:
    """Returns whether messages are seen to be no larger than `room` without a look at each of their parts.

    Encoding all of them at once is far faster than measuring each. Not so if there may be images, which can be larger
    than their addresses.
    """
    others = [message for message in messages if not isinstance(message.get("content"), str)]
    return all(map(_is_written, others)) and written(messages) <= room


def _is_written(message: Message) -> bool:
    content = message.get("content")
    if isinstance(content, list):
        return all(isinstance(block, dict) and block.get("type") in _WRITTEN for block in content)
    return content is None and "tool_calls" in message


def size(reading: Reading) -> int:
    """Returns the size of a message that was read."""
    return sum(map(_size, reading.parts))


def _size(part: Part) -> int:
    match part:
        case Text() | Refusal():
            return len(part.text)
        case Thinking():
            return len(part.text) + len(part.signature or "") + len(part.sealed or "")
        case Call():
            return len(part.name) + written(part.hosted or part.arguments)
        case Result():
            return sum(map(_size, part.content))
        case Image():
            return _IMAGE
        case File() | Audio():
            return _size_of_file(part)
    return written(getattr(part, "value", None))


def _size_of_file(part: File | Audio) -> int:
    text = part.text if isinstance(part, File) else part.transcript
    if text is not None:
        return len(text)
    least, per_token = (_FILE, _FILE_BYTES) if isinstance(part, File) else (_AUDIO, _AUDIO_BYTES)
    return max(least, len(part.data or "") * 3 // 4 // per_token * CHARACTERS)


def written(value: Any) -> int:
    """Returns the size of a value as JSON."""
    return 0 if value is None else len(_ENCODER.encode(value))
