"""Separates the results in a message from its other parts: dead results are left out, texts follow all results."""

from collections.abc import Callable
from typing import Any

from amplifier.transcripts import blocks, turns
from amplifier.transcripts.parts import Message, Reading
from amplifier.transcripts.reader import read

_CONTENTS = ("content", "parts")
_WRAPPED = ("message", "payload", "kwargs", "data")

Keeps = Callable[[range, bool], bool]  # takes the places of the results in an item, and whether it has other parts


def without(message: Message, places: set[int]) -> Message | None:
    """Returns a message without the results at these places among its results, or None if nothing is left of it.

    The message is unchanged, and the returned one a copy.
    """
    reading = read(message)
    if len(places) == len(turns.results(reading)) == len(reading.parts):
        return None
    return _filtered(message, lambda found, mixed: not found or mixed or not places.issuperset(found))


def divided(message: Message) -> tuple[Message, Message | None]:
    """Returns a message in two: its results, and its other parts, if they can be told apart."""
    results = _filtered(message, lambda found, mixed: bool(found))
    others = _filtered(message, lambda found, mixed: not found or mixed)
    if results is None or results == message:
        return message, None
    return results, others


def _filtered(message: Message, keeps: Keeps) -> Message | None:
    for key in _WRAPPED:
        inner = message.get(key)
        if isinstance(inner, dict) and any(isinstance(inner.get(one), list) for one in _CONTENTS):
            left = _filtered(inner, keeps)
            return None if left is None else {**message, key: left}
    for key in _CONTENTS:
        if isinstance(message.get(key), list):
            items = _items(message[key], keeps)
            return {**message, key: items} if items else None
    return message


def _items(items: list[Any], keeps: Keeps) -> list[Any]:
    left, place = [], 0
    for item in items:
        parts = blocks.block(item) if isinstance(item, dict) else []
        count = len(turns.results(Reading("tool", parts)))
        if keeps(range(place, place + count), count < len(parts)):
            left.append(item)
        place += count
    return left
