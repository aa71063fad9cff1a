"""The structs of problems and of the data of events, which no handler names. Those of handlers are in `amplifier/api`.

Their docstrings are the descriptions in the document.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from amplifier.api.participants import Permissions
from amplifier.api.presence import Present
from amplifier.api.runs import RunError
from amplifier.live.frames import Entry
from amplifier.web.bodies import Warnings
from amplifier.web.import_view import Import
from amplifier.web.types import Role, Status


class FieldError(Struct):
    """A fault of a parameter, or of a place in the body (`messages[0].role`, empty for the whole body)."""

    field: str
    detail: str


class OpenAIError(Struct):
    """The same error for clients of OpenAI's API, below /v1: `param` is the parameter that does not fit, if known."""

    message: str
    type: str
    param: str | None
    code: str | None


class Problem(Struct):
    """An error (RFC 9457): `detail` says what to do; `errors` of a 422, and of a 400 about a config, names the values
    that do not fit, where known. `request_id` finds a fault of the service in its log. A run that failed adds its
    `run_id`, and as `code` the kind of error that its provider reported, and `retry_after` if it said when to come
    back.

    A 412 of an append also has the session's `last_seq`, the first hundred messages that were `missed`, and `next`,
    after which there are more.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    last_seq: int | UnsetType = UNSET
    missed: list[Entry] | UnsetType = UNSET
    next: int | UnsetType | None = UNSET
    run_id: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET
    error: OpenAIError | UnsetType = UNSET


class Logged(Struct):
    """The members that all events with a number have in common. `actor_user_id` is null for a DBA."""

    seq: int
    actor_user_id: str | None
    created_at: datetime


class ParticipantEvent(Logged):
    """A participant was added, changed or removed."""

    user_id: str
    role: Role
    permissions: Raw


class SessionUpdated(Logged):
    """The new values. `changed` names what is too large for an event of 8 kB: the session has it."""

    title: str | UnsetType | None = UNSET
    tags: Raw | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    config_id: str | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class TranscriptRepaired(Logged):
    """The messages from `from_seq` on are out of date: drop them. They come again after this event, `moved` of them,
    with `added` ones between."""

    from_seq: int
    moved: int
    added: int


class MessagesRetracted(Logged):
    """The messages with these numbers were taken back: drop them. `changed` names a list that is too large for an event
    of 8 kB: read the transcript again."""

    seqs: list[int] | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class MessageUpdated(Logged):
    """Another message was stored in place of the one with this key, under the same number: read it again."""

    message_seq: int
    key: str


class StateUpdated(Logged):
    """The state of the session changed; `changed` says that there are more names than an event of 8 kB takes."""

    version: int
    names: list[str] | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class OwnershipTransferred(Logged):
    """The session has another owner."""

    user_id: str
    former_user_id: str


class InvitationEvent(Logged):
    """An invitation was made, used or revoked; which, only owners may see."""


class RunEvent(Logged):
    """A message waits for its turn, the agent's turn begins, is to be cancelled, or has ended well."""

    run_id: str


class RunEnded(RunEvent):
    """The agent's turn was cancelled or has failed; a message that only waited has no `error`. `changed` names an error
    that is too large for an event of 8 kB: the run has it."""

    error: RunError | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class ApprovalRequired(RunEvent):
    """The agent asks before it goes on. `changed` names what is too large for an event of 8 kB: the approval has it."""

    approval_id: str
    expires_at: datetime
    prompt: str | UnsetType = UNSET
    options: list[str] | UnsetType = UNSET
    changed: list[str] | UnsetType = UNSET


class ApprovalDecided(RunEvent):
    """A participant answered, or `reason` says why nobody did."""

    approval_id: str
    decision: str | UnsetType = UNSET
    reason: Literal["timeout"] | UnsetType = UNSET


class AnswerDelta(Struct):
    """A part of what the model says (`text`), thinks (`thinking`) or calls (`tool_call`), once and never replayed."""

    run_id: str
    request_id: str
    block_index: int
    block_type: Literal["text", "thinking", "tool_call"]
    text: str


class StreamConnected(Struct):
    """The stream of a run is open."""

    type: Literal["connected"]
    session_id: str
    warnings: Warnings = UNSET


class StreamActivity(Struct):
    """An event of the agent, as amplifier-core names it; `data` has the `run_id`."""

    type: str
    data: Raw


class StreamResponse(Struct):
    """The answer, whole."""

    type: Literal["response"]
    content: str
    finish_reason: str | None


class StreamDone(Struct):
    """The turn is over."""

    type: Literal["done"]


class StreamError(Struct):
    """The turn failed, `detail` says why, and so does `message`; nothing comes after this event."""

    type: Literal["error"]
    message: str
    detail: str
    code: str | UnsetType = UNSET
    retry_after: int | UnsetType = UNSET


class PresenceChanged(Struct):
    """The followers of the session: their count, and at most 100 of them."""

    session_id: str
    count: int
    present: list[Present]


class TypingEvent(Struct):
    """A participant is typing."""

    user_id: str


class ReadEvent(Struct):
    """A participant has read the messages up to here."""

    user_id: str
    last_read_seq: int


class Hint(Struct):
    """A session changed; `type` is what happened last, `last_seq` is null when the caller lost the session."""

    session_id: str
    last_seq: int | None
    type: str


class SessionLost(Struct):
    """The stream ends: the caller takes part no more, or the session is gone."""

    session_id: str


class Nothing(Struct):
    """The event says it all: the stream ends because the token has expired, or `resync`: there was too much to tell."""


# by operation: the events of its stream, with the type of their data
STREAMS: dict[str, dict[str, Any]] = {
    "follow_import": {"import.progress": Import, "import.finished": Import},
    "follow_session": {
        "message.created": Entry,
        "message.retracted": MessagesRetracted,
        "message.updated": MessageUpdated,
        "participant.added": ParticipantEvent,
        "participant.changed": ParticipantEvent,
        "participant.removed": ParticipantEvent,
        "session.updated": SessionUpdated,
        "state.updated": StateUpdated,
        "transcript.repaired": TranscriptRepaired,
        "run.queued": RunEvent,
        "run.started": RunEvent,
        "run.cancelling": RunEvent,
        "run.completed": RunEvent,
        "run.failed": RunEnded,
        "run.cancelled": RunEnded,
        "approval.required": ApprovalRequired,
        "approval.granted": ApprovalDecided,
        "approval.denied": ApprovalDecided,
        "llm:stream_block_delta": AnswerDelta,
        "ownership.transferred": OwnershipTransferred,
        "invitation.created": InvitationEvent,
        "invitation.used": InvitationEvent,
        "invitation.revoked": InvitationEvent,
        "presence.changed": PresenceChanged,
        "typing": TypingEvent,
        "read": ReadEvent,
        "access.revoked": SessionLost,
        "session.deleted": SessionLost,
        "token.expired": Nothing,
    },
    "stream_message": {
        "connected": StreamConnected,
        "llm:stream_block_delta": StreamActivity,
        "tool:pre": StreamActivity,
        "tool:post": StreamActivity,
        "message.created": StreamActivity,
        "response": StreamResponse,
        "done": StreamDone,
        "error": StreamError,
    },
    "follow_sessions": {"hint": Hint, "resync": Nothing, "token.expired": Nothing},
}
DOCUMENTS: tuple[Any, ...] = (Problem, Permissions)
