"""The list of the caller's sessions, and the search for them."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType

from amplifier.web.paging import (
    LATEST,
    After,
    Cursor,
    Limit,
    Offset,
    Pages,
    TagFilter,
    is_complete,
    one_cursor,
    tag_filter,
)
from amplifier.web.paging import Position as Place
from amplifier.web.request import Request
from amplifier.web.routing import get
from amplifier.web.search import MOST_RANKED, SYNTAX, Position, Search, no_terms, to_html
from amplifier.web.types import Role, Status

Owned = Annotated[bool, QueryParameter(description="Only sessions in which the caller is an owner")]
_PAGES = Pages("sessions", Place, LATEST, "updated_at", "session_id")
Wanted = Annotated[
    str | None, QueryParameter(name="q", max_length=1000, description=f"Only sessions in which this is found. {SYNTAX}")
]


class SessionSummary(msgspec.Struct):
    """A session in a list; `hits` and `headline` are those of a search."""

    session_id: str
    config_id: str
    status: Status
    message_count: int
    messages_total: int
    created_at: datetime
    updated_at: datetime
    title: str | None
    tags: msgspec.Raw
    role: Role
    last_seq: int
    last_read_seq: int
    unread: int
    hits: int | UnsetType = UNSET
    headline: str | UnsetType = UNSET


class SessionList(msgspec.Struct):
    """A page of sessions; `next` is the `cursor` of the following page, null at the end."""

    sessions: list[SessionSummary]
    total: int
    next: str | None
    notice: str | UnsetType = UNSET


class SessionListController(Controller):
    """The list at /sessions."""

    path = "/sessions"
    tags = ["sessions"]

    @get(operation_id="list_sessions", summary="The caller's sessions")
    async def list_sessions(
        self,
        request: Request,
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
        offset: Offset = 0,
        tag: TagFilter = None,
        owned: Owned = False,
        q: Wanted = None,
    ) -> SessionList:
        """Own and shared ones, last changed first, or with `q` the best hit first; `total` counts what the same filters
        match."""
        queries, actor_id, tags = request.queries.sessions, request.caller.user_id, tag_filter(tag)
        if q is not None:
            return await _found(request, q, owned, tags, limit, offset, cursor, after)
        position = _PAGES.start(cursor, after)
        found = await queries.list(
            actor_id=actor_id,
            owned=owned,
            tags=tags,
            after_updated_at=position.moment,
            after_session_id=position.identifier,
            limit=limit + 1,
            offset=offset,
        )
        rows, following = _PAGES.page(found, SessionSummary, limit)
        complete = is_complete(rows, following, offset, position is LATEST)
        total = offset + len(rows) if complete else await queries.count(actor_id=actor_id, owned=owned, tags=tags)
        return SessionList(rows, total, following)


async def _found(
    request: Request, q: str, owned: bool, tags: bytes, limit: int, offset: int, cursor: str | None, after: str | None
) -> SessionList:
    search = Search("sessions", {"q": q, "owned": owned, "tags": tags, "most_ranked": MOST_RANKED})
    parameter, given = one_cursor(cursor, after)
    start = search.decode_cursor(given, parameter)
    find = partial(
        request.queries.search.list_sessions,
        actor_id=request.caller.user_id,
        q=q,
        owned=owned,
        tags=tags,
        most_ranked=MOST_RANKED,
        until=start.searched_at,
        after_rank=start.rank,
        after_matched_at=start.moment,
        after_session_id=start.session_id,
    )
    found = find(limit=limit + 1, offset=offset)
    rows = await search.run(request, found, is_first_page=after is None and not offset)
    counted = rows or (offset and await search.run(request, find(limit=1, offset=0), is_first_page=False))
    result = SessionList([_summary(row) for row in rows[:limit]], counted[0]["total"] if counted else 0, None)
    if len(rows) > limit:
        last = rows[limit - 1]
        end = Position(last["searched_at"], last["rank"], last["matched_at"], last["session_id"], 0)
        result.next = search.encode_cursor(start, end)
    if not counted and (notice := await no_terms(request, q)):
        result.notice = notice
    return result


def _summary(row: Any) -> SessionSummary:
    """Returns the summary for a row of search.list_sessions."""
    summary = SessionSummary(*row[:14])
    summary.headline = to_html(row["headline"])
    return summary
