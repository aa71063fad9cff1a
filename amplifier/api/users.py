"""Users, as their tokens name them."""

from datetime import datetime

import msgspec
from litestar import Controller

from amplifier.problems import Problem
from amplifier.web import Request, get


class User(msgspec.Struct):
    """What is kept of a user; `last_seen` moves at most once a minute, `total_sessions` counts sessions created."""

    user_id: str
    first_seen: datetime
    last_seen: datetime
    last_seen_app_id: str | None
    total_sessions: int
    metadata: msgspec.Raw


class UsersController(Controller):
    """Routes below /users."""

    path = "/users"
    tags = ["users"]

    @get("/me", operation_id="get_me", summary="The calling user")
    async def get_me(self, request: Request) -> User:
        """The caller's own figures; the first request ever makes the row."""
        caller, users = request.caller, request.queries.users
        row = await users.get(actor_id=caller.user_id)
        if row is None:
            await users.touch(user_ids=[caller.user_id], app_ids=[caller.app_id])
            row = await users.get(actor_id=caller.user_id)
        if row is None:
            raise Problem(404, "User not found")
        return User(*row)
