"""Bounds on values of callers, checked before the database is asked; the database has the same ones."""

from typing import Any

import msgspec

from amplifier.web.problems import too_large

MAX_VALUE = 64 * 1024  # bytes of JSON: metadata, settings, the value of a setting


def encoded(name: str, value: Any) -> bytes:
    """A value as JSON. Raises Problem 422 with its name where it is larger than MAX_VALUE.

    What the database writes may be longer still (`1e99`): a constraint of the column catches that.
    """
    text = msgspec.json.encode(value)
    if len(text) > MAX_VALUE:
        raise too_large(name)
    return text
