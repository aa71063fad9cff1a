"""The tools: what they take, what they return, and what they do with the caller's own rights."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.mcp.transcript_pages import MAX_CHARACTERS, TranscriptPage, last_page, page_after
from amplifier.web.bodies import Body
from amplifier.web.filters import period
from amplifier.web.message_search import find_messages
from amplifier.web.paging import sorted_pages
from amplifier.web.request import Request, participation
from amplifier.web.search import SYNTAX, to_text
from amplifier.web.session_filters import list_filtered, session_filters
from amplifier.web.types import Identifier, MessageRole, Role, Status

_PAGES = sorted_pages("mcp sessions", "session_id", "updated_at", "created_at")["updated_at", "desc"]

Cursor = Annotated[str, Meta(max_length=2000, description="The `next` of the page before; other arguments unchanged")]
Tags = Annotated[list[str], Meta(max_length=20, description="Only sessions with all of these tags, as `key:value`")]
Since = Annotated[str, Meta(max_length=100, description="At this time or later, as 2026-05-20T10:00Z")]
Before = Annotated[str, Meta(max_length=100, description="Before this time, as 2026-05-20T10:00Z")]
SessionId = Annotated[Identifier, Meta(description="The session's id, from search or list_sessions")]


class SearchArguments(Body):
    """The words to find, and filters."""

    query: Annotated[str, Meta(min_length=1, max_length=1000, description=SYNTAX)]
    session_id: Annotated[Identifier, Meta(description="Only in this session")] | None = None
    role: Annotated[MessageRole, Meta(description="Only messages of this role")] | None = None
    author: Annotated[Identifier, Meta(description="Only messages that this user added")] | None = None
    tag: Tags | None = None
    created_after: Since | None = None
    created_before: Before | None = None
    sort: Annotated[Literal["rank", "recent"], Meta(description="The best hit first, or the newest")] = "rank"
    limit: Annotated[int, Meta(ge=1, le=50, description="Hits at most")] = 10
    cursor: Cursor | None = None


class Hit(msgspec.Struct):
    """A message that matches; `seq` is null where a session's title or tags match. The hits are between `**`."""

    session_id: str
    title: str | None
    seq: int | None
    role: MessageRole | None
    author_user_id: str | None
    created_at: datetime
    snippet: str


class Hits(msgspec.Struct):
    """A page of hits; `next` is the `cursor` of the following one. Where nothing is found, `did_you_mean` is a similar
    query that finds something, if there is one."""

    items: list[Hit]
    next: str | None
    notice: str | None
    did_you_mean: str | UnsetType = UNSET


class ListArguments(Body):
    """Filters of the list, and its page."""

    tag: Tags | None = None
    status: Annotated[Status, Meta(description="Only sessions in this state")] | None = None
    updated_after: Since | None = None
    updated_before: Before | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Sessions at most")] = 20
    cursor: Cursor | None = None


class ListedSession(msgspec.Struct):
    """A session that the caller takes part in, with the caller's role."""

    session_id: str
    title: str | None
    status: Status
    role: Role
    messages_total: int
    created_at: datetime
    updated_at: datetime
    tags: dict[str, str]


class Sessions(msgspec.Struct):
    """A page of sessions; `next` is the `cursor` of the following one."""

    items: list[ListedSession]
    next: str | None


class ReadArguments(Body):
    """The messages to read: those after a number, or the last ones."""

    session_id: SessionId
    after: Annotated[int, Meta(ge=0, le=2**63 - 1, description="Messages after this seq; 0 is the beginning")] = 0
    last: (
        Annotated[int, Meta(ge=1, le=200, description="The last n messages, instead of `after` and `limit`")] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=200, description="Messages at most")] = 50
    max_characters: Annotated[int, Meta(ge=1000, le=MAX_CHARACTERS, description="Characters of text at most")] = 20_000


class NoteArguments(Body):
    """A note, and the name under which it is written."""

    session_id: SessionId
    text: Annotated[str, Meta(min_length=1, max_length=50_000, description="The note")]
    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$", description="Who writes, such as `claude-code`")] = (
        "note"
    )


class Noted(msgspec.Struct):
    """The note's number in the session, which is committed."""

    session_id: str
    seq: int


