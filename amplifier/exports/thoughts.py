"""Takes what was thought out of messages of any format."""

from typing import Any

from amplifier.transcripts import blocks, reader
from amplifier.transcripts.parts import Message, Thinking

_BESIDE = frozenset(
    {
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "thinking",
        "thinking_block",
        "thinking_text",
        "thought",
        "tool_plan",
    }
)
_WRAPPED = ("message", "payload", "kwargs", "data", "info", "content")
_CONTENTS = ("content", "parts", "blocks", "items", "text")


def without_thoughts(message: Message) -> Message | None:
    """Returns a message without thoughts and blocks marked as internal, or None if nothing else was in it.

    A message is returned as it is if it has none. None is returned, too, for an entry that is no part of the
    conversation, such as the event of a session file in which a thought is repeated.
    """
    reading = reader.read(message)
    if reading.role is None:
        return None
    if not any(isinstance(part, Thinking) for part in reading.parts):
        shown: Message = blocks.shown(message)
        return message if shown == message else shown
    if all(isinstance(part, Thinking) for part in reading.parts):
        return None
    left = _left(blocks.shown(message))
    return None if any(isinstance(part, Thinking) for part in reader.read(left).parts) else left


def _left(message: Message) -> Message:
    """Returns a message without the members and blocks that hold thoughts, also within the entry of a session file."""
    kept = {name: value for name, value in message.items() if name not in _BESIDE}
    for name in _WRAPPED:
        if isinstance(kept.get(name), dict):
            kept[name] = _left(kept[name])
    for name in _CONTENTS:
        if isinstance(kept.get(name), list):
            kept[name] = [block for block in kept[name] if not _is_thought(block)]
    return kept


def _is_thought(block: Any) -> bool:
    parts = blocks.block(block) if isinstance(block, dict) else []
    return bool(parts) and all(isinstance(part, Thinking) for part in parts)
