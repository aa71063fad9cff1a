"""Followers of a session at the moment, and how far participants have read it."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.event_stream import mark_read
from amplifier.web.paging import Cursor, LongLimit, Pages, Text
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post

_PAGES = Pages("presence", Text, "", "user_id")


class Present(msgspec.Struct):
    """A user who has a stream of the session open, in any process."""

    user_id: str
    since: datetime


class Presence(msgspec.Struct):
    """A page of the followers, by user_id; `next` is the `cursor` of the following page, null at the end."""

    session_id: str
    items: list[Present]
    next: str | None


class MarkRead(Body):
    """The number of the last message that the caller has read."""

    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ReadMarker(msgspec.Struct):
    """The last message that the caller has read, and the count of messages after it."""

    session_id: str
    last_read_seq: int
    unread: int


class PresenceController(Controller):
    """Routes of those who follow."""

    path = "/sessions/{session_id:str}"
    tags = ["events"]

    @get("/presence", operation_id="get_presence", summary="A session's followers")
    async def get_presence(
        self, request: Request, session_id: FromPath[str], limit: LongLimit = 200, cursor: Cursor = None
    ) -> Presence:
        """For participants."""
        found = await request.queries.streams.list(
            actor_id=request.caller.user_id, session_id=session_id, after_user_id=_PAGES.start(cursor), limit=limit + 1
        )
        if not found:
            await participation(request, session_id)
        return Presence(session_id, *_PAGES.page(found, Present, limit))

    @post("/read", operation_id="mark_read", summary="Mark a session as read", status_code=200, audited=False)
    async def mark_read(self, request: Request, session_id: FromPath[str], data: JSONBody[MarkRead]) -> ReadMarker:
        """Moves the caller's read marker forward, never back. Followers get a `read` event. For participants."""
        row = await mark_read(request, session_id, data.seq)
        if row is None:
            await participation(request, session_id)
            raise Problem(422, "seq: is beyond the session's last_seq")
        return ReadMarker(*row)
