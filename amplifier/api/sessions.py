"""Sessions: created, read, changed, handed over, deleted. Lists, forks and transcripts have modules of their own."""

import uuid
from functools import partial
from typing import Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.bodies import Body, LenientBody
from amplifier.web.bounds import encoded
from amplifier.web.changes import confirmation, told
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request, participation
from amplifier.web.routing import delete, get, patch, post
from amplifier.web.session_view import Session, shown
from amplifier.web.types import Identifier, Role, Status, Tags, Title

_WRITERS: tuple[Role, ...] = ("owner", "editor")


class CreateSession(LenientBody):
    """A new session of one of the caller's configs."""

    config_id: Identifier
    title: Title | None = None
    tags: Tags | None = None
    metadata: dict[str, Any] | None = None


class UpdateSession(Body):
    """The changes; an absent field stays as it is. A title that is null or empty removes the title."""

    title: Title | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class TransferSession(Body):
    """The participant who becomes the session's owner."""

    user_id: Identifier


class SessionMessage(msgspec.Struct):
    """Confirms the change."""

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
            metadata=encoded("metadata", data.metadata or {}),
        )
        if row is None:
            raise Problem(404, f"Config not found: {data.config_id}")
        request.afterwards(partial(request.hub.announce, row["session_id"]))
        return await shown(request, row, "Session created successfully")

    @get("/{session_id:str}", operation_id="get_session", summary="One session")
    async def get_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """For its participants; 404 for everybody else."""
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is None:
            raise Problem(404, "Session not found")
        return await shown(request, row)

    @patch("/{session_id:str}", operation_id="update_session", summary="Change a session", errors=(403, 412))
    async def update_session(
        self, request: Request, session_id: FromPath[str], data: JSONBody[UpdateSession]
    ) -> Session:
        """For owners and editors. Without a difference the session stays as it is, and so does its ETag."""
        return await _update(request, session_id, data, "Session updated successfully")

    @delete(
        "/{session_id:str}",
        operation_id="delete_session",
        ignores_body=True,
        summary="Delete a session",
        errors=(403, 412),
    )
    async def delete_session(self, request: Request, session_id: FromPath[str]) -> SessionMessage:
        """With its transcript. For owners."""
        sessions, key = request.queries.sessions, {"actor_id": request.caller.user_id, "session_id": session_id}
        async with request.queries.database.transaction():
            participants = await sessions.lock(**key)
            deleted = await sessions.delete(**key, if_seqs=request.if_match)
        if not deleted:
            raise await _refusal(request, session_id, ("owner",), "Only owners may delete a session")
        gone = [row["user_id"] for row in participants]
        request.afterwards(partial(request.hub.announce_gone, session_id, "session.deleted", gone))
        return SessionMessage("Session deleted successfully")

    @post(
        "/{session_id:str}/resume",
        operation_id="resume_session",
        ignores_body=True,
        summary="Resume a session",
        errors=(403, 412),
        status_code=200,
    )
    async def resume_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """Makes it active again, so that its transcript can go on. One that is active stays as it is. For owners and
        editors."""
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
            if (await participation(request, session_id)).role != "owner":
                raise Problem(403, "Only owners may hand a session over")
            raise Problem(404, "Participant not found: add the new owner first")
        told(request, row["changes"])
        return await shown(request, row)


async def _update(request: Request, session_id: str, data: UpdateSession, message: str) -> Session:
    caller = request.caller
    row = await request.queries.sessions.update(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        title=None if data.title is UNSET else data.title or "",
        tags=None if data.tags is UNSET else msgspec.json.encode(data.tags),
        metadata=None if data.metadata is UNSET else encoded("metadata", data.metadata),
        status=data.status or None,
        if_seqs=request.if_match,
    )
    if row is None:
        raise await _refusal(request, session_id, _WRITERS, "Only owners and editors may change a session")
    changed = told(request, row["changes"])
    return await shown(request, row, confirmation(changed, message), changed)


async def _refusal(request: Request, session_id: str, may: tuple[Role, ...], forbidden: str) -> Problem:
    """Returns the problem of a statement that changed nothing."""
    part, wanted = await participation(request, session_id), request.if_match
    if part.role in may and wanted is not None:
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is not None and row["last_seq"] not in wanted:
            return changed_meanwhile("session", row["last_seq"])
    return Problem(403, forbidden)
