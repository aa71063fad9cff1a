"""Followers of a session at the moment, and how far participants have read it."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.event_stream import mark_read
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post


class Present(msgspec.Struct):
    """A user who has a stream of the session open, in any process."""

    user_id: str
    since: datetime


class Presence(msgspec.Struct):
    """The followers, by user_id."""

    session_id: str
    present: list[Present]


class MarkRead(Body):
    """The number of the last message that the caller has read."""

    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ReadMarker(msgspec.Struct):
    """The last message that the caller has read, and the count of messages after it; 100 means 100 or more."""

    session_id: str
    last_read_seq: int
    unread: int


class PresenceController(Controller):
    """Routes of those who follow."""

    path = "/sessions/{session_id:str}"
    tags = ["events"]

    @get("/presence", operation_id="get_presence", summary="Who follows a session")
    async def get_presence(self, request: Request, session_id: FromPath[str]) -> Presence:
        """For participants."""
        rows = await request.queries.streams.list(actor_id=request.caller.user_id, session_id=session_id)
        if not rows:
            await participation(request, session_id)
        return Presence(session_id, [Present(*row) for row in rows])

    @post("/read", operation_id="mark_read", summary="Mark a session as read", status_code=200, audited=False)
    async def mark_read(self, request: Request, session_id: FromPath[str], data: JSONBody[MarkRead]) -> ReadMarker:
        """Moves the caller's read marker forward, never back. Followers get a `read` event. For participants."""
        row = await mark_read(request, session_id, data.seq)
        if row is None:
            await participation(request, session_id)
            raise Problem(422, "seq: is beyond the session's last_seq")
        return ReadMarker(*row)
