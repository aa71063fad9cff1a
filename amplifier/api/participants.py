"""Participants: who takes part in a session, as what, and with which rights besides."""

from datetime import datetime
from functools import partial

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.changes import changed
from amplifier.web.paging import After, Cursor, LongLimit, Pages, Text
from amplifier.web.request import Request, named_user, participation
from amplifier.web.responses import answer
from amplifier.web.routing import delete, get, patch, post
from amplifier.web.types import Identifier, Role
from amplifier.web.unit_of_work import recorded

_PAGES = Pages("participants", Text, "", "user_id")


class Permissions(Body, omit_defaults=True):
    """Overrides of the role for a person: `send` (append and send messages), `cancel` (a run), `invite` (add people up
    to one's own role), `export` (export the transcript, read it in one answer, fork the session; every role may). What
    is absent is as the role says."""

    send: bool | UnsetType = UNSET
    cancel: bool | UnsetType = UNSET
    invite: bool | UnsetType = UNSET
    export: bool | UnsetType = UNSET


class PutParticipant(Body):
    """A participant to add or to change; absent permissions stay as they are."""

    user_id: Identifier
    role: Role
    permissions: Permissions | UnsetType = UNSET


class UpdateParticipant(Body):
    """The changes; an absent field stays as it is. `permissions` replaces all overrides."""

    role: Role | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


class StoredParticipant(msgspec.Struct):
    """A user's part in a session as the database has it."""

    user_id: str
    role: Role
    permissions: msgspec.Raw
    joined_at: datetime
    last_active_at: datetime
    last_read_seq: int


class ParticipantChange(StoredParticipant):
    """A participant after a change, with what changed."""

    changes: msgspec.Raw


class Participant(StoredParticipant):
    """A user's part in a session, with the read marker."""

    changed: list[str] | UnsetType = UNSET


class ParticipantList(msgspec.Struct):
    """A page of participants, by user_id; `next` is the `cursor` of the following page, null at the end."""

    items: list[Participant]
    next: str | None


class ParticipantsController(Controller):
    """Routes below /sessions/{session_id}/participants."""

    path = "/sessions/{session_id:str}/participants"
    tags = ["participants"]

    @get(operation_id="list_participants", summary="A session's participants")
    async def list_participants(
        self,
        request: Request,
        session_id: FromPath[str],
        limit: LongLimit = 200,
        cursor: Cursor = None,
        after: After = None,
    ) -> ParticipantList:
        """For all participants."""
        found = await request.queries.participants.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            after_user_id=_PAGES.start(cursor, after),
            limit=limit + 1,
        )
        if not found:
            await participation(request, session_id)
        return ParticipantList(*_PAGES.page(found, Participant, limit))

    @get("/{user_id:str}", operation_id="get_participant", summary="One participant")
    async def get_participant(self, request: Request, session_id: FromPath[str], user_id: FromPath[str]) -> Participant:
        """For all participants; `me` is the caller."""
        row = await request.queries.participations.get(
            actor_id=request.caller.user_id, session_id=session_id, user_id=named_user(request, user_id)
        )
        if row is None:
            await participation(request, session_id)
            raise Problem(404, "Participant not found")
        return Participant(*row)

    @post(
        operation_id="put_participant",
        summary="Add or change a participant",
        errors=(403, 409),
        one_statement=True,
        responses={200: ResponseSpec(Participant, description="Changed", generate_examples=False)},
    )
    async def put_participant(
        self, request: Request, session_id: FromPath[str], data: JSONBody[PutParticipant]
    ) -> Participant:
        """Answers 201 when added, 200 when changed or the same already. For owners; participants with `invite` may add
        people, up to their own role."""
        permissions = _encoded(data.permissions)
        request.tell(user_id=data.user_id)
        database = request.queries.database
        row = await database.attempt(
            recorded(request, request.queries.participants.create)(
                actor_id=request.caller.user_id,
                session_id=session_id,
                user_id=data.user_id,
                role=data.role,
                permissions=permissions,
            )
        )
        if row is not None:
            return Participant(*row)
        participant = await database.attempt(_change(request, session_id, data.user_id, data.role, permissions))
        if participant is None:
            forbidden = "Only owners may do this; whoever has the permission invite may add people up to their own role"
            raise await _refusal(request, session_id, data.user_id, forbidden, adding=True)
        return answer(200, participant)  # type: ignore[no-any-return]

    @patch(
        "/{user_id:str}",
        operation_id="update_participant",
        summary="Change a participant",
        errors=(403, 409),
        one_statement=True,
    )
    async def update_participant(
        self, request: Request, session_id: FromPath[str], user_id: FromPath[str], data: JSONBody[UpdateParticipant]
    ) -> Participant:
        """For owners. The last owner stays owner (409). Without a difference the participant stays as it is."""
        user_id = named_user(request, user_id)
        request.tell(user_id=user_id)
        participant = await _change(request, session_id, user_id, data.role or None, _encoded(data.permissions))
        if participant is None:
            raise await _refusal(request, session_id, user_id, "Only owners may change participants")
        return participant

    @delete(
        "/{user_id:str}",
        operation_id="remove_participant",
        summary="Remove a participant, or leave",
        errors=(403, 409),
        status_code=204,
        one_statement=True,
    )
    async def remove_participant(self, request: Request, session_id: FromPath[str], user_id: FromPath[str]) -> None:
        """Owners remove anybody, everybody may leave. The last owner stays (409). It takes effect with the answer."""
        user_id = named_user(request, user_id)
        request.tell(user_id=user_id)
        row = await recorded(request, request.queries.participants.delete)(
            actor_id=request.caller.user_id, session_id=session_id, user_id=user_id
        )
        if row is None:
            raise await _refusal(request, session_id, user_id, "Only owners may remove others")
        request.afterwards(partial(request.hub.announce_gone, session_id, "participant.removed", [user_id]))


async def _change(
    request: Request, session_id: str, user_id: str, role: Role | None, permissions: bytes | None
) -> Participant | None:
    row = await recorded(request, request.queries.participant_rights.update)(
        actor_id=request.caller.user_id, session_id=session_id, user_id=user_id, role=role, permissions=permissions
    )
    return None if row is None else changed(request, Participant, row)


async def _refusal(request: Request, session_id: str, user_id: str, forbidden: str, adding: bool = False) -> Problem:
    """Returns the problem of a statement that changed no participant."""
    actor_id = request.caller.user_id
    own = await participation(request, session_id)
    if own.role != "owner":
        return Problem(403, forbidden)
    if user_id == actor_id:
        return Problem(409, "A session needs an owner: make somebody else one first, or delete the session")
    if await request.queries.participant_rights.get(actor_id=actor_id, session_id=session_id, user_id=user_id) is None:
        if not adding:
            return Problem(404, "Participant not found")
        if not own.may_invite:
            return Problem(403, forbidden)
    return Problem(409, "The session changed at the same time: try again")


def _encoded(permissions: Permissions | UnsetType) -> bytes | None:
    return None if permissions is UNSET else msgspec.json.encode(permissions)
