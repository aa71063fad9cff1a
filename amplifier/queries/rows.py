"""Structs of rows that no response contains as they are. `@return` names one of these, or a struct of the API.

Fields have the names, the order and the types of the columns; a column that may be null has a type with None. Callers
read rows by column name. Structs that responses contain are in `amplifier.api`.
"""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct


class Credentials(Struct):
    """The stored hash of an API key with its application, to verify a presented key or token."""

    app_id: str
    api_key_hash: str
    is_active: bool
    is_admin: bool
    act_as: bool
    requests_per_minute: int | None
    expires_at: datetime | None


class IdempotencyClaim(Struct):
    """The state of an idempotency key: whether this transaction holds it, and the stored response, if any."""

    is_free: bool
    request_hash: str | None
    status: int | None
    response: bytes | None
    etag: str | None
    is_encrypted: bool | None
    is_visible: bool
    app_ids: list[str] | None


class ConfigUse(Struct):
    """The version of a config, the number of its sessions, and the number of those with other participants."""

    version: int
    sessions: int
    shared: int


class RateLimit(Struct):
    """The state of a rate limit: requests granted, requests left, and when the bucket is full again."""

    granted: int
    remaining: int
    asked_at: datetime
    full_at: datetime


class ApplicationVersion(Struct):
    """The time of an application's last change."""

    app_id: str
    updated_at: datetime


class TranscriptRow(Struct):
    """A message and the end of its page. An empty page is one row in which only `last_seq` is not null."""

    last_seq: int
    next_seq: int | None
    seq: int | None
    message: Raw | None
    author_user_id: str | None
    author_app_id: str | None
    created_at: datetime | None
    key: str | None


class AppendedMessages(Struct):
    """The numbers of added messages, and how many messages the session has: of role user, and of any role."""

    session_id: str
    first_seq: int
    last_seq: int
    message_count: int
    messages_total: int


class AppendedWith(AppendedMessages):
    """The same of an append with keys and state, and the number of each message; skipped and replaced ones from 0."""

    seqs: list[int]
    skipped: list[int]
    replaced: list[int]
    state: Raw


class ScopedState(Struct):
    """A state document that a user reads. One that was never written is empty, has version 0 and no time."""

    user_id: str
    scope: Literal["session", "user", "application"]
    document: Raw
    version: int
    updated_at: datetime | None


class PatchedDocuments(Struct):
    """Documents after patches by a user, a JSON object by scope."""

    user_id: str
    state: Raw


class RetractedRow(Struct):
    """The numbers of a session after a retraction, and one of its messages. Without one, null after `retracted`.

    `found` is the number of messages that the request names, `of_others` of those among them that others wrote.
    """

    session_id: str
    last_seq: int
    message_count: int
    messages_total: int
    found: int
    of_others: int
    retracted: int
    seq: int | None
    message: Raw | None
    author_user_id: str | None
    author_app_id: str | None
    created_at: datetime | None
    key: str | None


class RetractedMessageRow(Struct):
    """A message that was taken back, and the number of the next one on a further page."""

    seq: int
    message: Raw
    author_user_id: str
    author_app_id: str
    created_at: datetime
    key: str | None
    retracted_at: datetime
    retracted_by_user_id: str
    retracted_by_app_id: str
    erased_at: datetime | None
    next_seq: int | None


class LoggedEvent(Struct):
    """A message or event, and the readers that take part. If there is nothing new, one row, null after `last_seq`."""

    user_ids: list[str]
    last_seq: int
    seq: int | None
    type: str | None
    data: Raw | None
    user_id: str | None
    app_id: str | None
    created_at: datetime | None
    key: str | None


class Clock(Struct):
    """The clock of a session for one of its followers."""

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
    """The last message or event of a session, for one follower."""

    user_id: str
    session_id: str
    last_seq: int
    type: str


class ActiveParticipant(Struct):
    """A participant whose activity was written."""

    session_id: str
    user_id: str


