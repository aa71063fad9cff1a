"""Full-text search over the sessions that the caller takes part in, and within one of them."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter

from amplifier import json_characters
from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, period, tag_filter
from amplifier.web.paging import Cursor
from amplifier.web.request import Request, participation
from amplifier.web.routing import get
from amplifier.web.search import MOST_RANKED, Position, Q, Search, no_terms, to_html
from amplifier.web.types import MessageRole

Sort = Annotated[Literal["rank", "recent"], QueryParameter(description="The best hit first, or the newest")]
PageLimit = Annotated[int, QueryParameter(ge=1, le=100, description="Hits at most")]
Context = Annotated[int, QueryParameter(ge=0, le=5, description="Messages to show before and after each hit")]
InSession = Annotated[str | None, QueryParameter(max_length=255, description="Only in this session")]
OfConfig = Annotated[str | None, QueryParameter(max_length=255, description="Only in sessions of this config")]
OfRole = Annotated[MessageRole | None, QueryParameter(description="Only messages of this role")]
Author = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that this user added")]
Tool = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that call this tool")]

_RANKED_SOME = (
    f"More than {MOST_RANKED:,} messages match: the best of the newest {MOST_RANKED:,} are shown. "
    "Add a word or a filter, or take sort=recent to see all."
)


class ContextMessage(msgspec.Struct):
    """A message beside a hit."""

    seq: int
    role: MessageRole | None
    author_user_id: str
    created_at: datetime
    text: str


class Hit(msgspec.Struct):
    """A message that matches, or a session whose title or tags do: then `seq`, `role` and `author_user_id` are null."""

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
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        tool: Tool = None,
        sort: Sort = "rank",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """Messages, and titles and tags of sessions, in all sessions that the caller takes part in."""
        return await _search(
            request,
            q,
            session_id,
            config_id,
            tag,
            role,
            author,
            tool,
            period("created", created_after, created_before),
            sort,
            limit,
            cursor,
            context,
        )


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
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        tool: Tool = None,
        sort: Sort = "rank",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """Searches one session as `search` does. For its participants."""
        return await _search(
            request,
            q,
            session_id,
            None,
            None,
            role,
            author,
            tool,
            period("created", created_after, created_before),
            sort,
            limit,
            cursor,
            context,
        )


async def _search(
    request: Request,
    q: str,
    session_id: str | None,
    config_id: str | None,
    tag: list[str] | None,
    role: str | None,
    author: str | None,
    tool: str | None,
    created: dict[str, datetime | None],
    sort: str,
    limit: int,
    cursor: str | None,
    context: int,
) -> SearchResults:
    (since, until), by_rank = created.values(), sort == "rank"
    find = partial(
        request.queries.search.list_messages,
        q=q,
        session_id=session_id,
        config_id=config_id,
        tags=tag_filter(tag),
        message_role=role,
        author_user_id=author,
        tool=tool,
        since=since,
        until=until,
        by_rank=by_rank,
        most_ranked=MOST_RANKED,
    )
    search = Search("messages", find.keywords)
    start = search.decode_cursor(cursor)
    found = find(
        actor_id=request.caller.user_id,
        until=min(start.searched_at, until or start.searched_at),
        after_rank=start.rank,
        after_created_at=start.moment,
        after_session_id=start.session_id,
        after_seq=start.seq,
        limit=limit + 1,
        context=context,
    )
    rows = await search.run(request, found, is_first_page=cursor is None)
    if not rows and session_id is not None:
        await participation(request, session_id)
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        end = Position(last["searched_at"], last["rank"], last["created_at"], last["session_id"], last["seq"])
        following = search.encode_cursor(start, end)
    notice = _RANKED_SOME if rows and by_rank and rows[0]["ranked"] > MOST_RANKED else None
    return SearchResults([_hit(row) for row in rows[:limit]], following, notice if rows else await no_terms(request, q))


def _hit(row: Any) -> Hit:
    """Returns the hit for a row of search.list_messages; seq 0 is the session's title and tags."""
    return Hit(
        row["session_id"],
        row["title"],
        row["seq"] or None,
        row["role"],
        row["author_user_id"],
        row["created_at"],
        row["rank"],
        to_html(row["headline"]),
        _context.decode(json_characters.replaced(row["before"], " ")),
        _context.decode(json_characters.replaced(row["after"], " ")),
    )


_context = msgspec.json.Decoder(list[ContextMessage])
