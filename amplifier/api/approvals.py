"""Questions that an agent asks people before it continues, and their answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.paging import EARLIEST, NEWEST, Cursor, LongLimit, Pages, Position
from amplifier.web.request import Request, participation
from amplifier.web.routing import get, post
from amplifier.web.unit_of_work import recorded

_REFUSALS = ("deny", "no", "reject", "cancel")  # how options begin that do not grant anything
_PAGES = Pages("approvals", Position, EARLIEST, "requested_at", "approval_id")

Decision = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Approval(msgspec.Struct):
    """A question with the options to choose from; nobody's answer until `expires_at` denies it."""

    approval_id: str
    run_id: str
    prompt: str
    options: list[str]
    requested_at: datetime
    expires_at: datetime


class ApprovalList(msgspec.Struct):
    """A page of the questions that wait, oldest first; `next` is the `cursor` of the following page, null at the
    end."""

    items: list[Approval]
    next: str | None


class DecideApproval(Body):
    """One of the options, or in short `allow` or `deny`."""

    decision: Decision


class DecidedApproval(msgspec.Struct):
    """The decision, and whether it grants the request."""

    approval_id: str
    run_id: str
    granted: bool
    decision: str


class ApprovalsController(Controller):
    """Routes of a session's approvals."""

    path = "/sessions/{session_id:str}/approvals"
    tags = ["agent"]

    @get(operation_id="list_approvals", summary="The agent's open questions")
    async def list_approvals(
        self, request: Request, session_id: FromPath[str], limit: LongLimit = 200, cursor: Cursor = None
    ) -> ApprovalList:
        """The questions of the run that goes on. For participants."""
        found = await _waiting(request, session_id, _PAGES.start(cursor), limit + 1)
        if not found:
            await participation(request, session_id)
        return ApprovalList(*_PAGES.page(found, Approval, limit))

    @post(
        "/{approval_id:str}",
        operation_id="decide_approval",
        summary="Answer the agent",
        status_code=200,
        errors=(403,),
        one_statement=True,
    )
    async def decide_approval(
        self, request: Request, session_id: FromPath[str], approval_id: FromPath[str], data: JSONBody[DecideApproval]
    ) -> DecidedApproval:
        """Answers a question once; the first answer counts. For owners, editors and participants with `send`."""
        part = await participation(request, session_id)
        if not part.may_send:
            raise Problem(403, "Only owners, editors and whoever has the permission send may answer the agent")
        waiting = {row["approval_id"]: row["options"] for row in await _waiting(request, session_id, EARLIEST, NEWEST)}
        if approval_id not in waiting:
            raise Problem(404, "Approval not found, or answered already")
        granted, decision = _chosen(waiting[approval_id], data.decision)
        row = await recorded(request, request.queries.approval_decisions.decide)(
            actor_id=request.caller.user_id,
            session_id=session_id,
            approval_id=approval_id,
            granted=granted,
            decision=decision,
        )
        if row is None:
            raise Problem(404, "Approval not found, or answered already")
        return DecidedApproval(*row)


async def _waiting(request: Request, session_id: str, after: Position, limit: int) -> Sequence[Any]:
    return await request.queries.approvals.list(
        actor_id=request.caller.user_id,
        session_id=session_id,
        after_requested_at=after.moment,
        after_approval_id=after.identifier,
        limit=limit,
    )


def _chosen(options: list[str], decision: str) -> tuple[bool, str]:
    """Returns whether the decision grants the request, and the option it names. Raises Problem 422 for no option."""
    names = {option.casefold(): option for option in options}
    refusing = [option for option in options if option.casefold().startswith(_REFUSALS)]
    granting = [option for option in options if option not in refusing]
    short = {"allow": granting[:1], "deny": refusing[:1] or ["Deny"]}.get(decision.casefold(), [])
    chosen = names.get(decision.casefold()) or next(iter(short), None)
    if chosen is None:
        raise Problem(422, f"decision: must be allow, deny or one of: {', '.join(options)}")
    return chosen in granting, chosen
