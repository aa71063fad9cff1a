"""Sessions: who runs which config, and in what state. The list and the transcript have modules of their own."""

import uuid
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.bounds import encoded
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request, participation
from amplifier.web.routing import delete, get, patch, post
from amplifier.web.types import Identifier, Role, Status, Tags

MOST_FORKED = 10_000  # messages: copying more takes longer than a statement may
_WRITERS: tuple[Role, ...] = ("owner", "editor")

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
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


class ForkSession(msgspec.Struct):
    """A copy; without `up_to_seq` of the whole transcript. `config_id` is one of the caller's, by default that of the
    session, and must be given where that is somebody else's. An empty title is none."""

    up_to_seq: Seq | None = None
    config_id: Identifier | None = None
    title: Title | None = None


class TransferSession(msgspec.Struct):
    """Who is to own the session; somebody who takes part already."""

    user_id: Identifier


class Session(msgspec.Struct):
    """A session; `last_seq` is the number of the last thing that happened in it, and its ETag.

    `config_version` is the version of the config when the session began. A fork tells which session it was copied from,
    to those who take part in that, too.
    """

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
    config_version: int | None
    forked_from_session_id: str | None
    forked_at_seq: int | None
    message: str | None = None

    @property
    def etag(self) -> str:
        return str(self.last_seq)


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
            metadata=encoded("metadata", data.metadata or {}),
        )
        if row is None:
            raise Problem(404, f"Config not found: {data.config_id}")
        request.afterwards(partial(request.hub.announce, row["session_id"]))
        return await _shown(request, row, "Session created successfully")

    @get("/{session_id:str}", operation_id="get_session", summary="One session")
    async def get_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """For its participants; 404 for everybody else."""
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is None:
            raise Problem(404, "Session not found")
        return await _shown(request, row)

    @patch("/{session_id:str}", operation_id="update_session", summary="Change a session", errors=(403, 412))
    async def update_session(
        self, request: Request, session_id: FromPath[str], data: JSONBody[UpdateSession]
    ) -> Session:
        """For owners and editors."""
        return await _update(request, session_id, data, "Session updated successfully")

    @delete("/{session_id:str}", operation_id="delete_session", summary="Delete a session", errors=(403, 412))
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
        summary="Resume a session",
        errors=(403, 412),
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
            if (await participation(request, session_id)).role != "owner":
                raise Problem(403, "Only owners may hand a session over")
            raise Problem(404, "Participant not found: add the new owner first")
        request.tell(owner_user_id=data.user_id)
        return await _shown(request, row, "Session transferred successfully")

    @post("/{session_id:str}/fork", operation_id="fork_session", summary="Copy a session")
    async def fork_session(self, request: Request, session_id: FromPath[str], data: JSONBody[ForkSession]) -> Session:
        """A new session of the caller's that begins with the transcript, or the beginning of it: messages keep their
        numbers, authors and times. For participants; at most 10,000 messages."""
        caller, fork_id, queries = request.caller, str(uuid.uuid4()), request.queries
        async with queries.database.transaction():
            await queries.sessions.lock_source(
                actor_id=caller.user_id, session_id=session_id, own_config_id=data.config_id
            )
            row = await queries.sessions.fork(
                actor_id=caller.user_id,
                actor_app_id=caller.app_id,
                session_id=session_id,
                new_session_id=fork_id,
                own_config_id=data.config_id,
                title=data.title,
                up_to_seq=data.up_to_seq,
                most=MOST_FORKED,
            )
            if row is None:
                raise await _no_fork(request, session_id, data)
            await queries.transcripts.copy(
                actor_id=caller.user_id, session_id=session_id, fork_id=fork_id, up_to_seq=row["last_seq"]
            )
        request.tell(forked_from_session_id=session_id, forked_at_seq=row["forked_at_seq"])
        request.afterwards(partial(request.hub.announce, fork_id))
        return await _shown(request, row, "Session forked successfully")


async def _update(request: Request, session_id: str, data: UpdateSession, message: str) -> Session:
    caller = request.caller
    row = await request.queries.sessions.update(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        title=data.title,
        tags=None if data.tags is None else msgspec.json.encode(data.tags),
        metadata=None if data.metadata is None else encoded("metadata", data.metadata),
        status=data.status,
        if_seqs=request.if_match,
    )
    if row is None:
        raise await _refusal(request, session_id, _WRITERS, "Only owners and editors may change a session")
    if data.status is not None:
        request.tell(status=data.status)
    return await _shown(request, row, message)


async def _refusal(request: Request, session_id: str, may: tuple[Role, ...], forbidden: str) -> Problem:
    """Why a statement changed nothing; asked only then."""
    part, wanted = await participation(request, session_id), request.if_match
    if part.role in may and wanted is not None:
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is not None and row["last_seq"] not in wanted:
            return changed_meanwhile("session", row["last_seq"])
    return Problem(403, forbidden)


async def _no_fork(request: Request, session_id: str, data: ForkSession) -> Problem:
    """Why nothing was copied; asked only then."""
    actor_id = request.caller.user_id
    row = await request.queries.sessions.get(actor_id=actor_id, session_id=session_id)
    if row is None:
        return Problem(404, "Session not found")
    if data.up_to_seq is not None and data.up_to_seq > row["last_seq"]:
        return Problem(422, f"up_to_seq: {data.up_to_seq} is beyond the session's last_seq, {row['last_seq']}")
    config_id = data.config_id or row["config_id"]
    if await request.queries.configs.get(actor_id=actor_id, config_id=config_id) is None:
        hint = "" if data.config_id else ". It is not yours: name one of your own in config_id"
        return Problem(404, f"Config not found: {config_id}{hint}")
    return Problem(422, f"A fork has at most {MOST_FORKED:,} messages: give up_to_seq")


async def _shown(request: Request, row: Any, message: str | None = None) -> Session:
    """A session as its participant may see it: where it was copied from is for those who take part there."""
    session = Session(*row)
    session.message = message
    if (source := session.forked_from_session_id) is not None:
        user_id = request.caller.user_id
        if await request.queries.sessions.get(actor_id=user_id, session_id=source) is None:
            session.forked_from_session_id = None
    return session
