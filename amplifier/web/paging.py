"""Lists: their parameters and cursors, the same for every list. The cursors of searches live in search.py."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta

from amplifier.errors import Problem

Row = TypeVar("Row", bound=msgspec.Struct)
Place = TypeVar("Place")

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Rows at most")]
LongLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows at most")]
Cursor = Annotated[
    str | None, QueryParameter(max_length=2000, description="The `next` of the page before; other parameters unchanged")
]
After = Annotated[
    str | None,
    QueryParameter(max_length=2000, description="Former name of `cursor`", schema_extra={"deprecated": True}),
]
Offset = Annotated[
    int,
    QueryParameter(
        ge=0, le=2**31 - 1, description="Rows to skip; `cursor` is faster and stable", schema_extra={"deprecated": True}
    ),
]
Sort = Literal["updated_at", "created_at", "last_active_at"]
Order = Literal["desc", "asc"]
OrderOf = Annotated[
    Order | None, QueryParameter(description="`desc`: the newest first, the default; `asc`: the oldest")
]

Text = Annotated[str, Meta(max_length=255)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
NEWEST = 2**63 - 1


class Position(NamedTuple):
    """The time and id of the last row of a page, after which the next page begins."""

    moment: Annotated[datetime, Meta(tz=True)]
    identifier: Text


# Before every row. Null would need an `or` in queries, with which a generic plan reads all earlier pages.
LATEST = Position(datetime.max.replace(tzinfo=UTC), "")
EARLIEST = Position(datetime.min.replace(tzinfo=UTC), "")


class Pages(Generic[Place]):
    """The pages of one list, whose cursors are valid for no other list.

    `columns` are the fields of a row that make its place, of the type `place`; `start` is before every row.
    """

    def __init__(self, name: str, place: Any, start: Place, *columns: str) -> None:
        self._name, self._start, self._columns = name, start, columns
        self._decoder: msgspec.json.Decoder[tuple[str, Place]] = msgspec.json.Decoder(tuple[str, place])

    def start(self, cursor: str | None, after: str | None = None) -> Place:
        """Returns the place after which the page begins. Raises Problem 422 for what is no cursor of this list."""
        parameter, given = one_cursor(cursor, after)
        if given is None:
            return self._start
        try:
            name, place = self._decoder.decode(unpacked(given))
        except (ValueError, msgspec.MsgspecError):
            name, place = "", self._start
        if name != self._name:
            raise Problem(422, f"{parameter}: not a cursor of this list; use the `next` of the page before")
        return place

    def page(self, found: Sequence[Any], struct: type[Row], limit: int) -> tuple[list[Row], str | None]:
        """Returns a page's rows as structs, and the cursor of the next page if `found` has more rows than `limit`."""
        rows = [struct(*row) for row in found[:limit]]
        return rows, self.cursor(rows[-1]) if len(found) > limit else None

    def cursor(self, row: Any) -> str:
        """Returns the opaque `next` of a page that ends with this row: a place, and no right to anything."""
        values = [getattr(row, column) for column in self._columns]
        return packed((self._name, values if len(values) > 1 else values[0]))


def sorted_pages(name: str, identifier: str, *sorts: Sort) -> dict[tuple[Sort, Order], Pages[Position]]:
    """Returns the pages of a list in each of its orders, by time and `identifier`; the cursors of one are not valid for
    another."""
    starts: dict[Order, Position] = {"desc": LATEST, "asc": EARLIEST}
    return {
        (sort, order): Pages(f"{name} {sort} {order}", Position, start, sort, identifier)
        for sort in sorts
        for order, start in starts.items()
    }


def one_cursor(cursor: str | None, after: str | None) -> tuple[str, str | None]:
    """Returns the name and value of whichever is given, `cursor` and None for none. Raises Problem 422 for both."""
    if cursor is not None and after is not None:
        raise Problem(422, "after: is the former name of cursor; give cursor alone")
    return ("cursor", cursor) if after is None else ("after", after)


def packed(value: Any) -> str:
    """Returns a value as the text of a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def unpacked(cursor: str) -> bytes:
    """Returns the JSON in a cursor of `packed`. Raises ValueError for other text."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def is_complete(rows: Sequence[Any], following: str | None, offset: int, is_first: bool) -> bool:
    """Returns whether a page reaches the end of the list, so that its offset and length give the total."""
    return is_first and following is None and (bool(rows) or offset == 0)
