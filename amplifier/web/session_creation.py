"""The creation of a session, for the routes that create one by its id and by the caller's key."""

import uuid
from functools import partial
from typing import Annotated, Any

import msgspec

from amplifier.errors import Problem
from amplifier.web.bodies import LenientBody
from amplifier.web.bounds import encoded
from amplifier.web.request import Request
from amplifier.web.types import Identifier, Tags, Title
from amplifier.web.unit_of_work import recorded

ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class KeyedSession(LenientBody, frozen=True):  # type: ignore[misc]
    """A new session; every field may be absent. Without `config_id` it only records, until PATCH sets one."""

    config_id: Identifier | None = None
    title: Title | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None


class CreateSession(KeyedSession, frozen=True):  # type: ignore[misc]
    """A new session; every field may be absent. Without `config_id` it only records, until PATCH sets one.
    `external_id` is a key of the caller's choice, unique among the caller's own sessions in the application."""

    external_id: ExternalId | None = None


async def create(request: Request, data: KeyedSession, external_id: str | None) -> Any:
    """Returns the row of a new session of the caller's, or None if a session has this external_id.

    Raises Problem 404 if the config is not the caller's, and 422.
    """
    caller, session_id = request.caller, str(uuid.uuid4())
    request.tell(session_id=session_id)
    row = await recorded(request, request.queries.sessions.create)(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        external_id=external_id,
        config_id=data.config_id,
        title=data.title or None,
        tags=msgspec.json.encode(data.tags or {}),
        metadata=encoded("metadata", data.metadata or {}),
    )
    if row is not None:
        request.afterwards(partial(request.hub.announce, row["session_id"]))
    elif data.config_id is not None:
        await check_config(request, data.config_id)
    return row


async def check_config(request: Request, config_id: str) -> None:
    """Raises Problem 404 if a config is not the caller's."""
    if await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id) is None:
        raise Problem(404, f"Config not found: {config_id}")


async def find(request: Request, external_id: str) -> Any:
    """Returns the row of the caller's session with this key in the calling application, or None."""
    caller = request.caller
    return await request.queries.sessions.get_by_key(
        actor_id=caller.user_id, actor_app_id=caller.app_id, external_id=external_id
    )
