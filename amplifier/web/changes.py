"""The fields that a request changed: in its audit entry, in its answer, and in the answer's message."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from amplifier.web.request import Request

_Answer = TypeVar("_Answer")


def changed(request: Request, struct: Callable[..., _Answer], row: Any) -> _Answer:
    """Returns the answer to a change, whose last field has the names of the fields that changed.

    The last column of `row` is `changes`, which is told to the audit log.
    """
    return struct(*row[:-1], told(request, row["changes"]))


def told(request: Request, changes: msgspec.Raw) -> list[str]:
    """Adds the column `changes` of a statement to the audit entry and returns the names of the fields that changed.

    `changes` is an object with a member for each of them, empty or with its `old` and `new` value. A request that
    changed nothing has no audit entry.
    """
    changed = msgspec.json.decode(changes, type=dict[str, msgspec.Raw])
    request.tell(changed=changed)
    return list(changed)


def confirmation(changed: list[str], message: str) -> str:
    """Returns `message`, or the text for a request that changed nothing."""
    return message if changed else "Nothing changed"
