"""Keeps the order of keys in the arguments of calls, which the database does not keep.

A call whose arguments would come back from `jsonb` in another order, or with other numbers, is stored with their text
beside them, as `arguments_text`. `transcripts/tool_blocks.py` reads it. Prompt caches depend on it: the next turn must
send earlier messages as this turn did.
"""

import contextlib
import itertools
import math
from typing import Any

import msgspec

Message = dict[str, Any]

TEXT = "arguments_text"


def with_order(message: Message) -> Message:
    """Returns the message with the text of arguments where they need it, the message itself if none does."""
    lists = {key: message[key] for key in ("tool_calls", "content") if isinstance(message.get(key), list)}
    changed = {key: _all(listed) for key, listed in lists.items()}
    changed = {key: value for key, value in changed.items() if value is not message[key]}
    return message | changed if changed else message


def _all(calls: list[Any]) -> list[Any]:
    written = [_written(call) for call in calls]
    return written if any(one is not call for one, call in zip(written, calls, strict=True)) else calls


def _written(call: Any) -> Any:
    given = call.get("arguments", call.get("input")) if isinstance(call, dict) else None
    if not isinstance(given, dict) or TEXT in call:
        return call
    with contextlib.suppress(AttributeError, TypeError, ValueError):  # values that become others when they are stored
        return call | {TEXT: msgspec.json.encode(given).decode()} if _is_changed(given) else call
    return call


def _is_changed(value: Any) -> bool:
    """Returns whether `jsonb` returns a value in another form: keys by length and bytes, numbers without exponents."""
    if isinstance(value, dict):
        keys = [key.encode() for key in value]
        in_order = all((len(a), a) < (len(b), b) for a, b in itertools.pairwise(keys))
        return not in_order or any(map(_is_changed, value.values()))
    if isinstance(value, list):
        return any(map(_is_changed, value))
    return isinstance(value, float) and ("e" in repr(value) or (value == 0 and math.copysign(1, value) < 0))
