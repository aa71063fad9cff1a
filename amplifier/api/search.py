"""Full-text search over the sessions that the caller takes part in, and within one of them."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter
from msgspec import UNSET, UnsetType

from amplifier import json_characters
from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, period
from amplifier.web.folders import InPath
from amplifier.web.meaning_search import Mode
from amplifier.web.message_search import FoundMessages, find_messages
from amplifier.web.paging import Cursor
from amplifier.web.request import Request
from amplifier.web.routing import get
from amplifier.web.search import Q, to_html
from amplifier.web.search_filters import Author, InSession, OfConfig, OfRole, Tool
from amplifier.web.types import MessageRole

Sort = Annotated[Literal["rank", "recent"], QueryParameter(description="The best hit first, or the newest")]
PageLimit = Annotated[int, QueryParameter(ge=1, le=100, description="Hits at most")]
Context = Annotated[int, QueryParameter(ge=0, le=5, description="Messages to show before and after each hit")]


FoundBy = Literal["words", "meaning", "both"]


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
    """A page of hits; `next` is the `cursor` of the following one. `notice` says what the hits do not.

    `mode` is how they were found: `both` becomes `words` if the search by meaning is off or fails.
    Where nothing is found, `did_you_mean` is a similar `q` that finds something, if there is one.
    """

    items: list[Hit]
    next: str | None
    notice: str | None
    mode: FoundBy
    did_you_mean: str | UnsetType = UNSET


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
        folder: InPath = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        tool: Tool = None,
        sort: Sort = "rank",
        mode: Mode = "words",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """Messages, and titles and tags of sessions, in all sessions that the caller takes part in."""
        found = await find_messages(
            request,
            q,
            session_id=session_id,
            config_id=config_id,
            tag=tag,
            role=role,
            author=author,
            tool=tool,
            created=period("created", created_after, created_before),
            sort=sort,
            mode=mode,
            limit=limit,
            cursor=cursor,
            context=context,
            path=folder,
        )
        return _results(found)


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
        mode: Mode = "words",
        limit: PageLimit = 20,
        cursor: Cursor = None,
        context: Context = 0,
    ) -> SearchResults:
        """Searches one session as `search` does. For its participants."""
        found = await find_messages(
            request,
            q,
            session_id=session_id,
            config_id=None,
            tag=None,
            role=role,
            author=author,
            tool=tool,
            created=period("created", created_after, created_before),
            sort=sort,
            mode=mode,
            limit=limit,
            cursor=cursor,
            context=context,
        )
        return _results(found)


def _results(found: FoundMessages) -> SearchResults:
    mode = cast(FoundBy, found.mode)
    hits = [_hit(row) for row in found.rows]
    return SearchResults(hits, found.next, found.notice, mode, found.did_you_mean or UNSET)


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
