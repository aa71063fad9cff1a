"""Transcripts: appends and reads, a message a row, JSON passed through as it came."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from litestar import Controller
from litestar.params import FromPath, PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.queries.rows import AppendedMessages
from amplifier.web import message_faults, message_keys, message_lines, states
from amplifier.web.append_rights import MAY_NOT_APPEND, appendable
from amplifier.web.bodies import MessagesBody
from amplifier.web.export_rights import check_export
from amplifier.web.filters import AsOf, utc
from amplifier.web.message_keys import MessageKey
from amplifier.web.misfits import misfit
from amplifier.web.request import Request, participation, unchanged
from amplifier.web.responses import JsonStream
from amplifier.web.routing import get, post
from amplifier.web.states import PatchedStates, StatePatches
from amplifier.web.transcript_view import (
    MAX_PAGE,
    Transcript,
    moved_on,
    plain,
    read,
    read_backwards,
    read_last,
)
from amplifier.web.turns import LARGE, patience, took_too_long
from amplifier.web.unit_of_work import commit, kept

_NEWEST = 2**63 - 1
_OF_OTHERS = "A key belongs to a message of someone else, which only owners and editors may replace: send other keys"

Seq = Annotated[int, msgspec.Meta(ge=0, le=_NEWEST)]
ExpectedSeq = Annotated[
    int | None,
    QueryParameter(ge=0, le=_NEWEST, description="With NDJSON only: the member of this name in a JSON body"),
]
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
Last = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_PAGE, description="Only this many of the newest messages, in order"),
]
View = Annotated[
    Literal["entries", "plain"],
    QueryParameter(description="`plain`: the bare array of messages, all of them unless `limit` is given"),
]


class AppendTranscript(MessagesBody):
    """1 to 1,000 messages; `expected_seq` makes the append fail (412) unless it is the session's `last_seq`.

    `keys` has the key of each message, null for none. A message whose key is in the session is skipped, or with
    `on_conflict` `replace` stored in place of the message that is there. `state` is merged into the documents of the
    session, the caller and the application; with it, `messages` may be empty.
    """

    messages: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=1000)]
    expected_seq: Seq | None = None
    keys: Annotated[list[MessageKey | None], msgspec.Meta(max_length=1000)] | None = None
    on_conflict: Literal["skip", "replace"] | None = None
    state: StatePatches | None = None


class Appended(AppendedMessages):
    """The numbers that the messages got, and how many messages the session has: of role user, and of any role.

    Of messages with keys also the number of each, and the places of those that were skipped or replaced others. With
    `state` the documents that were patched.
    """

    seqs: list[int] | UnsetType = UNSET
    skipped: list[int] | UnsetType = UNSET
    replaced: list[int] | UnsetType = UNSET
    state: PatchedStates | UnsetType = UNSET


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
    @post(
        operation_id="append_transcript",
        summary="Append messages",
        audited=False,
        commits_itself=True,
        body=AppendTranscript,
        other_bodies=message_lines.DESCRIBED,
        errors=(403, 409, 412),
    )
    async def append_transcript(
        self, request: Request, session_id: FromPath[str], expected_seq: ExpectedSeq = None
    ) -> Appended:
        """Appends all messages or none, in order; they are committed when the answer arrives. As
        `application/x-ndjson` up to 10,000 messages of 64 MB, one a line. For owners, editors and participants with
        `send`; the session must be active."""
        if request.media_type in message_lines.MEDIA_TYPES:
            return await _append_lines(request, session_id, expected_seq)
        data = await request.required_json()
        if expected_seq is not None:
            raise Problem(422, "expected_seq: goes into a JSON body, beside messages")
        is_plain = data.keys is None and data.state is None
        append = partial(_append, request, session_id, data)
        return await commit(request, append, one_statement=is_plain)  # type: ignore[no-any-return]

    @get(operation_id="get_transcript", summary="Read a transcript", errors=(403,))
    async def get_transcript(
        self,
        request: Request,
        session_id: FromPath[str],
        after: AfterSeq = 0,
        before: BeforeSeq = None,
        order: Order = None,
        limit: PageLimit = None,
        last: Last = None,
        as_of: AsOf = None,
        view: View = "entries",
    ) -> Transcript:
        """Returns messages in order, after the number `after`, or newest first, before the number `before`: a page of
        100 by default. `last` returns the end of the transcript in order. For participants; `view=plain` without
        `limit` and `last` needs the permission `export`, which every role has."""
        then, newest_first = utc("as_of", as_of), _is_newest_first(after, before, order)
        if last is not None:
            _check_last(after, before, order, limit)
        if then is None and (known := await unchanged(request, session_id)) is not None:
            return known  # type: ignore[no-any-return]
        if view == "plain" and limit is None and last is None:
            await check_export(request, session_id)
        page_after = partial(read_backwards if newest_first else read, request, session_id, as_of=then)
        if last is not None:
            page, limit = await read_last(request, session_id, last, then), last
        else:
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


def _check_last(after: int, before: int | None, order: str | None, limit: int | None) -> None:
    """Raises Problem 422 if `last` comes with a parameter that asks for other messages."""
    others = {"after": after or None, "before": before, "order": order, "limit": limit}
    if given := [name for name, value in others.items() if value is not None]:
        raise Problem(422, f"last: goes with neither after, before, order nor limit; leave out {' and '.join(given)}")


async def _append(request: Request, session_id: str, data: AppendTranscript) -> Appended:
    """Appends the messages of a JSON body in one statement."""
    caller, scrubber = request.caller, request.app.state.scrubber
    statement = _statement(request, data)
    messages = json_characters.Stored(await scrubber.json(b"[" + b",".join(data.messages) + b"]"))
    append = partial(
        statement,
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        messages=messages,
        expected_seq=data.expected_seq,
    )
    try:
        row = await (append() if len(messages) < LARGE else _patiently(request, append, len(messages)))
    except (asyncpg.CheckViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
        await _name_the_message(request)
        raise
    if row is None:
        raise await _refusal(request, session_id, data.expected_seq, data.on_conflict == "replace")
    return _appended(row, data)


def _statement(request: Request, data: AppendTranscript) -> Callable[..., Awaitable[Any]]:
    """Returns the query of an append, with what goes beside messages. Raises Problem 403 and 422."""
    keys = message_keys.checked(data.keys, data.on_conflict, len(data.messages))
    state = None if data.state is None else states.encoded(request, data.state)
    if not data.messages and state is None:
        detail = "Expected `array` of length >= 1"
        raise Problem(422, f"{detail} - at `$.messages`", errors=[{"field": "messages", "detail": detail}])
    if keys is None and state is None:
        return kept(request, request.queries.messages.append)
    return partial(
        request.queries.appends.create,
        keys=keys or [],
        replaces=data.on_conflict == "replace",
        state=None if state is None else json_characters.Stored(state),
        versions=None,
    )


def _appended(row: Any, data: AppendTranscript) -> Appended:
    """Returns the answer of an append, with what was asked for beside messages."""
    answer = Appended(*row[:5])
    if data.keys is not None:
        answer.seqs, answer.skipped, answer.replaced = row["seqs"], row["skipped"], row["replaced"]
    if data.state is not None:
        answer.state = states.patched(row["state"])
    return answer


async def _append_lines(request: Request, session_id: str, expected_seq: int | None) -> Appended:
    """Appends messages that come a line each, in one transaction that begins when all have come."""
    request.refuse_compressed()
    if not (await participation(request, session_id)).may_send:  # before a client sends much for nothing
        raise Problem(403, MAY_NOT_APPEND)
    async with message_lines.received(request) as lines:

        async def append() -> Appended:
            row = await lines.append(session_id, expected_seq)
            if row is None:
                raise await _refusal(request, session_id, expected_seq)
            return Appended(*row)

        return await commit(request, append, lines.hash)  # type: ignore[no-any-return]


async def _patiently(request: Request, append: Callable[[], Awaitable[Any]], size: int) -> Any:
    """Awaits an append of many words with a time limit that grows with its size. Raises Problem 503 at its end."""
    async with request.queries.database.patient(patience(request, size)):
        try:
            return await append()
        except (asyncpg.QueryCanceledError, TimeoutError) as error:  # by the server, or by the driver a second later
            raise took_too_long() from error


async def _refusal(request: Request, session_id: str, expected_seq: int | None, replaces: bool = False) -> Problem:
    """Returns or raises the problem of an append that added nothing."""
    rights, row = await appendable(request, session_id)
    if replaces and rights.role == "viewer" and expected_seq in (None, row["last_seq"]):
        return Problem(403, _OF_OTHERS)
    if expected_seq is None:
        return Problem(409, "The session changed at the same time: try again")
    return await moved_on(request, session_id, expected_seq)


async def _name_the_message(request: Request) -> None:
    """Raises Problem 422 with the place of the first message that does not fit; the database names no place."""
    body = await request.body()
    if (found := await message_faults.find(body)) is not None:
        raise found
    try:
        msgspec.json.decode(json_characters.stored(body), type=_Shapes)
    except msgspec.ValidationError as error:
        raise misfit(error, _Shapes) from None
