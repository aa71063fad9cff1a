"""Transcripts: append-only, a message a row, JSON passed through as it came."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web import message_faults
from amplifier.web.bodies import MessagesBody
from amplifier.web.filters import AsOf, utc
from amplifier.web.misfits import misfit
from amplifier.web.request import Request, participation, unchanged
from amplifier.web.responses import JsonStream
from amplifier.web.routing import get, post
from amplifier.web.transcript_view import MAX_PAGE, Transcript, plain, read, read_backwards

# Entering a megabyte of words into the search index takes 0.4 s, of random letters 3 s: what is larger gets more time
# than other statements.
_LARGE = 1024 * 1024  # bytes
_SHOWN_MISSED = 100  # messages in a 412

_NEWEST = 2**63 - 1

Seq = Annotated[int, msgspec.Meta(ge=0, le=_NEWEST)]
AfterSeq = Annotated[int, QueryParameter(ge=0, le=_NEWEST, description="Only messages after this number, in order")]
BeforeSeq = Annotated[
    int | None, QueryParameter(ge=1, le=_NEWEST, description="Only messages before this number, newest first")
]
Order = Annotated[
    Literal["asc", "desc"] | None,
    QueryParameter(description="`desc`: newest first, and the first page is the newest; `before` implies it"),
]
MessageSeq = Annotated[int, PathParameter(ge=1, le=_NEWEST, description="The message's number")]
PageLimit = Annotated[int | None, QueryParameter(ge=1, le=MAX_PAGE, description="Messages at most")]
View = Annotated[
    Literal["entries", "plain"],
    QueryParameter(description="`plain`: the bare array of messages, all of them unless `limit` is given"),
]


class AppendTranscript(MessagesBody):
    """1 to 1,000 messages; `expected_seq` makes the append fail (412) unless it is the session's `last_seq`."""

    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=1000)]
    expected_seq: Seq | None = None


class Appended(msgspec.Struct):
    """The numbers that the messages got, and how many messages the session has: of role user, and of any role."""

    session_id: str
    first_seq: int
    last_seq: int
    message_count: int
    messages_total: int


class _Shape(msgspec.Struct):
    """The member of a message that the database checks, to name the message whose own does not fit."""

    role: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


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
        caller, messages = request.caller, json_characters.Stored(b"[" + b",".join(data.messages) + b"]")
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
        except (asyncpg.CheckViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
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
        before: BeforeSeq = None,
        order: Order = None,
        limit: PageLimit = None,
        as_of: AsOf = None,
        view: View = "entries",
    ) -> Transcript:
        """Returns messages in order, after the number `after`, or newest first, before the number `before`: a page of
        100 by default. For participants."""
        then, newest_first = utc("as_of", as_of), _is_newest_first(after, before, order)
        if then is None and (known := await unchanged(request, session_id)) is not None:
            return known  # type: ignore[no-any-return]
        page_after = partial(read_backwards if newest_first else read, request, session_id, as_of=then)
        start = (before or _NEWEST) if newest_first else after
        page = await page_after(start, limit or (100 if view == "entries" else MAX_PAGE))
        return page if view == "entries" else JsonStream(plain(page_after, page, limit), page.etag)  # type: ignore[return-value]

    @get("/{seq:str}", operation_id="get_message", summary="One message")
    async def get_message(self, request: Request, session_id: FromPath[str], seq: FromPath[MessageSeq]) -> Entry:
        """Returns the message with this number; events have numbers, too, and are not found here. For participants."""
        row = await request.queries.messages.get(actor_id=request.caller.user_id, session_id=session_id, seq=seq)
        if row is None:
            await participation(request, session_id)
            raise Problem(404, "Message not found")
        return Entry(*row)


def _is_newest_first(after: int, before: int | None, order: str | None) -> bool:
    """Returns whether the parameters ask for the newest messages first. Raises Problem 422 for contradictions."""
    if before is not None and order == "asc":
        raise Problem(422, "order: with before it is desc; leave order out, or send after instead of before")
    newest_first = before is not None or order == "desc"
    if newest_first and after:
        raise Problem(422, "after: goes with order=asc only; send before to read on with the newest first")
    return newest_first


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
    missed = await read(request, session_id, expected_seq, _SHOWN_MISSED)
    return Problem(
        412,
        f"The transcript has moved on: expected_seq is {expected_seq}, last_seq is {missed.last_seq}",
        last_seq=missed.last_seq,
        missed=missed.messages,
        next=missed.next,
    )


async def _name_the_message(request: Request) -> None:
    """Raises Problem 422 with the place of the first message that does not fit; the database names no place."""
    body = await request.body()
    if (found := await message_faults.find(body)) is not None:
        raise found
    try:
        msgspec.json.decode(json_characters.stored(body), type=_Shapes)
    except msgspec.ValidationError as error:
        raise misfit(error, _Shapes) from None
