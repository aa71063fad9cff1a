"""Paged lists: parameters, cursors and filters by tag. The cursors of searches live in search.py."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from litestar.params import QueryParameter

from amplifier.errors import Problem

Row = TypeVar("Row", bound=msgspec.Struct)

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Rows at most")]
Offset = Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="Rows to skip; prefer `after` for many")]
After = Annotated[
    str | None, QueryParameter(max_length=1000, description="The `next` of the page before: continues behind it")
]
TagFilter = Annotated[
    list[str] | None,
    QueryParameter(name="tag", max_items=20, description="Only rows with this tag, as `key:value`; may be repeated"),
]


class Position(NamedTuple):
    """The time and id of the last row of a page, after which the next page begins."""

    moment: datetime
    identifier: str


# Before every row. Null would need an `or` in queries, with which a generic plan reads all earlier pages.
_START = Position(datetime.max.replace(tzinfo=UTC), "")


def encode_cursor(moment: datetime, identifier: str) -> str:
    """Returns the opaque `next` of a page that ends with this row: a position, and no right to anything."""
    return base64.urlsafe_b64encode(msgspec.json.encode((moment, identifier))).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> Position:
    """Returns the position in a cursor of `encode_cursor`, the start for None. Raises Problem 422 for other text."""
    if cursor is None:
        return _START
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return Position(*_cursor_decoder.decode(text))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Problem(422, "after: not a cursor of this list; use the `next` of the page before") from None


def page(found: Sequence[Any], struct: type[Row], limit: int) -> tuple[list[Row], bool]:
    """Returns a page's rows as structs, and whether more follow: then `found` has more rows than `limit`."""
    return [struct(*row) for row in found[:limit]], len(found) > limit


def is_complete(rows: Sequence[Any], more: bool, offset: int, after: str | None) -> bool:
    """Returns whether a page reaches the end of the list, so that its offset and length give the total."""
    return after is None and not more and (bool(rows) or offset == 0)


def tag_filter(tags: list[str] | None) -> bytes:
    """Returns the JSON object that rows must contain for `tag=key:value` filters. Raises Problem 422."""
    wanted: dict[str, str] = {}
    for tag in tags or []:
        key, colon, value = tag.partition(":")
        if not colon or not key:
            raise Problem(422, "tag: must be of the form key:value")
        if wanted.setdefault(key, value) != value:
            raise Problem(422, f"tag: {key} cannot have two values at once")
    return msgspec.json.encode(wanted)


def utc(name: str, moment: datetime | None) -> datetime | None:
    """A moment as PostgreSQL takes it; without a zone it is UTC. Raises Problem 422."""
    try:
        return moment if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise Problem(422, f"{name}: out of range") from None


_cursor_decoder = msgspec.json.Decoder(
    tuple[Annotated[datetime, msgspec.Meta(tz=True)], Annotated[str, msgspec.Meta(max_length=255)]]
)
