"""Invitations: tokens that let people into a session whose user ids are not known yet."""

import re
import secrets
import uuid
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.authentication import hash_secret
from amplifier.web.bodies import Body
from amplifier.web.paging import NEWEST, After, Cursor, Limit, Number, Pages
from amplifier.web.request import Request, participation
from amplifier.web.responses import answer
from amplifier.web.routing import delete, get, post
from amplifier.web.types import Role
from amplifier.web.unit_of_work import recorded

_TOKEN = re.compile(r"inv_(.{1,255})_[A-Za-z0-9_-]{43}\Z")  # the session's id, then 256 random bits
_WEEK, _YEAR = 604_800, 31_536_000  # seconds
_PAGES = Pages("invitations", Number, NEWEST, "seq")


class CreateInvitation(Body):
    """For a role up to one's own; `expires_in` in seconds, a week unless given. It admits one person unless `max_uses`
    says more."""

    role: Role
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=_YEAR)] = _WEEK
    max_uses: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1


class Invitation(msgspec.Struct):
    """An invitation; `seq` is the session's clock when it was made. The token is shown once, when it is made."""

    invitation_id: str
    seq: int
    role: Role
    created_by_user_id: str
    created_at: datetime
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    token: str | None = None


class InvitationList(msgspec.Struct):
    """A page of invitations, newest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[Invitation]
    next: str | None


class AcceptInvitation(Body):
    """The token, as it was shown when the invitation was made."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class Claim(msgspec.Struct):
    """The caller's part in the session; `is_new` is false for who took part already."""

    session_id: str
    user_id: str
    role: Role
    permissions: msgspec.Raw
    joined_at: datetime
    last_active_at: datetime
    is_new: bool


class InvitationsController(Controller):
    """Routes below /sessions/{session_id}/invitations."""

    path = "/sessions/{session_id:str}/invitations"
    tags = ["participants"]

    @post(operation_id="create_invitation", summary="Make an invitation", errors=(403,), one_statement=True)
    async def create_invitation(
        self, request: Request, session_id: FromPath[str], data: JSONBody[CreateInvitation]
    ) -> Invitation:
        """Creates an invitation; its token is shown only in this answer. For owners and participants with `invite`."""
        token, invitation_id = f"inv_{session_id}_{secrets.token_urlsafe(32)}", str(uuid.uuid4())
        request.tell(invitation_id=invitation_id, role=data.role)
        row = await recorded(request, request.queries.invitations.create)(
            actor_id=request.caller.user_id,
            session_id=session_id,
            invitation_id=invitation_id,
            token_hash=hash_secret(token),
            role=data.role,
            expires_in=data.expires_in,
            max_uses=data.max_uses,
        )
        if row is None:
            await participation(request, session_id)
            raise Problem(403, "Only owners and whoever has the permission invite may invite, up to their own role")
        invitation = Invitation(*row)
        invitation.token = token
        return invitation

    @get(operation_id="list_invitations", summary="A session's invitations", errors=(403,))
    async def list_invitations(
        self,
        request: Request,
        session_id: FromPath[str],
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
    ) -> InvitationList:
        """Spent ones too, without their tokens. For owners."""
        found = await request.queries.invitations.list(
            actor_id=request.caller.user_id,
            session_id=session_id,
            before_seq=_PAGES.start(cursor, after),
            limit=limit + 1,
        )
        if not found and (await participation(request, session_id)).role != "owner":
            raise Problem(403, "Only owners may see invitations")
        return InvitationList(*_PAGES.page(found, Invitation, limit))

    @delete(
        "/{invitation_id:str}",
        operation_id="revoke_invitation",
        summary="Revoke an invitation",
        errors=(403,),
        status_code=204,
        one_statement=True,
    )
    async def revoke_invitation(
        self, request: Request, session_id: FromPath[str], invitation_id: FromPath[str]
    ) -> None:
        """It admits nobody from now on; who came by it stays. For owners."""
        request.tell(invitation_id=invitation_id)
        row = await recorded(request, request.queries.invitations.revoke)(
            actor_id=request.caller.user_id, session_id=session_id, invitation_id=invitation_id
        )
        if row is None:
            if (await participation(request, session_id)).role != "owner":
                raise Problem(403, "Only owners may revoke invitations")
            raise Problem(404, "Invitation not found, or revoked already")


class AcceptController(Controller):
    """The route for those who have a token and nothing else."""

    path = "/invitations/accept"
    tags = ["participants"]

    @post(
        operation_id="accept_invitation",
        summary="Accept an invitation",
        errors=(404, 410),
        responses={200: ResponseSpec(Claim, description="Took part already", generate_examples=False)},
    )
    async def accept_invitation(self, request: Request, data: JSONBody[AcceptInvitation]) -> Claim:
        """Answers 201 when the caller joins, 200 when the caller took part already and keeps the role."""
        match = _TOKEN.match(data.token)
        if match is None:
            raise Problem(404, "Invitation not found")
        key = {"session_id": match[1], "token_hash": hash_secret(data.token)}
        claims = request.queries.invitation_claims
        request.tell(session_id=match[1])
        async with request.queries.database.transaction():
            await claims.lock(**key)
            for _ in range(2):  # the second shows who was added in another way while the first ran
                row = await recorded(request, claims.claim)(actor_id=request.caller.user_id, **key)
                if row is not None:
                    break
        if row is None:
            raise _refusal(await claims.find(**key))
        claim = Claim(*row)
        request.afterwards(partial(request.hub.announce, claim.session_id))
        return claim if claim.is_new else answer(200, claim)


def _refusal(row: Any) -> Problem:
    """Returns the problem of an invitation that admits nobody any more, or not this caller."""
    if row is None:
        return Problem(404, "Invitation not found")
    if row["is_revoked"]:
        return Problem(410, "The invitation was revoked")
    if row["is_expired"]:
        return Problem(410, "The invitation has expired: ask for a new one")
    if row["is_used_up"]:
        return Problem(410, "The invitation is used up: ask for a new one")
    return Problem(410, "The invitation does not admit you any more: ask an owner for a new one")
