"""Stores and restores characters in JSON that PostgreSQL refuses: NUL, and halves of surrogate pairs.

In JSON they are escapes, such as `\\u0000`, in texts and keys. Stored is U+FDD0, which no text should contain, followed
by the four digits of the escape. U+FDD0 itself is stored as if it was such a character, too.
"""

import re

import msgspec

_MARK = "\ufdd0".encode()
FIRST = _MARK[0]  # the byte that stored JSON has only if something may have to be restored
_HEX = rb"[0-9a-fA-F]"
_ODD = rb"0000|[dD][89a-fA-F]|[fF][dD][dD]0"  # how the digits of what may have to be stored differently begin
_MAY_BE_ODD = re.compile(rb"\\u(?:%s)" % _ODD)
# Matches up to the next escape that is stored differently, past other escapes and complete pairs. No part can match the
# same bytes in two ways, and all quantifiers are possessive: the time is linear in the length of the text.
_NEXT = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u[dD][89abAB]%b{2}\\u[dD][c-fC-F]%b{2}|\\u(?!%b)%b{4})*+\\u(%b{4})"
    % (_HEX, _HEX, _ODD, _HEX, _HEX)
)
_STORED = re.compile(rb"%b(0000|d[89a-f][0-9a-f]{2}|fdd0)" % _MARK)
_STORED_TEXT = re.compile("\ufdd0(?:0000|d[89a-f][0-9a-f]{2})")


class Stored(bytes):
    """JSON from what `stored` returned; connections send it to the database as it is."""


def has_odd(text: bytes) -> bool:
    """Returns whether valid JSON contains NUL or half a surrogate pair as an escape."""
    if _MAY_BE_ODD.search(text) is None:
        return False
    return any(match[1].lower() != b"fdd0" for match in _escapes(text))


def stored(text: bytes) -> bytes:
    """Returns JSON as PostgreSQL accepts it. What is no JSON is none afterwards."""
    if _has_mark(text):
        text = text.replace(_MARK, _MARK + b"fdd0")
    if _MAY_BE_ODD.search(text) is None:
        return text
    parts, position = [], 0
    for match in _escapes(text):
        parts += [text[position : match.start(1) - 2], _MARK, match[1].lower()]
        position = match.end()
    return b"".join([*parts, text[position:]])


def restored(text: bytes) -> bytes:
    """Returns stored JSON as it was sent, with escapes."""
    return _STORED.sub(_restored, text) if _has_mark(text) else text


def replaced(text: str | bytes | msgspec.Raw, by: str = "\ufffd") -> str:
    """Returns JSON, as it is stored (str) or was sent (bytes), with `by` for each character that PostgreSQL refuses."""
    if not isinstance(text, str):
        text = stored(bytes(text)).decode()
    if "\ufdd0" not in text:
        return text
    return _STORED_TEXT.sub(by, text).replace("\ufdd0fdd0", "\ufdd0")


def _has_mark(text: bytes) -> bool:
    return FIRST in text and _MARK in text  # the search for one byte takes a fiftieth of the time


def _escapes(text: bytes) -> "list[re.Match[bytes]]":
    found, position = [], 0
    while (match := _NEXT.match(text, position)) is not None:
        found.append(match)
        position = match.end()
    return found


def _restored(match: "re.Match[bytes]") -> bytes:
    return _MARK if match[1] == b"fdd0" else rb"\u" + match[1]
