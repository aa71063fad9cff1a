"""Transcripts: append-only, a message a row, JSON passed through as it came."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import asyncpg
import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, QueryParameter

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.bodies import Body
from amplifier.web.misfits import misfit
from amplifier.web.paging import utc
from amplifier.web.request import Request, participation, unchanged
from amplifier.web.responses import JsonStream
from amplifier.web.routing import get, post
from amplifier.web.types import MessageRole

MAX_PAGE = 1000  # messages
MAX_PAGE_BYTES = 8 * 1024 * 1024  # of message text; a page ends earlier when its messages are large
# Entering a megabyte of words into the search index takes 0.4 s, of random letters 3 s: what is larger gets more time
# than other statements.
_LARGE = 1024 * 1024  # bytes
_SHOWN_MISSED = 100  # messages in a 412

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
AfterSeq = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Begins behind the message of this number")]
PageLimit = Annotated[int | None, QueryParameter(ge=1, le=MAX_PAGE, description="Messages at most")]
AsOf = Annotated[
    datetime | None,
    QueryParameter(description="Only messages that were there at this time (RFC 3339; UTC without zone)"),
]
View = Annotated[
    Literal["entries", "plain"],
    QueryParameter(description="`plain`: the bare array of messages, all of them unless `limit` is given"),
]


class AppendTranscript(Body):
    """1 to 1,000 messages; `expected_seq` makes the append fail (412) unless it is the session's `last_seq`."""

    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=1000)]
    expected_seq: Seq | None = None


class Appended(msgspec.Struct):
    """The numbers that the messages got, and how many messages of role user the session has."""

    session_id: str
    first_seq: int
    last_seq: int
    message_count: int


class Transcript(msgspec.Struct):
    """A page of a transcript; `next` is the `after` of the following page, null at the end."""

    next_parameter: ClassVar = "after"

    session_id: str
    last_seq: int
    messages: list[Entry]
    next: int | None

    @property
    def etag(self) -> str:
        return str(self.last_seq)


class _Shape(msgspec.Struct):
    """The members that every message needs, to say where one lacks them."""

    role: MessageRole


class _Shapes(msgspec.Struct):
    messages: list[_Shape]


class TranscriptsController(Controller):
    """Routes below /sessions/{session_id}/transcript."""

    path = "/sessions/{session_id:str}/transcript"
    tags = ["transcripts"]

    # its rows say who wrote them: no entry in the audit log
    @post(operation_id="append_transcript", summary="Append messages", audited=False, errors=(403, 409, 412))
    async def append_transcript(
        self, request: Request, session_id: FromPath[str], data: JSONBody[AppendTranscript]
    ) -> Appended:
        """Appends all messages or none, in order; they are committed when the answer arrives. For owners, editors and
        participants with `send`; the session must be active."""
        caller, messages = request.caller, b"[" + b",".join(data.messages) + b"]"
        append = partial(
            request.queries.messages.append,
            actor_id=caller.user_id,
            actor_app_id=caller.app_id,
            session_id=session_id,
            messages=messages,
            expected_seq=data.expected_seq,
        )
        try:
            row = await (append() if len(messages) < _LARGE else _patiently(request, append, len(messages)))
        except asyncpg.CheckViolationError:
            await _name_the_message(request)
            raise
        if row is None:
            raise await _refusal(request, session_id, data.expected_seq)
        return Appended(*row)

    @get(operation_id="get_transcript", summary="Read a transcript")
    async def get_transcript(
        self,
        request: Request,
        session_id: FromPath[str],
        after: AfterSeq = 0,
        limit: PageLimit = None,
        as_of: AsOf = None,
        view: View = "entries",
    ) -> Transcript:
        """Returns messages in order, after the number `after`: a page of 100 by default. For participants."""
        then = utc("as_of", as_of)
        if (known := await unchanged(request, session_id)) is not None:
            return known  # type: ignore[no-any-return]
        page = await _read(request, session_id, after, limit or (100 if view == "entries" else MAX_PAGE), then)
        return page if view == "entries" else JsonStream(_plain(request, page, limit, then), page.etag)  # type: ignore[return-value]


async def _read(request: Request, session_id: str, after: int, limit: int, as_of: datetime | None = None) -> Transcript:
    rows = await request.queries.messages.list(
        actor_id=request.caller.user_id,
        session_id=session_id,
        after=after,
        as_of=as_of,
        limit=limit,
        max_bytes=MAX_PAGE_BYTES,
    )
    if not rows:
        raise Problem(404, "Session not found")
    entries = [Entry(*row[2:]) for row in rows] if rows[0]["seq"] is not None else []
    has_more = rows[-1]["next_seq"] is not None
    return Transcript(session_id, rows[0]["last_seq"], entries, entries[-1].seq if has_more else None)


async def _plain(request: Request, page: Transcript, limit: int | None, as_of: datetime | None) -> AsyncIterator[bytes]:
    """The messages as one JSON array, a page in memory at a time. The end is that of the first page's moment."""
    end, first, left = page.last_seq, True, limit
    while True:
        messages = [bytes(entry.message) for entry in page.messages if entry.seq <= end][:left]
        yield (b"[" if first else b",") + b",".join(messages)
        first = False
        left = None if left is None else left - len(messages)
        if page.next is None or page.next >= end or left == 0:
            yield b"]"
            return
        page = await _read(request, page.session_id, page.next, MAX_PAGE, as_of)


async def _patiently(request: Request, append: Callable[[], Awaitable[Any]], size: int) -> Any:
    """Awaits an append of many words with a time limit that grows with its size. Raises Problem 503 at its end."""
    seconds = request.app.state.statement_timeout * (1 + size / _LARGE)
    async with request.queries.database.patient(seconds):
        try:
            return await append()
        except (asyncpg.QueryCanceledError, TimeoutError) as error:  # by the server, or by the driver a second later
            detail = "The database took too long for this request: send the messages in several requests"
            raise Problem(503, detail, headers={"Retry-After": "1"}) from error


async def _refusal(request: Request, session_id: str, expected_seq: int | None) -> Problem:
    """Returns the problem of an append that added nothing."""
    if not (await participation(request, session_id)).may_send:
        return Problem(403, "Only owners, editors and whoever has the permission send may append to a transcript")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        return Problem(404, "Session not found")
    if row["status"] != "active":
        return Problem(409, f"The session is {row['status']}: resume it before you append")
    if expected_seq is None:
        return Problem(409, "The session changed at the same time: try again")
    missed = await _read(request, session_id, expected_seq, _SHOWN_MISSED)
    return Problem(
        412,
        f"The transcript has moved on: expected_seq is {expected_seq}, last_seq is {missed.last_seq}",
        last_seq=missed.last_seq,
        missed=missed.messages,
        next=missed.next,
    )


async def _name_the_message(request: Request) -> None:
    """Raises Problem 422 with the place of the first message without a proper role; the database names no place."""
    try:
        msgspec.json.decode(await request.body(), type=_Shapes)
    except msgspec.ValidationError as error:
        raise misfit(error, _Shapes) from None