class Tool(NamedTuple):
    """A tool: its description for models, the structs of its arguments and result, and the function that does it."""

    name: str
    title: str
    description: str
    arguments: type[msgspec.Struct]
    result: type[msgspec.Struct]
    run: Callable[[Request, Any], Awaitable[msgspec.Struct]]
    reads_only: bool = True


async def _search(request: Request, given: SearchArguments) -> Hits:
    found = await find_messages(
        request,
        given.query,
        session_id=given.session_id,
        config_id=None,
        tag=given.tag,
        role=given.role,
        author=given.author,
        tool=None,
        created=period("created", given.created_after, given.created_before),
        sort=given.sort,
        limit=given.limit,
        cursor=given.cursor,
        context=0,
    )
    return Hits([_hit(row) for row in found.rows], found.next, found.notice, found.did_you_mean or UNSET)


def _hit(row: Any) -> Hit:
    """Returns the hit for a row of search.list_messages; seq 0 is the session's title and tags."""
    return Hit(
        row["session_id"],
        row["title"],
        row["seq"] or None,
        row["role"],
        row["author_user_id"],
        row["created_at"],
        to_text(row["headline"]),
    )


async def list_sessions(request: Request, given: ListArguments) -> Sessions:
    """Returns a page of the caller's sessions, last changed first. Raises Problem 422."""
    updated = (given.updated_after, given.updated_before)
    filters = session_filters(False, given.tag, given.status, None, None, (None, None), updated)
    arguments = {"actor_id": request.caller.user_id, **filters}
    start = _PAGES.start(given.cursor)
    rows = await list_filtered(request, arguments, "updated_at", "desc", start, given.limit + 1)
    columns = ListedSession.__struct_fields__[:-1]
    tags = (msgspec.json.decode(row["tags"]) for row in rows)
    listed = [[*(row[name] for name in columns), tag] for row, tag in zip(rows, tags, strict=True)]
    items, following = _PAGES.page(listed, ListedSession, given.limit)
    return Sessions(items, following)


async def _read_transcript(request: Request, given: ReadArguments) -> TranscriptPage:
    if given.last is None:
        page = await page_after(request, given.session_id, given.after, given.limit, given.max_characters)
    elif given.after:
        raise Problem(422, "last: give either last or after")
    else:
        page = await last_page(request, given.session_id, given.last, given.max_characters)
    request.app.state.activity.note_participant(given.session_id, request.caller.user_id)
    return page


async def _append_note(request: Request, given: NoteArguments) -> Noted:
    """Adds a message of an assistant with a name: a note is no turn of a user, and no instruction to agents."""
    caller, session_id = request.caller, given.session_id
    message = msgspec.json.encode([{"role": "assistant", "name": given.name, "content": given.text}])
    row = await request.queries.messages.append(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        messages=json_characters.Stored(await request.app.state.scrubber.json(message)),
        expected_seq=None,
    )
    if row is None:
        raise await _refusal(request, session_id)
    request.app.state.activity.note_participant(session_id, caller.user_id)
    request.hub.announce(session_id)
    return Noted(session_id, row["last_seq"])


async def _refusal(request: Request, session_id: str) -> Problem:
    """Returns the problem of an append that added nothing."""
    if not (await participation(request, session_id)).may_send:
        return Problem(403, "Only owners, editors and whoever has the permission send may append to a transcript")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is not None and row["status"] != "active":
        return Problem(409, f"The session is {row['status']}: resume it before you append")
    return Problem(409, "The session changed at the same time: try again")


TOOLS = (
    Tool(
        "search",
        "Search sessions",
        "Searches the text of all sessions that you may read: messages, titles and tags. Returns snippets with "
        "session_id and seq; read_transcript with after=seq-3 shows what was said around a hit.",
        SearchArguments,
        Hits,
        _search,
    ),
    Tool(
        "list_sessions",
        "List sessions",
        "Lists the sessions that you may read, last changed first, with title, tags and number of messages.",
        ListArguments,
        Sessions,
        list_sessions,
    ),
    Tool(
        "read_transcript",
        "Read a transcript",
        "Reads messages of a session as text, in order: after a seq, or the last n. Tool calls are shown in brackets.",
        ReadArguments,
        TranscriptPage,
        _read_transcript,
    ),
    Tool(
        "append_note",
        "Append a note",
        "Adds a note to the end of a session, where people, agents and search find it. It cannot be changed later.",
        NoteArguments,
        Noted,
        _append_note,
        reads_only=False,
    ),
)
