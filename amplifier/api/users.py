"""Users, as their tokens name them, and the sessions they take part in."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter

from amplifier.errors import Problem
from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, UpdatedAfter, UpdatedBefore
from amplifier.web.paging import After, Cursor, Limit, OrderOf, Sort, sorted_pages
from amplifier.web.request import Request, named_user
from amplifier.web.routing import get
from amplifier.web.session_filters import (
    OfConfig,
    OfStatus,
    Owned,
    Participant,
    is_filtered,
    list_filtered,
    session_filters,
)
from amplifier.web.types import Role, Status

_PAGES = sorted_pages("user_sessions", "session_id", "last_active_at", "updated_at", "created_at")

SortOf = Annotated[
    Sort | None,
    QueryParameter(description="`last_active_at` by default; `created_at` to read all pages"),
]


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
        tag: TagFilter = None,
        owned: Owned = False,
        status: OfStatus = None,
        config_id: OfConfig = None,
        participant: Participant = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        updated_after: UpdatedAfter = None,
        updated_before: UpdatedBefore = None,
        sort: SortOf = None,
        order: OrderOf = None,
    ) -> UserSessionList:
        """Own and shared ones; where the user was active last comes first. For whom `get_user` is."""
        periods = (created_after, created_before), (updated_after, updated_before)
        filters = session_filters(owned, tag, status, config_id, participant, *periods)
        pages, actor_id = _PAGES[sort or "last_active_at", order or "desc"], _subject(request, user_id)
        start = pages.start(cursor, after)
        if sort in (None, "last_active_at") and order != "asc" and not (owned or tag or is_filtered(filters)):
            found: list[Any] = await request.queries.sessions.list_by_activity(
                actor_id=actor_id,
                after_last_active_at=start.moment,
                after_session_id=start.identifier,
                limit=limit + 1,
            )
        else:
            given = {"actor_id": actor_id, **filters}
            found = await list_filtered(request, given, sort or "last_active_at", order, start, limit + 1)
        return UserSessionList(*pages.page(found, UserSession, limit))


def _subject(request: Request, user_id: str) -> str:
    """Returns the user that a path names. Raises Problem 404 unless that is the caller or an admin application asks."""
    user_id = named_user(request, user_id)
    if user_id != request.caller.user_id and not request.caller.is_admin:
        raise Problem(404, "User not found")
    return user_id
