"""Full-text search over every transcript that the caller may read."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter

from amplifier.errors import Problem
from amplifier.paging import TagFilter, tag_filter, utc
from amplifier.searching import MOST_RANKED, Cursor, Q, Search, nothing_to_search, to_html
from amplifier.web import MessageRole, Request, get, participation

Sort = Annotated[Literal["rank", "recent"], QueryParameter(description="The best hit first, or the newest")]
PageLimit = Annotated[int, QueryParameter(ge=1, le=100, description="Hits at most")]
Context = Annotated[int, QueryParameter(ge=0, le=5, description="Messages to show before and after each hit")]
InSession = Annotated[str | None, QueryParameter(max_length=255, description="Only in this session")]
OfConfig = Annotated[str | None, QueryParameter(max_length=255, description="Only in sessions of this config")]
OfRole = Annotated[MessageRole | None, QueryParameter(description="Only messages of this role")]
Author = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that this user added")]
Tool = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that call this tool")]
NotBefore = Annotated[datetime | None, QueryParameter(description="Only what is as new as this time (RFC 3339)")]
Before = Annotated[datetime | None, QueryParameter(description="Only what is older than this time (RFC 3339)")]

_RANKED_SOME = (
    f"More than {MOST_RANKED:,} messages match: the best of the newest {MOST_RANKED:,} are shown. "
    "Add a word or a filter, or take sort=recent to see all."
)


class ContextMessage(msgspec.Struct):
    """A message beside a hit; `text` is its beginning, 1,000 characters at most, as plain text."""

    seq: int
    role: MessageRole
    author_user_id: str
    created_at: datetime
    text: str


class Hit(msgspec.Struct):
    """A message that matches, or a session whose title or tags do: then `seq`, `role` and `author_user_id` are null.

    `rank` is between 0 and 1. `headline` is HTML: the matching fragments, escaped, hits in `<mark>`.
    """

    session_id: str
    title: str | None
    seq: int | None
    role: MessageRole | None
    author_user_id: str | None
    created_at: datetime
    rank: float
    headline: str
    before: list[ContextMessage]
    after: list[ContextMessage]


class SearchResults(msgspec.Struct):
    """A page of hits; `next` is the `cursor` of the following one. `notice` says what the hits do not."""

    next_parameter: ClassVar = "cursor"

    items: list[Hit]
    next: str | None
    notice: str | None


class SearchController(Controller):
    """The search over all sessions."""

    path = "/search"
    tags = ["search"]

    @get(operation_id="search", summary="Search all transcripts", errors=(404,))
    async def search(
        self,
        request: Request,
        q: Q,
        session_id: InSession = None,
        config_id: OfConfig = None,
        role: OfRole = None,
        author: Author = None,
        tag: TagFilter = None,
        after: NotBefore = None,
        before: Before = None,
        tool: Tool = None,
        sort: Sort = "rank",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """Messages, and titles and tags of sessions, in all sessions that the caller takes part in."""
        filters = {"session_id": session_id, "config_id": config_id, "tags": tag_filter(tag)}
        filters |= {"message_role": role, "author_user_id": author, "tool": tool}
        search = _search(request, q, sort, after, before, **filters)
        return await _page(request, search, limit, cursor, context)


class SessionSearchController(Controller):
    """The search within one session."""

    path = "/sessions/{session_id:str}/search"
    tags = ["search"]

    @get(operation_id="search_session", summary="Search one session")
    async def search_session(
        self,
        request: Request,
        session_id: FromPath[str],
        q: Q,
        role: OfRole = None,
        author: Author = None,
        after: NotBefore = None,
        before: Before = None,
        tool: Tool = None,
        sort: Sort = "rank",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """The same within one session. For its participants."""
        filters = {"session_id": session_id, "config_id": None, "tags": tag_filter(None)}
        filters |= {"message_role": role, "author_user_id": author, "tool": tool}
        search = _search(request, q, sort, after, before, **filters)
        return await _page(request, search, limit, cursor, context)


def _search(
    request: Request, q: str, sort: str, after: datetime | None, before: datetime | None, **filters: Any
) -> Search:
    since, until = utc("after", after), utc("before", before)
    if since is not None and until is not None and until < since:
        raise Problem(422, "before: must not be earlier than after")
    return Search.of(
        "messages",
        request.queries.search.list_messages,
        q=q,
        by_rank=sort == "rank",
        since=since,
        until=until,
        most_ranked=MOST_RANKED,
        **filters,
    )


async def _page(request: Request, search: Search, limit: int, cursor: str | None, context: int) -> SearchResults:
    place, asked = search.place(cursor), search.arguments
    rows = await search.run(
        request,
        until=min(place.searched_at, asked["until"] or place.searched_at),
        after_rank=place.rank,
        after_created_at=place.moment,
        after_session_id=place.session_id,
        after_seq=place.seq,
        limit=limit + 1,
        context=context,
    )
    if not rows and asked["session_id"] is not None:
        await participation(request, asked["session_id"])
    following = search.following(place, rows[limit - 1], "created_at") if len(rows) > limit else None
    return SearchResults([_hit(row) for row in rows[:limit]], following, await _notice(request, search, rows))


async def _notice(request: Request, search: Search, rows: list[Any]) -> str | None:
    if not rows:
        return await nothing_to_search(request, search.arguments["q"])
    return _RANKED_SOME if search.arguments["by_rank"] and rows[0]["ranked"] > MOST_RANKED else None


def _hit(row: Any) -> Hit:
    """A row of search.list_messages; seq 0 means the session's title and tags."""
    return Hit(
        row["session_id"],
        row["title"],
        row["seq"] or None,
        row["role"],
        row["author_user_id"],
        row["created_at"],
        row["rank"],
        to_html(row["headline"]),
        _context.decode(row["before"]),
        _context.decode(row["after"]),
    )


_context = msgspec.json.Decoder(list[ContextMessage])