class Rights(Struct):
    """The role of a participant, and the rights besides reading."""

    role: Literal["owner", "editor", "viewer"]
    may_send: bool
    may_cancel: bool
    may_invite: bool
    may_export: bool


class LockedParticipant(Struct):
    """A participant whose row is locked."""

    user_id: str


class InvitationState(Struct):
    """The reasons for which an invitation admits nobody."""

    is_revoked: bool
    is_expired: bool
    is_used_up: bool


class OpenedStream(Struct):
    """The clock at the start of a stream, and the number of streams that its user has open in other processes."""

    last_seq: int
    may_send: bool
    open_elsewhere: int


class OpenedHints(Struct):
    """A stream of hints that was opened."""

    stream_id: str
    user_id: str


class PresentIn(Struct):
    """A follower and the session followed; `session_id` is null for a follower of all own sessions."""

    session_id: str | None
    user_id: str
    since: datetime


class HintsTicket(Struct):
    """The expiry and the user of a ticket for a stream of hints."""

    expires_at: datetime
    user_id: str


class ClaimedTicket(Struct):
    """The user and application that a claimed ticket authenticates."""

    user_id: str
    app_id: str
    token_expires_at: datetime
    requests_per_minute: int | None


class FoundMessage(Struct):
    """A hit with the text before and after it, and the position for the next page. `seq` is 0 for title and tags."""

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


class SimilarMessage(Struct):
    """A hit of the search by meaning with the text before and after it. `rank` is the cosine of the two vectors."""

    session_id: str
    title: str | None
    seq: int
    role: str | None
    author_user_id: str
    created_at: datetime
    rank: float
    headline: str
    before: Raw
    after: Raw
    searched_at: datetime


class EmbeddingModel(Struct):
    """The model that the database is prepared for, and the length of its vectors."""

    model: str
    dimensions: int
    is_indexed: bool


class ClaimedMessage(Struct):
    """A message that this process embeds until `due_at`, and the attempts so far, this one included."""

    session_id: str
    seq: int
    due_at: datetime | None
    attempts: int


class EmbeddingText(Struct):
    """The text of a message that is embedded, and its digest."""

    session_id: str
    seq: int
    words: str
    digest: bytes


class MessagePlace(Struct):
    """A message."""

    session_id: str
    seq: int


class FacetCount(Struct):
    """The hits of one value of a facet, and the number of all hits that were counted."""

    facet: str
    value: str
    name: str | None
    count: int
    counted: int


class Folder(Struct):
    """A working directory of the caller's sessions."""

    cwd: str


class Suggestion(Struct):
    """A typed word and the similar one that the caller's messages have."""

    typed: str
    word: str


class FoundSession(Struct):
    """A session with hits, and the position for the next page."""

    session_id: str
    config_id: str | None
    status: str
    message_count: int
    messages_total: int
    created_at: datetime
    updated_at: datetime
    title: str | None
    tags: Raw
    role: str
    last_seq: int
    last_read_seq: int
    unread: int
    external_id: str | None
    parent_session_id: str | None
    hits: int
    headline: str
    rank: float
    matched_at: datetime
    searched_at: datetime
    total: int


class IncludingRow(Struct):
    """A session in a list and the user's part in it, with its metadata, first participants, last message and run if
    these are wanted, and whether rows follow."""

    session_id: str
    config_id: str | None
    status: str
    title: str | None
    tags: Raw
    role: str
    owner_user_id: str
    joined_at: datetime
    last_active_at: datetime
    message_count: int
    messages_total: int
    last_seq: int
    created_at: datetime
    updated_at: datetime
    last_read_seq: int
    unread: int
    external_id: str | None
    parent_session_id: str | None
    metadata: Raw | None
    participants: Raw | None
    participant_count: int | None
    message_seq: int | None
    message_role: str | None
    message: Raw | None
    message_text: str | None
    author_user_id: str | None
    author_app_id: str | None
    message_created_at: datetime | None
    message_key: str | None
    state: Raw | None
    run: Raw | None
    has_more: bool


