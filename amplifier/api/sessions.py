"""Sessions: created, read, changed, handed over, deleted. Lists, forks and transcripts have modules of their own."""

from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.bodies import Body, MergePatch
from amplifier.web.bounds import check_tags, encoded
from amplifier.web.changes import confirmation, told
from amplifier.web.problems import changed_meanwhile
from amplifier.web.request import Request, participation
from amplifier.web.routing import delete, get, patch, post
from amplifier.web.session_creation import CreateSession, check_config, create
from amplifier.web.session_view import Session, shown
from amplifier.web.types import Identifier, Role, Status, Tags, TagsPatch, Title
from amplifier.web.unit_of_work import commit, recorded

_NOTHING = CreateSession()
_WRITERS: tuple[Role, ...] = ("owner", "editor")


class MergeSession(MergePatch):
    """The changes, as a JSON merge patch: members of `tags` and `metadata`, at any depth, that it does not name stay,
    and null removes one. A title that is null or empty removes the title."""

    title: Title | UnsetType | None = UNSET
    tags: TagsPatch | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    config_id: Identifier | UnsetType = UNSET


class UpdateSession(Body):
    """The changes; an absent field stays as it is. A title that is null or empty removes the title. `config_id` is one
    of the caller's; it may be set by the user who is the session's owner_user_id."""

    title: Title | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    config_id: Identifier | UnsetType = UNSET


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

    @post(operation_id="create_session", summary="Create a session", errors=(404, 409), one_statement=True)
    async def create_session(self, request: Request, data: JSONBody[CreateSession] = _NOTHING) -> Session:
        """The caller becomes its owner. 404 unless the config is the caller's; 409 if the caller has a session with
        this `external_id` in the application."""
        row = await create(request, data, data.external_id)
        if row is None:
            path = f"/sessions/by-key/{quote(data.external_id or '', safe='')}"
            raise Problem(409, f"You have a session with this external_id already: get it with GET {path}")
        return await shown(request, row, "Session created successfully")

    @get("/{session_id:str}", operation_id="get_session", summary="One session")
    async def get_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """For its participants; 404 for everybody else."""
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is None:
            raise Problem(404, "Session not found")
        return await shown(request, row)

    @patch(
        "/{session_id:str}",
        operation_id="update_session",
        summary="Change a session",
        errors=(403, 412),
        body=UpdateSession,
        merge_patch=MergeSession,
        commits_itself=True,
    )
    async def update_session(self, request: Request, session_id: FromPath[str]) -> Session:
        """For owners and editors. Without a difference the session stays as it is, and so does its ETag. `tags` and
        `metadata` are replaced whole, or merged by a body of the type `application/merge-patch+json` (RFC 7396)."""
        data = await request.required_json()
        change = partial(_update, request, session_id, data, "Session updated successfully")
        may_be_refused = isinstance(data, MergeSession) and data.tags is not UNSET  # after the merge
        return await commit(request, change, one_statement=not may_be_refused)  # type: ignore[no-any-return]

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
            deleted = await recorded(request, sessions.delete)(**key, if_seqs=request.if_match)
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
        one_statement=True,
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
        one_statement=True,
    )
    async def transfer_session(
        self, request: Request, session_id: FromPath[str], data: JSONBody[TransferSession]
    ) -> Session:
        """Another participant becomes its owner, the caller stays as editor. For owners."""
        caller = request.caller
        row = await recorded(request, request.queries.sessions.transfer)(
            actor_id=caller.user_id, actor_app_id=caller.app_id, session_id=session_id, user_id=data.user_id
        )
        if row is None:
            if (await participation(request, session_id)).role != "owner":
                raise Problem(403, "Only owners may hand a session over")
            raise Problem(404, "Participant not found: add the new owner first")
        told(request, row["changes"])
        return await shown(request, row)


async def _update(request: Request, session_id: str, data: UpdateSession | MergeSession, message: str) -> Session:
    caller, merges = request.caller, isinstance(data, MergeSession)
    row = await recorded(request, request.queries.sessions.update)(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        title=None if data.title is UNSET else data.title or "",
        tags=None if data.tags is UNSET else msgspec.json.encode(data.tags),
        metadata=None if data.metadata is UNSET else encoded("metadata", data.metadata),
        merges=merges,
        status=data.status or None,
        own_config_id=data.config_id or None,
        if_seqs=request.if_match,
    )
    if row is None:
        refusal = await _refusal(request, session_id, _WRITERS, "Only owners and editors may change a session")
        raise refusal if data.config_id is UNSET else await _no_config(request, session_id, data.config_id, refusal)
    if merges:
        check_tags(row["tags"])
    changed = told(request, row["changes"])
    return await shown(request, row, confirmation(changed, message), changed)


async def _no_config(request: Request, session_id: str, config_id: str, refusal: Problem) -> Problem:
    """Returns the problem of a statement that set no config; `refusal` is that of the session."""
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if refusal.status == 412 or row is None or row["role"] == "viewer":
        return refusal
    if row["role"] != "owner" or row["owner_user_id"] != request.caller.user_id:
        return Problem(403, "Only the user who is the session's owner_user_id may set its config_id")
    await check_config(request, config_id)
    return refusal


async def _refusal(request: Request, session_id: str, may: tuple[Role, ...], forbidden: str) -> Problem:
    """Returns the problem of a statement that changed nothing."""
    part, wanted = await participation(request, session_id), request.if_match
    if part.role in may and wanted is not None:
        row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
        if row is not None and row["last_seq"] not in wanted:
            return changed_meanwhile("session", row["last_seq"])
    return Problem(403, forbidden)
