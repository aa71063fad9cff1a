"""Retraction of messages: they leave the transcript at once, and owners may erase their text."""

from datetime import datetime
from functools import partial
from typing import Annotated, ClassVar

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, QueryParameter

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.bodies import Body
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post
from amplifier.web.transcript_view import MAX_PAGE_BYTES, moved_on
from amplifier.web.unit_of_work import commit

MOST = 1000  # messages in one request
_NEWEST = 2**63 - 1
_ONE_OF = "Give one of seqs, last and after_seq"

Seq = Annotated[int, msgspec.Meta(ge=0, le=_NEWEST)]
Seqs = Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=_NEWEST)]], msgspec.Meta(min_length=1, max_length=MOST)]
AfterSeq = Annotated[int, QueryParameter(ge=0, le=_NEWEST, description="Only messages after this number, in order")]
PageLimit = Annotated[int, QueryParameter(ge=1, le=1000, description="Messages at most")]


class RetractMessages(Body):
    """The messages with the numbers `seqs`, the `last` ones, or all after the number `after_seq`: one of the three.
    With `erase`, for owners, their text is erased, also of those among `seqs` that were retracted before."""

    seqs: Seqs | None = None
    last: Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None = None
    after_seq: Seq | None = None
    expected_seq: Seq | None = None
    erase: bool = False


class Retracted(msgspec.Struct):
    """The messages that left the transcript, in order, and what the session counts without them. With `erase` their
    text is gone, and those that were retracted before are among them. `next` is not null if their text is more than
    8 MB: then `retracted` ends with this number, and owners read on with `GET .../transcript/retracted?after=NEXT`."""

    session_id: str
    last_seq: int
    message_count: int
    messages_total: int
    retracted: list[Entry]
    next: int | None


class RetractedMessage(msgspec.Struct):
    """A message that was retracted, when and by whom. `erased_at` is the time when its text was erased, or null."""

    seq: int
    message: msgspec.Raw
    author_user_id: str
    author_app_id: str
    created_at: datetime
    key: str | None
    retracted_at: datetime
    retracted_by_user_id: str
    retracted_by_app_id: str
    erased_at: datetime | None


class RetractedMessages(msgspec.Struct):
    """A page of retracted messages; `next` is the `after` of the following page, null at the end."""

    session_id: str
    messages: list[RetractedMessage]
    next: int | None
    next_parameter: ClassVar[str] = "after"


class RetractionsController(Controller):
    """Routes that take messages back."""

    path = "/sessions/{session_id:str}/transcript"
    tags = ["transcripts"]

    @post(
        "/retract",
        operation_id="retract_messages",
        summary="Take messages back",
        status_code=200,
        commits_itself=True,
        errors=(403, 409, 412),
    )
    async def retract_messages(
        self, request: Request, session_id: FromPath[str], data: JSONBody[RetractMessages]
    ) -> Retracted:
        """Removes messages from the transcript, the search and what agents read, at once; followers get
        `message.retracted`. Numbers of other things are ignored. For owners and editors, and for others with `send`
        who wrote the messages; up to 1,000. The session must be active, and its agent must not be at work."""
        if sum(one is not None for one in (data.seqs, data.last, data.after_seq)) != 1:
            raise Problem(422, _ONE_OF)
        change = partial(_erase if data.erase else _retract, request, session_id, data)
        return await commit(request, change, audited=data.erase)  # type: ignore[no-any-return]

    @get("/retracted", operation_id="get_retracted_messages", summary="Read retracted messages", errors=(403,))
    async def get_retracted_messages(
        self, request: Request, session_id: FromPath[str], after: AfterSeq = 0, limit: PageLimit = 100
    ) -> RetractedMessages:
        """Returns the messages that were taken back, in order. For owners."""
        rows = await request.queries.retracted_messages.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            after=after,
            limit=limit,
            max_bytes=MAX_PAGE_BYTES,
        )
        if not rows and (await participation(request, session_id)).role != "owner":
            raise Problem(403, "Only owners may read messages that were taken back")
        messages = [RetractedMessage(*list(row)[:-1]) for row in rows]
        has_more = bool(rows) and rows[-1]["next_seq"] is not None
        return RetractedMessages(session_id, messages, messages[-1].seq if has_more else None)


async def _erase(request: Request, session_id: str, data: RetractMessages) -> Retracted:
    """Retracts messages without their text, and erases that of those that were retracted before."""
    answer = await _retract(request, session_id, data)
    if data.seqs is not None:
        rows = await request.queries.retracted_messages.erase(
            actor_id=request.caller.user_id, session_id=session_id, erased_seqs=data.seqs
        )
        answer.retracted = sorted([*answer.retracted, *(Entry(*row) for row in rows)], key=lambda entry: entry.seq)
    request.tell(erased=len(answer.retracted))
    return answer


async def _retract(request: Request, session_id: str, data: RetractMessages) -> Retracted:
    """Retracts messages in one statement. Raises Problem if it did nothing, except for want of messages."""
    rows = await request.queries.retractions.create(
        actor_id=request.caller.user_id,
        actor_app_id=request.caller.app_id,
        session_id=session_id,
        seqs=data.seqs,
        last=data.last,
        after=data.after_seq,
        most=MOST,
        erases=data.erase,
        expected_seq=data.expected_seq,
        max_bytes=MAX_PAGE_BYTES,
    )
    if not rows:
        raise await _refusal(request, session_id, data)
    first = rows[0]
    if first["found"] > MOST:
        raise Problem(
            422, f"after_seq: more than {MOST:,} messages follow; take them back in several requests, with last"
        )
    if first["found"] and not first["retracted"]:
        raise Problem(403, "Only owners and editors may take back messages of others")
    entries = [Entry(*list(row)[7:]) for row in rows if row["seq"] is not None]
    following = entries[-1].seq if len(entries) < first["retracted"] else None
    session_id, last_seq, message_count, messages_total = list(first)[:4]
    return Retracted(session_id, last_seq, message_count, messages_total, entries, following)


async def _refusal(request: Request, session_id: str, data: RetractMessages) -> Problem:
    """Returns the problem of a retraction that locked nothing."""
    rights = await participation(request, session_id)
    if not rights.may_send:
        return Problem(403, "Only owners, editors and whoever has the permission send may take messages back")
    if data.erase and rights.role != "owner":
        return Problem(403, "Only owners may erase messages: leave erase out to take them back")
    actor_id = request.caller.user_id
    row = await request.queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if row is None:
        return Problem(404, "Session not found")
    if row["status"] != "active":
        return Problem(409, f"The session is {row['status']}: resume it before you take messages back")
    if await request.queries.runs.list_going(actor_id=actor_id, session_id=session_id):
        return Problem(409, "The agent is at work: wait until its turns are over, or cancel them")
    if data.expected_seq is None or row["last_seq"] == data.expected_seq:
        return Problem(409, "The session changed at the same time: try again")
    return await moved_on(request, session_id, data.expected_seq)
