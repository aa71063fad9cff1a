"""Reads JSON of servers that deviate from the APIs. A member of another type is converted or read as absent.

No function raises an error because of a value, so that a malformed count, for example, never fails an answer.
"""

import json
import math
import re
from typing import Any

import msgspec

Plain = dict[str, Any]

_MOST = 10**12  # of a count
_HALF = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def objects(data: bytes) -> list[Plain]:
    """Returns the objects of an event: the one that it is, or those in a list, as Gemini wraps errors.

    Halves of surrogate pairs stay in texts, because the other half may come in the next event. Raises DecodeError.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _with_halves(data)
    if isinstance(value, dict):
        return [value]
    return [one for one in items(value) if isinstance(one, dict)]


def _with_halves(data: bytes) -> Any:
    """Decodes JSON that msgspec refuses because of half a pair or of bytes that are no UTF-8."""
    try:
        return json.loads(data.decode(errors="replace"))
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from None


def mapping(value: Any) -> Plain:
    """Returns the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Returns the value if it is a list, else a list of it; an empty list for None."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def text(value: Any) -> str:
    """Returns the value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def word(value: Any) -> str:
    """Returns the value if it is a text, without halves of pairs, else an empty one: for what comes in one part."""
    return joined(value) if isinstance(value, str) else ""


def identifier(value: Any) -> str:
    """Returns the id as a text; some servers send numbers. Empty if there is none."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else word(value)


def count(value: Any) -> int | None:
    """Returns the value as a count if it is a number from 0 on, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return min(int(value), _MOST)


def counts(value: Any) -> dict[str, int]:
    """Returns the counts in an object by name, with those of objects in it as `outer.inner`."""
    found: dict[str, int] = {}
    for name, one in mapping(value).items():
        inner = {f"{name}.{key}": count(number) for key, number in mapping(one).items()} | {name: count(one)}
        found |= {key: number for key, number in inner.items() if number is not None}
    return found


def whole(value: Any) -> Any:
    """Returns a copy of a JSON value whose texts have no halves of pairs."""
    if isinstance(value, str):
        return joined(value)
    if isinstance(value, dict):
        return {joined(str(key)): whole(one) for key, one in value.items()}
    return [whole(one) for one in value] if isinstance(value, list) else value


def has_half(value: str) -> bool:
    """Returns whether a text contains half a surrogate pair."""
    return not value.isascii() and _HALF.search(value) is not None


def joined(value: str) -> str:
    """Returns the text with both halves of a pair joined. A half without its other half becomes U+FFFD."""
    if not has_half(value):
        return value
    paired = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), value)
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", paired)
