"""Rows that no answer carries as they are: what `@return` names where it names no struct of the API.

The fields are the columns, in their order; a field that may be null says so. Handlers read them by name.
"""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct


class Credentials(Struct):
    """What a presented key or token is compared with."""

    app_id: str
    api_key_hash: str
    is_active: bool
    is_admin: bool
    requests_per_minute: int | None
    expires_at: datetime | None


class IdempotencyClaim(Struct):
    """Whether a key is free at this moment, and the answer that was given to it, if there was one."""

    is_free: bool
    request_hash: str | None
    status: int | None
    response: bytes | None
    etag: str | None
    is_visible: bool
    app_ids: list[str] | None


class ConfigUse(Struct):
    """A config's version, how many sessions were made from it, and in how many of those other people take part."""

    version: int
    sessions: int
    shared: int


class RateLimit(Struct):
    """How many requests were granted, how many are left, and when all will be there again."""

    granted: int
    remaining: int
    asked_at: datetime
    full_at: datetime


class ApplicationVersion(Struct):
    """When an application changed last."""

    app_id: str
    updated_at: datetime


class TranscriptRow(Struct):
    """A message, and where its page ends. Without any message, one row of nulls behind `last_seq`."""

    last_seq: int
    next_seq: int | None
    seq: int | None
    message: Raw | None
    author_user_id: str | None
    author_app_id: str | None
    created_at: datetime | None


class LoggedEvent(Struct):
    """A message or event, and who of the readers takes part. Without anything new, one row, null behind `last_seq`."""

    user_ids: list[str]
    last_seq: int
    seq: int | None
    type: str | None
    data: Raw | None
    user_id: str | None
    app_id: str | None
    created_at: datetime | None


class Clock(Struct):
    """How far a session is, for somebody who follows it."""

    session_id: str
    user_id: str
    last_seq: int
    may_send: bool


class ExistingSession(Struct):
    """A session that was not deleted."""

    session_id: str


class ChangedSession(Struct):
    """A session that changed."""

    session_id: str
    last_seq: int


class HintFor(Struct):
    """What happened last in a session, for one of its followers."""

    user_id: str
    session_id: str
    last_seq: int
    type: str


class ActiveParticipant(Struct):
    """Whose activity was written."""

    session_id: str
    user_id: str


class Rights(Struct):
    """The role of a participant, and what the participant may do besides reading."""

    role: Literal["owner", "editor", "viewer"]
    may_send: bool
    may_cancel: bool
    may_invite: bool


class LockedParticipant(Struct):
    """Somebody who takes part in a session that is to be deleted."""

    user_id: str


class InvitationState(Struct):
    """Why an invitation admits nobody."""

    is_revoked: bool
    is_expired: bool
    is_used_up: bool


class OpenedStream(Struct):
    """Where a stream starts, and how many others its user has open in other processes."""

    last_seq: int
    may_send: bool
    open_elsewhere: int


class OpenedHints(Struct):
    """A stream of hints."""

    stream_id: str
    user_id: str


class PresentIn(Struct):
    """Who follows which session; those who follow all of theirs are in none."""

    session_id: str | None
    user_id: str
    since: datetime


class HintsTicket(Struct):
    """Until when a ticket opens a stream of hints, and whose."""

    expires_at: datetime
    user_id: str


class ClaimedTicket(Struct):
    """Whom a ticket stands for."""

    user_id: str
    app_id: str
    token_expires_at: datetime
    requests_per_minute: int | None


class FoundMessage(Struct):
    """A hit with the plain text around it, and what the next page needs. `seq` is 0 for the session itself."""

    session_id: str
    title: str | None
    seq: int
    role: str | None
    author_user_id: str | None
    created_at: datetime
    rank: float
    headline: str
    before: Raw
    after: Raw
    searched_at: datetime
    ranked: int


class FoundSession(Struct):
    """A session in which something was found, and what the next page needs."""

    session_id: str
    config_id: str
    status: str
    message_count: int
    created_at: datetime
    updated_at: datetime
    title: str | None
    tags: Raw
    role: str
    last_seq: int
    last_read_seq: int
    unread: int
    hits: int
    headline: str
    rank: float
    matched_at: datetime
    searched_at: datetime
    total: int


class Languages(Struct):
    """The text search configuration of what names none, and the one that was asked for, if there is such a one."""

    current: str
    wanted: str | None


class GoingRun(Struct):
    """A run that begins now, its config as it is stored, and the clock at its message; or one that may not begin."""

    session_id: str
    run_id: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    message: Raw
    user_id: str
    app_id: str
    queued_at: datetime
    last_seq: int
    config_id: str
    config_json: Raw


class QueuedRun(Struct):
    """The clock at the event of a run that waits."""

    session_id: str
    last_seq: int


class History(Struct):
    """Messages that the agent may look at, as the text of a JSON array, and the number of the last one."""

    last_seq: int | None
    messages: str | None


class AppendedByRun(Struct):
    """The clock behind what a run wrote."""

    session_id: str
    last_seq: int


class FinishedRun(Struct):
    """The clock behind the end of a run, and whether another one waits for it."""

    session_id: str
    last_seq: int
    others_wait: bool


class RenewedRun(Struct):
    """What a process has to know of a run of its own."""

    session_id: str
    run_id: str
    cancelled: bool
    followed_elsewhere: bool


class ReapedRun(Struct):
    """A run whose process died."""

    session_id: str
    run_id: str
    user_id: str
    cancelled: bool


class WaitingRun(Struct):
    """The next run of a session in which none goes on, and its sender."""

    session_id: str
    run_id: str
    user_id: str


class RefusedRun(Struct):
    """A run that ended without having begun."""

    session_id: str
    run_id: str


class CancelledRun(Struct):
    """A run that is to end."""

    session_id: str
    run_id: str


class CreatedApproval(Struct):
    """A question to people, and until when they may answer."""

    approval_id: str
    expires_at: datetime


class ApprovalAnswer(Struct):
    """What was answered, if anything."""

    granted: bool | None
    decision: str | None


class ExpiredApproval(Struct):
    """A question that nobody answered in time."""

    approval_id: str


class UnfinishedRun(Struct):
    """A run that goes on or waits."""

    run_id: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
