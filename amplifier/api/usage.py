"""Usage of the service: runs, tokens, messages and searches of a period. For admin applications."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from amplifier import clock
from amplifier.errors import Problem
from amplifier.web.filters import CreatedAfter, CreatedBefore, period
from amplifier.web.paging import NEWEST, Cursor, LongLimit, Number, Pages
from amplifier.web.request import Request, require_admin
from amplifier.web.routing import get

_USUAL, _LONGEST = timedelta(days=30), timedelta(days=400)

By = Annotated[
    Literal["day", "hour", "user", "application", "config", "model"],
    QueryParameter(description="The subject of a row. Days and hours are those of UTC, the latest first"),
]
Sort = Annotated[
    Literal["total_tokens", "runs", "messages"],
    QueryParameter(description="The order of users, applications, configs and models, the most first"),
]
SearchesBy = Annotated[
    Literal["day", "user", "application", "kind"],
    QueryParameter(name="by", description="The subject of a row. Days are those of UTC, the latest first"),
]


class Place(NamedTuple):
    """The amount by which the last row of a page is sorted, and its key."""

    amount: Number
    key: Annotated[str, msgspec.Meta(max_length=512)]


_START = Place(NEWEST, "")


class UsageRow(msgspec.Struct):
    """The sums for one day, hour, user, application, config or model. Null is what is not counted for it."""

    key: str
    name: str | None
    runs: int
    runs_completed: int
    runs_failed: int
    runs_cancelled: int
    messages: int | None
    model_calls: int
    tool_calls: int | None
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    model_seconds: float
    tool_seconds: float | None


class UsageList(msgspec.Struct):
    """A page of the usage of a period; `next` is the `cursor` of the following page, null at the end."""

    created_after: datetime
    created_before: datetime
    items: list[UsageRow]
    next: str | None


class SearchUsage(msgspec.Struct):
    """The number of searches for one day, user, application or kind, without their words."""

    key: str
    name: str | None
    searches: int
    unsuccessful: int
    cancelled: int
    seconds: float


class SearchUsageList(msgspec.Struct):
    """A page of the searches of a period; `next` is the `cursor` of the following page, null at the end."""

    created_after: datetime
    created_before: datetime
    items: list[SearchUsage]
    next: str | None


class UsageController(Controller):
    """The routes below /usage."""

    path = "/usage"
    tags = ["service"]

    @get(operation_id="list_usage", summary="Runs, tokens and messages of a period", errors=(403,))
    async def list_usage(
        self,
        request: Request,
        by: By = "day",
        sort: Sort = "total_tokens",
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        limit: LongLimit = 100,
        cursor: Cursor = None,
    ) -> UsageList:
        """Sums over the sessions that still exist, of the last 30 days unless a period of at most 400 days is given. A
        run counts when its message arrived. What is 0 throughout has no row. Admin applications only."""
        require_admin(request)
        if sort == "messages" and by in ("config", "model"):
            raise Problem(422, f"sort: messages are not counted by {by}; sort by total_tokens or runs")
        start, end = _period(created_after, created_before)
        pages = Pages(f"usage {by} {sort}", Place, _START, "amount", "key")
        place = pages.start(cursor)
        sums: dict[str, Any] = {"created_after": start, "created_before": end, "limit": limit + 1}
        sums |= {"before_count": place.amount, "before_key": place.key}
        usage, of_runs = request.queries.usage, request.queries.run_usage
        if by == "day" or by == "hour":
            rows = await usage.list_by_time(unit=by, **sums)
        elif by == "config":
            rows = await of_runs.list_by_config(sort=sort, **sums)
        elif by == "model":
            rows = await of_runs.list_by_model(sort=sort, **sums)
        else:
            rows = await usage.list_by_caller(by=by, sort=sort, **sums)
        items = [UsageRow(*row) for row in rows[:limit]]
        sorted_by = None if by in ("day", "hour") else sort
        return UsageList(start, end, items, _next(pages, items, len(rows) > limit, sorted_by))

    @get("/searches", operation_id="list_search_usage", summary="Searches of a period", errors=(403,))
    async def list_search_usage(
        self,
        request: Request,
        by: SearchesBy = "day",
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        limit: LongLimit = 100,
        cursor: Cursor = None,
    ) -> SearchUsageList:
        """Searches, those that found nothing or took too long, and their seconds, on all days that the period touches:
        the last 30 days unless a period of at most 400 days is given. Their words are not stored. Up to a minute late.
        Admin applications only."""
        require_admin(request)
        start, end = _period(created_after, created_before)
        pages = Pages(f"searches {by}", Place, _START, "amount", "key")
        place = pages.start(cursor)
        rows = await request.queries.searches.list(
            by=by,
            created_after=start,
            created_before=end,
            before_count=place.amount,
            before_key=place.key,
            limit=limit + 1,
        )
        items = [SearchUsage(*row) for row in rows[:limit]]
        sorted_by = None if by == "day" else "searches"
        return SearchUsageList(start, end, items, _next(pages, items, len(rows) > limit, sorted_by))


def _period(after: str | None, before: str | None) -> tuple[datetime, datetime]:
    """Returns the period: by default today (UTC) and the 29 days before. Raises Problem 422 for more than 400 days."""
    given = period("created", after, before)
    tomorrow = clock.utc().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    end = given["created_before"] or tomorrow
    start = given["created_after"] or end - _USUAL
    if not timedelta() <= end - start <= _LONGEST:
        raise Problem(422, "created_after: must be at most 400 days before created_before, by default the end of today")
    return start, end


def _next(pages: Pages[Place], items: list[Any], has_more: bool, sorted_by: str | None) -> str | None:
    """Returns the cursor of the next page, or None at the end. Rows of a time have no count that they are sorted by."""
    if not has_more:
        return None
    return pages.cursor(Place(0 if sorted_by is None else getattr(items[-1], sorted_by), items[-1].key))
