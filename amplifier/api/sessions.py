"""Sessions: who runs which config, and in what state. The list and the transcript have modules of their own."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.problems import Problem
from amplifier.web import (
    Identifier,
    Request,
    Role,
    Status,
    Tags,
    delete,
    get,
    participation,
    patch,
    post,
)

Title = Annotated[str, msgspec.Meta(max_length=255)]


class CreateSession(msgspec.Struct):
    """A new session of one of the caller's configs."""

    config_id: Identifier
    title: Title | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None


class UpdateSession(msgspec.Struct):
    """What changes; absent or null stays, an empty title removes it."""

    title: Title | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None
    status: Status | None = None


class TransferSession(msgspec.Struct):
    """Who is to own the session; somebody who takes part already."""

    user_id: Identifier


class Session(msgspec.Struct):
    """A session; `last_seq` is the number of the last thing that happened in it."""

    session_id: str
    config_id: str
    status: Status
    title: str | None
    tags: msgspec.Raw
    metadata: msgspec.Raw
    role: Role
    owner_user_id: str
    created_by_app_id: str
    last_accessed_by_app_id: str | None
    last_accessed_at: datetime | None
    message_count: int
    last_seq: int
    created_at: datetime
    updated_at: datetime
    message: str | None = None


class SessionMessage(msgspec.Struct):
    """What was done."""

    message: str


class SessionsController(Controller):
    """Routes of one session, without the transcript's."""

    path = "/sessions"
    tags = ["sessions"]

    @post(operation_id="create_session", summary="Create a session", errors=(404,))
    async def create_session(self, request: Request, data: JSONBody[CreateSession]) -> Session:
        """The caller becomes its owner. 404 unless the config is the caller's."""
        caller = request.caller
        row = await request.queries.sessions.create(
            actor_id=caller.user_id,
            actor_app_id=caller.app_id,
            session_id=str(uuid.uuid4()),
            config_id=data.config_id,
            title=data.title or None,
            tags=msgspec.json.encode(data.tags or {}),
            metadata=msgspec.json.encode(data.metadata or {}),
        )
        if row is None:
            raise Problem(404, f"Config not found: {data.config_id}")
        request.hub.announce(row["session_id"])
        return _with_message(row, "Session created successfully")

    @get("/{session_id:str}", operation_id="get_session", summary="One session")
    async def get_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """For its participants; 404 for everybody else."""
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is None:
            raise Problem(404, "Session not found")
        return Session(*row)

    @patch("/{session_id:str}", operation_id="update_session", summary="Change a session", errors=(403,))
    async def update_session(
        self, request: Request, session_id: FromPath[str], data: JSONBody[UpdateSession]
    ) -> Session:
        """For owners and editors."""
        return await _update(request, session_id, data, "Session updated successfully")

    @delete("/{session_id:str}", operation_id="delete_session", summary="Delete a session", errors=(403,))
    async def delete_session(self, request: Request, session_id: FromPath[str]) -> SessionMessage:
        """With its transcript. For owners."""
        sessions, key = request.queries.sessions, {"actor_id": request.caller.user_id, "session_id": session_id}
        async with request.queries.database.transaction() as transaction:
            participants = await sessions.lock(transaction, **key)
            deleted = await sessions.delete(transaction, **key)
        if not deleted:
            await participation(request, session_id)
            raise Problem(403, "Only owners may delete a session")
        request.hub.announce_gone(session_id, "session.deleted", [row["user_id"] for row in participants])
        return SessionMessage("Session deleted successfully")

    @post(
        "/{session_id:str}/resume",
        operation_id="resume_session",
        summary="Resume a session",
        errors=(403,),
        status_code=200,
    )
    async def resume_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """Makes it active again, so that its transcript can go on. For owners and editors."""
        return await _update(request, session_id, UpdateSession(status="active"), "Session resumed successfully")

    @post(
        "/{session_id:str}/transfer",
        operation_id="transfer_session",
        summary="Hand a session over",
        errors=(403,),
        status_code=200,
    )
    async def transfer_session(
        self, request: Request, session_id: FromPath[str], data: JSONBody[TransferSession]
    ) -> Session:
        """Another participant becomes its owner, the caller stays as editor. For owners."""
        caller = request.caller
        row = await request.queries.sessions.transfer(
            actor_id=caller.user_id, actor_app_id=caller.app_id, session_id=session_id, user_id=data.user_id
        )
        if row is None:
            if not (await participation(request, session_id)).is_owner:
                raise Problem(403, "Only owners may hand a session over")
            raise Problem(404, "Participant not found: add the new owner first")
        return _with_message(row, "Session transferred successfully")


async def _update(request: Request, session_id: str, data: UpdateSession, message: str) -> Session:
    caller = request.caller
    row = await request.queries.sessions.update(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        title=data.title,
        tags=None if data.tags is None else msgspec.json.encode(data.tags),
        metadata=None if data.metadata is None else msgspec.json.encode(data.metadata),
        status=data.status,
    )
    if row is None:
        await participation(request, session_id)
        raise Problem(403, "Only owners and editors may change a session")
    return _with_message(row, message)


def _with_message(row: Any, message: str) -> Session:
    session = Session(*row)
    session.message = message
    return session
