"""Users, as their tokens name them, and the sessions they take part in."""

from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, QueryParameter
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, UpdatedAfter, UpdatedBefore
from amplifier.web.paging import After, Cursor, Limit, OrderOf, Sort, sorted_pages
from amplifier.web.request import Request, named_user
from amplifier.web.routing import get
from amplifier.web.session_filters import (
    OfConfig,
    OfStatus,
    Owned,
    Participant,
    Shared,
    Unread,
    is_filtered,
    list_filtered,
    session_filters,
)
from amplifier.web.session_includes import (
    Include,
    IncludedParticipant,
    IncludedRun,
    Preview,
    including_page,
    list_including,
    wanted,
)
from amplifier.web.session_view import hide_links
from amplifier.web.states import PatchedState
from amplifier.web.types import Role, Status

_PAGES = sorted_pages("user_sessions", "session_id", "last_active_at", "updated_at", "created_at")

SortOf = Annotated[
    Sort | None,
    QueryParameter(description="`last_active_at` by default; `created_at` to read all pages"),
]


class User(msgspec.Struct):
    """A user's record; the last members are of the request itself, in the caller's own record only."""

    user_id: str
    first_seen: datetime
    last_seen: datetime
    last_seen_app_id: str | None
    total_sessions: int
    metadata: msgspec.Raw
    app_id: str | UnsetType = UNSET
    is_admin: bool | UnsetType = UNSET


class UserSession(msgspec.Struct):
    """A session and the user's part in it; the last members are those of `include`."""

    session_id: str
    config_id: str | None
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
    external_id: str | None
    parent_session_id: str | None
    metadata: msgspec.Raw | UnsetType = UNSET
    participants: list[IncludedParticipant] | UnsetType = UNSET
    participant_count: int | UnsetType = UNSET
    last_message: Entry | UnsetType | None = UNSET
    preview: Preview | UnsetType | None = UNSET
    run: IncludedRun | UnsetType | None = UNSET
    state: PatchedState | UnsetType = UNSET


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
        user = User(*row)
        if actor_id == caller.user_id:
            user.app_id, user.is_admin = caller.app_id, caller.is_admin
        return user

    @get("/{user_id:str}/sessions", operation_id="list_user_sessions", summary="A user's sessions", errors=(403,))
    async def list_user_sessions(
        self,
        request: Request,
        user_id: FromPath[str],
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
        tag: TagFilter = None,
        owned: Owned = False,
        shared: Shared = False,
        unread: Unread = False,
        status: OfStatus = None,
        config_id: OfConfig = None,
        participant: Participant = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        updated_after: UpdatedAfter = None,
        updated_before: UpdatedBefore = None,
        sort: SortOf = None,
        order: OrderOf = None,
        include: Include = None,
    ) -> UserSessionList:
        """Own and shared ones; where the user was active last comes first. For whom `get_user` is; only the user may
        `include` what is in the sessions."""
        periods = (created_after, created_before), (updated_after, updated_before)
        filters = session_filters(owned, tag, status, config_id, participant, *periods, shared, unread)
        pages, actor_id = _PAGES[sort or "last_active_at", order or "desc"], _subject(request, user_id)
        start, members = pages.start(cursor, after), wanted(include)
        if members:
            if actor_id != request.caller.user_id:
                raise Problem(403, "Only the user may include what is in the sessions: leave include out")
            given = {"actor_id": actor_id, **filters}
            rows = await list_including(request, members, given, sort or "last_active_at", order, start, limit)
            return await _page(request, actor_id, *including_page(pages, rows, members, _listed))
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
        return await _page(request, actor_id, *pages.page(found, UserSession, limit))


async def _page(request: Request, user_id: str, sessions: list[UserSession], following: str | None) -> UserSessionList:
    await hide_links(request, user_id, sessions)
    return UserSessionList(sessions, following)


def _listed(row: Any) -> UserSession:
    return UserSession(*_columns(row))


_columns = itemgetter(*UserSession.__struct_fields__[:18])


def _subject(request: Request, user_id: str) -> str:
    """Returns the user that a path names. Raises Problem 404 unless that is the caller or an admin application asks."""
    user_id = named_user(request, user_id)
    if user_id != request.caller.user_id and not request.caller.is_admin:
        raise Problem(404, "User not found")
    return user_id
