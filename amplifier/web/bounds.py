"""Bounds on values that callers send, checked before a statement. The database has the same bounds."""

from typing import Any

import msgspec

from amplifier.errors import Problem
from amplifier.web.problems import TAGS, too_large
from amplifier.web.types import MAX_TAGS

MAX_VALUE = 64 * 1024  # bytes of JSON: metadata, settings, the value of a setting


def encoded(name: str, value: Any) -> bytes:
    """Returns a value as JSON. Raises Problem 422 with its name if it is larger than MAX_VALUE.

    PostgreSQL may write a number longer than the client did (`1e99`); a constraint of the column refuses that.
    """
    text = msgspec.json.encode(value)
    if len(text) > MAX_VALUE:
        raise too_large(name)
    return text


def check_tags(merged: msgspec.Raw) -> None:
    """Checks the number of tags after a merge patch, whose bounds the database does not have. Raises Problem 422."""
    if len(msgspec.json.decode(merged, type=dict[str, str])) > MAX_TAGS:
        raise Problem(422, TAGS)
