"""Finds the message of an append that does not fit, and the place in it.

msgspec and PostgreSQL refuse such a body, and name no message. The search costs nothing where all messages fit.
"""

import asyncio
import json
import re
from typing import Any

from amplifier import json_numbers
from amplifier.errors import Problem

_SEARCHED = 2 * 1024 * 1024  # bytes of a body; a larger one is refused without a place
_AT_ONCE = 64 * 1024  # bytes that are searched without a thread
_DEEPEST = 64  # levels below a message; constraint messages_message_depth_check
_LONGEST_PLACE = 200  # characters
_LONGEST_ROLE = 64
_LARGEST = 16 * 1024 * 1024  # bytes of a message as text; constraint messages_size_check

_MESSAGES = re.compile(r'\s*\{\s*(?:"expected_seq"\s*:[^,"\[{]*,\s*)?"messages"\s*:\s*\[\s*')
_COMMA = re.compile(r"\s*,\s*")
# strings, of which the last may have no end, and what separates values
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\],:]', re.DOTALL)
_EXPONENT = re.compile(r"[0-9][eE][-+]?([0-9]{1,3})")
_DEEP = "nested deeper than 64 levels"


class _Refused(str):
    """A fault of a number, and its place."""


async def find(body: bytes) -> Problem | None:
    """Returns 422 with the place of the first message that does not fit, such as `messages[417].content`.

    Returns None if every message fits, if the body is larger than 2 MB, or if it is no object with `messages`.
    """
    if len(body) > _SEARCHED:
        return None
    found = await asyncio.to_thread(_find, body) if len(body) > _AT_ONCE else _find(body)
    if found is None:
        return None
    place, detail = _bounded(found[0]), found[1]
    return Problem(422, f"{place}: {detail}", errors=[{"field": place, "detail": detail}])


def find_in_message(body: bytes) -> tuple[str, str] | None:
    """Returns the place of the first fault in one message, such as `.content[0].text`, and the fault, or None."""
    text, broken = body.decode(errors="surrogateescape"), _broken(body)
    found, end = _fault_at(text, 0)
    if found is None and broken >= 0:
        found = _place_at(text, 0, broken), "is not valid UTF-8"
    if found is None and end < len(text):
        found = "", "is not one JSON object: a line has one message"
    return None if found is None else (_bounded(found[0]), found[1])


def _bounded(place: str) -> str:
    return place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}…"


def _find(body: bytes) -> tuple[str, str] | None:
    text, broken = body.decode(errors="surrogateescape"), _broken(body)
    match = _MESSAGES.match(text)
    number = 0
    while match is not None:
        start = match.end()
        if text.startswith("]", start):
            return None
        found, end = _fault_at(text, start)
        if found is None and start <= broken < end:
            found = _place_at(text, start, broken), "is not valid UTF-8"
        if found is not None:
            return f"messages[{number}]{found[0]}", found[1]
        match = _COMMA.match(text, end)
        number += 1
    return None


def _broken(body: bytes) -> int:
    """Returns the position of the first character that is not valid UTF-8, or -1."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return len(body[: error.start].decode())
    return -1


def _fault_at(text: str, start: int) -> tuple[tuple[str, str] | None, int]:
    """Returns the place in the message that starts here, with what is wrong there, and where the message ends."""
    try:
        message, end = _decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        return (_place_at(text, start, error.pos), f"is not valid JSON: {error.msg}"), start
    except RecursionError:
        return ("", _DEEP), start
    return _fault(message) or _too_large(text, start, end), end


def _too_large(text: str, start: int, end: int) -> tuple[str, str] | None:
    """Returns a fault if the database would write the message in more than 16 MiB, with all digits of its numbers."""
    digits = sum(int(match[1]) for match in _EXPONENT.finditer(text, start, end))
    return ("", "is larger than 16 MiB with all digits of its numbers") if end - start + digits > _LARGEST else None


def _fault(message: Any) -> tuple[str, str] | None:
    if not isinstance(message, dict):
        return ("", str(message) if isinstance(message, _Refused) else "must be a JSON object")
    role = message.get("role")
    if role is not None and (type(role) is not str or not 1 <= len(role) <= _LONGEST_ROLE):
        return ".role", f"must be text of 1 to {_LONGEST_ROLE} characters, if the message has one"
    return _inside(message, 1)


def _inside(value: Any, depth: int) -> tuple[str, str] | None:
    """Returns the place of the first fault in an object or array on this level, or None."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in entries:
        step = f".{key}" if isinstance(key, str) else f"[{key}]"
        if isinstance(one, _Refused):
            return step, str(one)
        if depth >= _DEEPEST:
            return "", _DEEP
        found = _inside(one, depth + 1) if isinstance(one, dict | list) else None
        if found is not None:
            # the place of what is nested too deeply is its member of the message
            return (step if depth == 1 or found[1] != _DEEP else "") + found[0], found[1]
    return None


def _place_at(text: str, start: int, end: int) -> str:
    """Returns the path from a message that starts at `start` to what is at `end`, such as `.content[0].text`."""
    path: list[str | int] = []
    last = ""
    for match in _TOKEN.finditer(text, start, end):
        part = match[0]
        if part in "{[":
            path.append("" if part == "{" else 0)
        elif part in "}]" and path:
            path.pop()
        elif part == "," and path:
            inner = path[-1]
            path[-1] = inner + 1 if isinstance(inner, int) else ""
        elif part == ":" and path and isinstance(path[-1], str):
            path[-1] = last
        elif part[0] == '"':
            last = part[1:-1]
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path if step != "")


def _number(digits: str) -> Any:
    try:
        return json_numbers.bounded(digits)
    except ValueError:
        return _Refused("the number is out of range: send it as text")


def _constant(name: str) -> Any:
    return _Refused(f"{name} is no JSON: send null or text")


_decoder = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_constant)
