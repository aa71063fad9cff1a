"""The list of the caller's sessions, and the search for them."""

from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, UpdatedAfter, UpdatedBefore
from amplifier.web.folders import InPath, in_folder
from amplifier.web.paging import (
    After,
    Cursor,
    Limit,
    Offset,
    Order,
    OrderOf,
    Sort,
    is_complete,
    one_cursor,
    sorted_pages,
)
from amplifier.web.paging import Position as Place
from amplifier.web.request import Request
from amplifier.web.routing import get
from amplifier.web.search import MOST_RANKED, SYNTAX, Position, Search, no_terms, to_html
from amplifier.web.session_filters import (
    OfConfig,
    OfParent,
    OfStatus,
    Owned,
    Participant,
    Shared,
    Unread,
    is_filtered,
    list_filtered,
    searchable,
    session_filters,
)
from amplifier.web.session_includes import (
    Include,
    IncludedParticipant,
    IncludedRun,
    Preview,
    including_page,
    list_including,
    wanted,
)
from amplifier.web.session_view import hide_links
from amplifier.web.states import PatchedState
from amplifier.web.suggestions import find_suggestion
from amplifier.web.typed_filters import ONLY_FILTERS, Typed, typed_filters
from amplifier.web.types import Role, Status

_PAGES = sorted_pages("sessions", "session_id", "updated_at", "created_at")

SortOf = Annotated[
    Literal["updated_at", "created_at"] | None,
    QueryParameter(
        description="By this time, by default `updated_at`; by `created_at` to read all pages. Not with `q`"
    ),
]
Wanted = Annotated[
    str | None, QueryParameter(name="q", max_length=1000, description=f"Only sessions in which this is found. {SYNTAX}")
]


class SessionSummary(msgspec.Struct):
    """A session in a list; `hits` and `headline` are those of a search, the members after them those of `include`."""

    session_id: str
    config_id: str | None
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
    external_id: str | None
    parent_session_id: str | None
    hits: int | UnsetType = UNSET
    headline: str | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET
    participants: list[IncludedParticipant] | UnsetType = UNSET
    participant_count: int | UnsetType = UNSET
    last_message: Entry | UnsetType | None = UNSET
    preview: Preview | UnsetType | None = UNSET
    run: IncludedRun | UnsetType | None = UNSET
    state: PatchedState | UnsetType = UNSET


class SessionList(msgspec.Struct):
    """A page of sessions; `next` is the `cursor` of the following page, null at the end."""

    sessions: list[SessionSummary]
    total: int
    next: str | None
    notice: str | UnsetType = UNSET
    did_you_mean: str | UnsetType = UNSET


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
        folder: InPath = None,
        owned: Owned = False,
        shared: Shared = False,
        unread: Unread = False,
        status: OfStatus = None,
        config_id: OfConfig = None,
        participant: Participant = None,
        parent_session_id: OfParent = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        updated_after: UpdatedAfter = None,
        updated_before: UpdatedBefore = None,
        sort: SortOf = None,
        order: OrderOf = None,
        q: Wanted = None,
        include: Include = None,
    ) -> SessionList:
        """Own and shared ones, last changed first, or with `q` the best hit first; `total` counts what the same filters
        match. A page with what `include` names ends before that exceeds 8 MB, but has at least one row."""
        periods = (created_after, created_before), (updated_after, updated_before)
        typed = typed_filters(q or "", tag, folder)
        q = None if typed.names_sessions else q
        filters = session_filters(
            owned, typed.tags, status, config_id, participant, *periods, shared, unread, parent_session_id
        )
        members = wanted(include)
        if members and (offset or q is not None):
            raise Problem(422, f"include: does not go with {'offset: use cursor' if q is None else 'q'}")
        if q is not None:
            if sort is not None or order is not None:
                raise Problem(422, f"{'order' if sort is None else 'sort'}: does not go with q, which sorts by rank")
            return await _found(request, typed, searchable(filters), limit, offset, one_cursor(cursor, after))
        pages = _PAGES[sort or "updated_at", order or "desc"]
        filters["tags"] = await in_folder(request.queries, request.caller.user_id, typed.path, filters["tags"])
        given: dict[str, Any] = {"actor_id": request.caller.user_id, **filters}
        start, place = pages.start(cursor, after), (sort or "updated_at", order)
        if members:
            rows = await list_including(request, members, given, *place, start, limit)
            sessions, following = including_page(pages, rows, members, _summary_of)
        else:
            sessions, following = pages.page(
                await _rows(request, given, *place, start, limit + 1, offset), SessionSummary, limit
            )
        await hide_links(request, request.caller.user_id, sessions)
        complete = is_complete(sessions, following, offset, cursor is None and after is None)
        return SessionList(sessions, offset + len(sessions) if complete else await _count(request, given), following)


