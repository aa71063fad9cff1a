"""Diagnosis and repair of transcripts: what models would refuse in one, and the same in an order that they accept."""

import asyncio
import contextlib
import json
from functools import partial
from typing import Any, NamedTuple

import msgspec
from litestar import Controller
from litestar.params import FromPath

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.transcripts import findings, integrity
from amplifier.transcripts.findings import Finding
from amplifier.transcripts.integrity import diagnose, repaired
from amplifier.transcripts.parts import Message
from amplifier.web.request import Request, participation, unchanged
from amplifier.web.routing import get, post
from amplifier.web.turns import turn
from amplifier.web.unit_of_work import commit

MAX_MESSAGES = 10_000  # in a transcript that is diagnosed or repaired
MAX_BYTES = 64 * 1024 * 1024  # of message text in it
MAX_FINDINGS = 1000
_PAGE, _PAGE_BYTES = 1000, 4 * 1024 * 1024
_LONGEST = 60.0  # seconds that the moving may take: each message is entered into the search index anew
_TRIES = 3  # to read a transcript that nobody adds to meanwhile
_BUSY = "Other transcripts are being repaired: try again"
_CHANGED = "The session changed at the same time: try again"


class TranscriptFinding(msgspec.Struct):
    """A defect of the message `seq`, in turn `turn` (the N-th message of a human and what follows; 0 before the first),
    the providers that refuse the transcript for it, and what to do about it."""

    problem: findings.Problem
    seq: int
    tool_call_id: str | None
    turn: int
    providers: list[findings.Provider]
    detail: str


class Diagnosis(msgspec.Struct):
    """Up to 1,000 findings, first those that need a repair; `valid` is true when no message has to move and none is
    missing."""

    session_id: str
    last_seq: int
    valid: bool
    findings: list[TranscriptFinding]

    @property
    def etag(self) -> str:
        return str(self.last_seq)


class Repair(msgspec.Struct):
    """The number of messages that got other numbers, and of those that were added."""

    session_id: str
    last_seq: int
    moved: int
    added: int


class _Whole(NamedTuple):
    """A whole transcript."""

    last_seq: int
    seqs: list[int]
    messages: list[Message]


class IntegrityController(Controller):
    """Routes about the integrity of a session's transcript."""

    path = "/sessions/{session_id:str}"
    tags = ["transcripts"]

    @get("/diagnosis", operation_id="diagnose_transcript", summary="Diagnose a transcript", errors=(409, 422))
    async def diagnose_transcript(self, request: Request, session_id: FromPath[str]) -> Diagnosis:
        """Lists what models refuse, with the providers: missing and misplaced results, which a repair mends; and
        what is changed in what models are sent, such as second results, repeated ids, images that no provider takes,
        or turns without an answer. For participants; up to 10,000 messages."""
        if (known := await unchanged(request, session_id)) is not None:
            return known  # type: ignore[no-any-return]
        async with turn(request, "diagnosis", _BUSY):
            whole = await _read(request, session_id)
            found = await asyncio.to_thread(diagnose, whole.messages)
        listed = [
            TranscriptFinding(
                one.problem, whole.seqs[one.index], one.tool_call_id, one.turn, list(one.providers), one.detail
            )
            for one in _foremost(found)
        ]
        return Diagnosis(session_id, whole.last_seq, not any(one.needs_repair for one in found), listed)

    @post(
        "/repair",
        operation_id="repair_transcript",
        summary="Repair a transcript",
        status_code=200,
        commits_itself=True,
        errors=(403, 409, 422),
    )
    async def repair_transcript(self, request: Request, session_id: FromPath[str]) -> Repair:
        """Moves results after their calls and adds missing ones; nothing is changed or deleted. From the first
        message that moves, all get new numbers: `transcript.repaired` tells followers to drop what they have from
        there. For owners, editors and participants with `send`; the session must be active. Up to 10,000 messages."""
        async with turn(request, "repair", _BUSY):
            for _ in range(_TRIES):
                await _require_repairable(request, session_id)
                whole = await _read(request, session_id)
                entries = await asyncio.to_thread(repaired, whole.messages)
                with contextlib.suppress(_ChangedMeanwhile):
                    return await commit(request, partial(_move, request, session_id, whole, entries))  # type: ignore[no-any-return]
        raise Problem(409, _CHANGED)


