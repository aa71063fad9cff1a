"""Takes results that no call needs out of messages that have other parts, too."""

from typing import Any

from amplifier.transcripts import blocks, turns
from amplifier.transcripts.parts import Message, Reading
from amplifier.transcripts.reader import read

_CONTENTS = ("content", "parts")
_WRAPPED = ("message", "payload", "kwargs", "data")


def without(message: Message, places: set[int]) -> Message | None:
    """Returns a message without the results at these places among its results, or None if nothing is left of it.

    The message is unchanged, and the returned one a copy.
    """
    reading = read(message)
    if len(places) == len(turns.results(reading)) == len(reading.parts):
        return None
    return _stripped(message, places)


def _stripped(message: Message, places: set[int]) -> Message | None:
    for key in _WRAPPED:
        inner = message.get(key)
        if isinstance(inner, dict) and any(isinstance(inner.get(one), list) for one in _CONTENTS):
            left = _stripped(inner, places)
            return None if left is None else {**message, key: left}
    for key in _CONTENTS:
        if isinstance(message.get(key), list):
            items = _living(message[key], places)
            return {**message, key: items} if items else None
    return message


def _living(items: list[Any], places: set[int]) -> list[Any]:
    """Returns the items of a content without those that consist of dead results."""
    left, place = [], 0
    for item in items:
        parts = blocks.block(item) if isinstance(item, dict) else []
        count = len(turns.results(Reading("tool", parts)))
        if not count or count < len(parts) or not places.issuperset(range(place, place + count)):
            left.append(item)
        place += count
    return left
