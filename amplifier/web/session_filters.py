"""Filters and order of the lists of sessions: a caller's, a user's, and those in which a search found something."""

from typing import Annotated, Any

from litestar.params import QueryParameter

from amplifier.errors import Problem
from amplifier.web.filters import period, tag_filter
from amplifier.web.paging import Order, Position, Sort
from amplifier.web.request import Request
from amplifier.web.types import Status

_EVERYWHERE = ("actor_id", "owned", "tags")
_LISTS_ONLY = ("shared", "unread", "parent_session_id")

Owned = Annotated[bool, QueryParameter(description="Only sessions in which the user is an owner")]
Shared = Annotated[bool, QueryParameter(description="Only sessions in which the user is no owner")]
Unread = Annotated[bool, QueryParameter(description="Only sessions with messages that the user has not read")]
OfStatus = Annotated[Status | None, QueryParameter(name="status", description="Only sessions in this state")]
OfConfig = Annotated[str | None, QueryParameter(max_length=255, description="Only sessions of this config")]
Participant = Annotated[
    str | None, QueryParameter(max_length=255, description="Only sessions in which this user takes part, too")
]

OfParent = Annotated[
    str | None,
    QueryParameter(
        max_length=255,
        description="Only the sessions of sub-agents that an agent of this session started; empty for those who take "
        "no part in it. Not with `q`",
    ),
]


def session_filters(
    owned: bool,
    tag: list[str] | None,
    status: str | None,
    config_id: str | None,
    participant: str | None,
    created: tuple[str | None, str | None],
    updated: tuple[str | None, str | None],
    shared: bool = False,
    unread: bool = False,
    parent_session_id: str | None = None,
) -> dict[str, Any]:
    """Returns the filters as arguments of a query; `created` and `updated` are periods. Raises Problem 422."""
    return {
        "owned": owned,
        "shared": shared,
        "unread": unread,
        "tags": tag_filter(tag),
        "status": status,
        "config_id": config_id,
        "participant": participant,
        "parent_session_id": parent_session_id,
        **period("created", *created),
        **period("updated", *updated),
    }


def is_filtered(filters: dict[str, Any]) -> bool:
    """Returns whether there are filters besides `owned` and `tags`, which every query of a list takes."""
    return any(value not in (None, False) for name, value in filters.items() if name not in _EVERYWHERE)


def searchable(filters: dict[str, Any]) -> dict[str, Any]:
    """Returns the filters that go with a search. Raises Problem 422 if one that does not is given."""
    for name in _LISTS_ONLY:
        if filters[name]:
            raise Problem(422, f"{name}: does not go with q")
    return {name: value for name, value in filters.items() if name not in _LISTS_ONLY}


async def list_filtered(
    request: Request,
    given: dict[str, Any],
    sort: Sort,
    order: Order | None,
    start: Position,
    limit: int,
    offset: int = 0,
) -> list[Any]:
    """Returns rows of session_lists.list; `given` are the user and the filters."""
    return await request.queries.session_lists.list(
        **given,
        sort=sort,
        ascending=order == "asc",
        after_moment=start.moment,
        after_session_id=start.identifier,
        limit=limit,
        offset=offset,
    )