async def _rows(
    request: Request, given: dict[str, Any], sort: Sort, order: Order | None, start: Place, limit: int, offset: int
) -> list[Any]:
    """Returns rows by the fastest query for these filters and this order."""
    if sort != "updated_at" or order == "asc" or is_filtered(given):
        rows = await list_filtered(request, given, sort, order, start, limit, offset)
        return [_columns(row) for row in rows]
    return await request.queries.sessions.list(
        actor_id=given["actor_id"],
        owned=given["owned"],
        tags=given["tags"],
        after_updated_at=start.moment,
        after_session_id=start.identifier,
        limit=limit,
        offset=offset,
    )


async def _count(request: Request, given: dict[str, Any]) -> int:
    """Returns how many sessions the filters leave."""
    if is_filtered(given):
        return await request.queries.session_lists.count(**given)
    return await request.queries.sessions.count(actor_id=given["actor_id"], owned=given["owned"], tags=given["tags"])


async def _found(
    request: Request, typed: Typed, filters: dict[str, Any], limit: int, offset: int, place: tuple[str, str | None]
) -> SessionList:
    parameter, cursor = place
    q, filtered = typed.words, is_filtered(filters)
    filters = filters | typed.of_messages
    search = Search("sessions", {"q": q, **filters, **typed.kept_path, "most_ranked": MOST_RANKED})
    start = search.decode_cursor(cursor, parameter)
    filters["tags"] = await in_folder(request.queries, request.caller.user_id, typed.path, filters["tags"])
    find = partial(
        request.queries.search.list_sessions,
        actor_id=request.caller.user_id,
        q=q,
        **filters,
        is_filtered=filtered,
        most_ranked=MOST_RANKED,
        until=start.searched_at,
        after_rank=start.rank,
        after_matched_at=start.moment,
        after_session_id=start.session_id,
    )
    found = partial(find, limit=limit + 1, offset=offset)
    rows = await search.run(request, found, is_first_page=cursor is None and not offset)
    counted = rows or (offset and await search.run(request, partial(find, limit=1, offset=0), is_first_page=False))
    result = SessionList([_summary(row) for row in rows[:limit]], counted[0]["total"] if counted else 0, None)
    await hide_links(request, request.caller.user_id, result.sessions)
    if len(rows) > limit:
        last = rows[limit - 1]
        end = Position(last["searched_at"], last["rank"], last["matched_at"], last["session_id"], 0)
        result.next = search.encode_cursor(start, end)
    if not counted:
        if notice := ONLY_FILTERS if typed.is_empty else await no_terms(request, q):
            result.notice = notice
        elif cursor is None:
            meant = await find_suggestion(request, q, None, lambda q: find(q=q, limit=1, offset=0))
            result.did_you_mean = typed.typed(meant) if meant else UNSET
    return result


def _summary(row: Any) -> SessionSummary:
    """Returns the summary for a row of search.list_sessions."""
    summary = SessionSummary(*row[:16])
    summary.headline = to_html(row["headline"])
    return summary


def _summary_of(row: Any) -> SessionSummary:
    """Returns the summary for a row of a list."""
    return SessionSummary(*_columns(row))


_columns = itemgetter(*SessionSummary.__struct_fields__[:15])