class Languages(Struct):
    """The default text search configuration, and the one asked for, or null if PostgreSQL has no such one."""

    current: str
    wanted: str | None


class GoingRun(Struct):
    """A run that starts, with its stored config and the clock at its message; or one that was refused."""

    session_id: str
    run_id: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    message: Raw
    user_id: str
    app_id: str
    queued_at: datetime
    traceparent: str | None
    last_seq: int
    config_id: str
    config_json: Raw


class QueuedRun(Struct):
    """The clock at the event of a run that was queued."""

    session_id: str
    last_seq: int


class History(Struct):
    """The messages that an agent may read, as the text of a JSON array, and the `seq` of the last and the first one.

    `older_messages` are those before them that the agent reads, too; `left_out` counts all messages before them.
    `system_bytes` is the size of the system's messages before them, which are missing if they are too large.
    """

    last_seq: int | None
    first_seq: int
    messages: str | None
    older_messages: str | None
    system_bytes: int | None
    left_out: int


class AppendedByRun(Struct):
    """The clock after the messages that a run appended."""

    session_id: str
    last_seq: int


class NewerHistory(Struct):
    """Newer messages for an agent, as the text of a JSON array, with their number, bytes and hash of versions.

    `messages` is None if all have to be read again.
    """

    number: int
    bytes: int
    hash: int
    messages: str | None


class FinishedRun(Struct):
    """The clock after the end of a run, and whether other runs of the session wait."""

    session_id: str
    last_seq: int
    others_wait: bool


class RenewedRun(Struct):
    """The state of a run whose lease was renewed, for the process that runs it."""

    session_id: str
    run_id: str
    cancelled: bool
    followed_elsewhere: bool


class ReapedRun(Struct):
    """A run taken over from a process that stopped renewing its lease."""

    session_id: str
    run_id: str
    user_id: str
    cancelled: bool


class WaitingRun(Struct):
    """The next queued run of a session without a running one, and its sender."""

    session_id: str
    run_id: str
    user_id: str


class QueueLength(Struct):
    """The number of queued runs of all sessions, and since when the oldest of them waits."""

    queued: int
    oldest_queued_at: datetime | None


class RefusedRun(Struct):
    """A run that ended before it started."""

    session_id: str
    run_id: str


class CancelledRun(Struct):
    """A run that is to be cancelled."""

    session_id: str
    run_id: str


class CreatedApproval(Struct):
    """A question to participants, and the time until which they may answer."""

    approval_id: str
    expires_at: datetime


class ApprovalAnswer(Struct):
    """The answer to a question; both columns are null without one."""

    granted: bool | None
    decision: str | None


class ExpiredApproval(Struct):
    """A question that was not answered in time."""

    approval_id: str


class UnfinishedRun(Struct):
    """A run that is running or queued."""

    run_id: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]


class NewAttachment(Struct):
    """An attachment that was made, or that was there already: then `is_new` is false."""

    attachment: str
    size: int
    content_type: str
    name: str | None
    created_by_user_id: str
    created_at: datetime
    is_new: bool


class StoredAttachment(Struct):
    """An attachment and the blob with its content, or None if the content is in the database."""

    sha256: str
    size: int
    content_type: str
    name: str | None
    location: str | None


class AttachmentChunk(Struct):
    """A part of an attachment's content, from the byte at `start`."""

    start: int
    data: bytes


class AttachmentUsage(Struct):
    """The bytes of all attachments of a session, and of a user."""

    in_session: int
    of_user: int


class CopiedAttachment(Struct):
    """An attachment that a fork got from its origin."""

    sha256: str
    size: int
    location: str | None


class UncheckedAttachment(Struct):
    """An attachment whose references are to be searched for, with the clock of its session."""

    session_id: str
    sha256: str
    referenced_seq: int | None
    checked_at: datetime
    last_seq: int


class AttachmentRemoval(Struct):
    """A blob that is to be removed, unless an attachment has it."""

    location: str
    is_used: bool