def _foremost(found: list[Finding]) -> list[Finding]:
    """Returns as many findings as an answer has, by index: those that need a repair before the others."""
    if len(found) > MAX_FINDINGS:
        chosen = sorted(found, key=lambda one: not one.needs_repair)[:MAX_FINDINGS]
        return sorted(chosen, key=lambda one: one.index)
    return found


class _ChangedMeanwhile(Exception):
    """Something happened in the session since its transcript was read."""


async def _move(request: Request, session_id: str, whole: _Whole, entries: list[integrity.Entry]) -> Repair:
    """Writes the new order in one statement. Raises _ChangedMeanwhile unless the session is as it was read."""
    first = next((place for place, (index, _) in enumerate(entries) if index != place), None)
    if first is None:
        return Repair(session_id, whole.last_seq, 0, 0)
    async with request.queries.database.patient(_LONGEST):
        row = await request.queries.transcripts.repair(
            actor_id=request.caller.user_id,
            actor_app_id=request.caller.app_id,
            session_id=session_id,
            seqs=[0 if index is None else whole.seqs[index] for index, _ in entries[first:]],
            added=msgspec.json.encode([message for index, message in entries if index is None]),
            expected_seq=whole.last_seq,
        )
    if row is None:
        raise _ChangedMeanwhile
    request.tell(moved=row["moved"], added=row["added"])
    return Repair(*row)


async def _require_repairable(request: Request, session_id: str) -> None:
    """Raises Problem unless the caller may repair the session's transcript now."""
    if not (await participation(request, session_id)).may_send:
        raise Problem(403, "Only owners, editors and whoever has the permission send may repair a transcript")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        raise Problem(404, "Session not found")
    if row["status"] != "active":
        raise Problem(409, f"The session is {row['status']}: resume it before you repair its transcript")
    going = await request.queries.runs.list_going(actor_id=request.caller.user_id, session_id=session_id)
    if any(run["status"] == "running" for run in going):
        raise Problem(409, "The agent is at work: wait until its turn is over, or cancel it")


async def _read(request: Request, session_id: str) -> _Whole:
    """The transcript as it was at one moment. Raises Problem 404, 422 for one that is too large, and 409."""
    for _ in range(_TRIES):
        if (whole := await _read_once(request, session_id)) is not None:
            return whole
    raise Problem(409, _CHANGED)


async def _read_once(request: Request, session_id: str) -> _Whole | None:
    """Returns the transcript, or None if something happened in the session while it was read."""
    whole, size, more = None, 0, True
    while more:
        rows = await request.queries.messages.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            after=whole.seqs[-1] if whole else 0,
            as_of=None,
            limit=_PAGE,
            max_bytes=_PAGE_BYTES,
        )
        if not rows:
            raise Problem(404, "Session not found")
        whole = whole or _Whole(rows[0]["last_seq"], [], [])
        if rows[0]["last_seq"] != whole.last_seq:
            return None
        found = {row["seq"]: bytes(row["message"] or b"") for row in rows if row["seq"] is not None}
        size += sum(map(len, found.values()))
        if len(whole.seqs) + len(found) > MAX_MESSAGES or size > MAX_BYTES:
            raise Problem(422, "Transcripts of at most 10,000 messages and 64 MB can be diagnosed and repaired")
        whole.seqs.extend(found)
        whole.messages.extend(await asyncio.to_thread(_decoded, list(found.values())))
        more = rows[-1]["next_seq"] is not None
    return whole


def _decoded(messages: list[bytes]) -> list[Message]:
    return [_decode(message) for message in messages]


def _decode(message: bytes) -> Message:
    try:
        return _decoder.decode(message)
    except msgspec.DecodeError:  # an integer of thousands of digits, or half a surrogate pair; neither is looked at
        text = json_characters.replaced(message)
        return json.loads(text, parse_int=str, parse_float=str)  # type: ignore[no-any-return]


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=str)
