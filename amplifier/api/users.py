"""Users, as their tokens name them, and the sessions they take part in."""

from datetime import datetime

import msgspec
from litestar import Controller
from litestar.params import FromPath

from amplifier.errors import Problem
from amplifier.web.paging import LATEST, After, Cursor, Limit, Pages, Position
from amplifier.web.request import Request
from amplifier.web.routing import get
from amplifier.web.types import Role, Status

_PAGES = Pages("user_sessions", Position, LATEST, "last_active_at", "session_id")


class User(msgspec.Struct):
    """A user's record."""

    user_id: str
    first_seen: datetime
    last_seen: datetime
    last_seen_app_id: str | None
    total_sessions: int
    metadata: msgspec.Raw


class UserSession(msgspec.Struct):
    """A session and the user's part in it."""

    session_id: str
    config_id: str
    status: Status
    title: str | None
    tags: msgspec.Raw
    role: Role
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


class UserSessionList(msgspec.Struct):
    """A page of sessions; `next` is the `cursor` of the following page, null at the end."""

    items: list[UserSession]
    next: str | None


class UsersController(Controller):
    """Routes below /users. A user may read what is their own; an admin application may, for any user."""

    path = "/users"
    tags = ["users"]

    @get("/{user_id:str}", operation_id="get_user", summary="A user's figures")
    async def get_user(self, request: Request, user_id: FromPath[str]) -> User:
        """For oneself, also as `me`, and for admin applications; 404 for everybody else."""
        caller, users = request.caller, request.queries.users
        actor_id = _subject(request, user_id)
        row = await users.get(actor_id=actor_id)
        if row is None and actor_id == caller.user_id:  # the first request ever
            await users.touch(user_ids=[caller.user_id], app_ids=[caller.app_id])
            row = await users.get(actor_id=actor_id)
        if row is None:
            raise Problem(404, "User not found")
        return User(*row)

    @get("/{user_id:str}/sessions", operation_id="list_user_sessions", summary="A user's sessions")
    async def list_user_sessions(
        self,
        request: Request,
        user_id: FromPath[str],
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
    ) -> UserSessionList:
        """Own and shared ones; where the user was active last comes first. For whom `get_user` is."""
        position = _PAGES.start(cursor, after)
        found = await request.queries.sessions.list_by_activity(
            actor_id=_subject(request, user_id),
            after_last_active_at=position.moment,
            after_session_id=position.identifier,
            limit=limit + 1,
        )
        return UserSessionList(*_PAGES.page(found, UserSession, limit))


def _subject(request: Request, user_id: str) -> str:
    """Returns the user that a path names. Raises Problem 404 unless that is the caller or an admin application asks."""
    if user_id in ("me", request.caller.user_id):
        return request.caller.user_id
    if not request.caller.is_admin:
        raise Problem(404, "User not found")
    return user_id
