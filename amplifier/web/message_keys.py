"""The keys that clients give to messages of an append: what is refused, and how the database takes them."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from amplifier.errors import Problem

MessageKey = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_STORED_ODD = "\ufdd0"  # json_characters.stored has put it where a key had a character that PostgreSQL refuses


def checked(keys: Sequence[str | None] | None, on_conflict: str | None, messages: int) -> list[str] | None:
    """Returns the keys of so many messages as `appends.create` takes them, or None for an append without keys.

    Raises Problem 422 for keys that do not fit the messages.
    """
    if keys is None:
        if on_conflict is not None:
            raise _misfit("on_conflict", "goes with keys only: send keys, one for each message, or leave it out")
        return None
    if len(keys) != messages:
        raise _misfit("keys", f"send one for each of the {messages} messages, null for none; there are {len(keys)}")
    for number, key in enumerate(keys):
        if key is not None and _STORED_ODD in key:
            raise _misfit(f"keys[{number}]", "must not contain NUL, halves of surrogate pairs or U+FDD0")
    return [key or "" for key in keys]


def _misfit(field: str, detail: str) -> Problem:
    return Problem(422, f"{field}: {detail}", errors=[{"field": field, "detail": detail}])
