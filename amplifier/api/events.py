"""Live events as server-sent events: of one session, and hints about all of the caller's."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, HeaderParameter, QueryParameter

from amplifier.errors import Problem
from amplifier.web.authentication import hash_secret
from amplifier.web.event_stream import EventStream, Opening
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)  # when no token says until when

After = Annotated[
    int | None,
    QueryParameter(
        ge=0,
        le=2**63 - 1,
        description="The `seq` of the last event that the client has: the stream goes on after it. "
        "Without it, the stream begins with the next event",
    ),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="The same as `after`, over which it takes precedence; browsers send it when they reconnect",
    ),
]
Ticket = Annotated[
    str | None, QueryParameter(max_length=200, description="Instead of credentials: what `.../events/ticket` gave")
]
_STREAM = {
    200: ResponseSpec(str, description="Events without end", media_type="text/event-stream", generate_examples=False)
}


class StreamTicket(msgspec.Struct):
    """Opens one stream until it expires: `?ticket=`."""

    ticket: str
    expires_at: datetime


class SessionEventsController(Controller):
    """The stream of a session."""

    path = "/sessions/{session_id:str}/events"
    tags = ["events"]

    @get(operation_id="follow_session", summary="Follow a session", responses=_STREAM)
    async def follow_session(
        self,
        request: Request,
        session_id: FromPath[str],
        after: After = None,
        last_event_id: LastEventId = None,
        ticket: Ticket = None,
    ) -> Any:
        """Every event once, in order, without a gap: `id` is its number on the session's clock, `event` its type,
        `data` one JSON object. `presence.changed`, `typing` and `read` have no `id` and are never replayed. The stream
        ends with `access.revoked`, `session.deleted` or `token.expired`. For participants."""
        return EventStream(Opening(request.caller, session_id, _cursor(last_event_id, after)))


class TicketController(Controller):
    """Tickets for those who cannot send headers."""

    tags = ["events"]

    @post(
        "/sessions/{session_id:str}/events/ticket",
        operation_id="create_session_ticket",
        summary="A ticket for a stream",
        audited=False,
        errors=(409,),
    )
    async def create_session_ticket(self, request: Request, session_id: FromPath[str]) -> StreamTicket:
        """For one stream or WebSocket of the session, within 30 seconds. For participants."""
        ticket, key = _ticket(request)
        expires_at = await request.queries.tickets.create(**key, session_id=session_id)
        if expires_at is None:
            await participation(request, session_id)
            raise Problem(409, "The session changed at the same time: try again")
        return StreamTicket(ticket, expires_at)

    @post("/events/ticket", operation_id="create_ticket", summary="A ticket for the stream of hints", audited=False)
    async def create_ticket(self, request: Request) -> StreamTicket:
        """For one stream or WebSocket of hints, within 30 seconds."""
        ticket, key = _ticket(request)
        row = await request.queries.tickets.create_for_hints(**key)
        return StreamTicket(ticket, row["expires_at"])


class EventsController(Controller):
    """The stream of hints."""

    path = "/events"
    tags = ["events"]

    @get(operation_id="follow_sessions", summary="Follow all sessions", responses=_STREAM)
    async def follow_sessions(self, request: Request, ticket: Ticket = None) -> Any:
        """`hint` events of `session_id`, `last_seq` and the `type` of what happened last, for each of the caller's
        sessions that changes from now on, also those newly shared; `resync` when there were too many to tell. Never
        replayed."""
        return EventStream(Opening(request.caller, None))


def _cursor(last_event_id: str | None, after: int | None) -> int | None:
    if not last_event_id:
        return after
    is_number = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 20
    if not is_number or int(last_event_id) >= 2**63:
        raise Problem(422, "Last-Event-ID: must be the id of an event of this session, a number")
    return int(last_event_id)


def _ticket(request: Request) -> tuple[str, dict[str, Any]]:
    """A new ticket, and what the database keeps of it and the caller."""
    caller, ticket = request.caller, f"tkt_{secrets.token_urlsafe(32)}"
    expires_at = datetime.fromtimestamp(min(caller.expires_at, _NEVER.timestamp()), UTC)
    return ticket, {
        "actor_id": caller.user_id,
        "actor_app_id": caller.app_id,
        "ticket_hash": hash_secret(ticket),
        "token_expires_at": expires_at,
    }
