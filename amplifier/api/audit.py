"""The audit log: who did what, when, from where, to what. For admin applications."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.params import QueryParameter

from amplifier.web.filters import CreatedAfter, CreatedBefore, period
from amplifier.web.paging import NEWEST, After, Cursor, Limit, Number, Pages
from amplifier.web.request import Request, require_admin
from amplifier.web.routing import get

_PAGES = Pages("audit", Number, NEWEST, "audit_id")


def _only(name: str, of: str) -> Any:
    return QueryParameter(name=name, max_length=255, description=f"Only {of}")


UserId = Annotated[str | None, _only("user_id", "what this user did")]
AppId = Annotated[str | None, _only("app_id", "what came through this application")]
Action = Annotated[str | None, _only("action", "this operation, by its id in the OpenAPI document")]
TargetType = Annotated[str | None, _only("target_type", "what was done to a session, config, application or setting")]
TargetId = Annotated[str | None, _only("target_id", "what was done to this session, config, application or setting")]


class AuditEntry(msgspec.Struct):
    """A change that was made, by a request or by a command on the server."""

    audit_id: int
    created_at: datetime
    user_id: str
    app_id: str
    action: str
    target_type: str
    target_id: str | None
    details: msgspec.Raw
    address: str | None
    request_id: str | None


class AuditList(msgspec.Struct):
    """A page of the audit log, latest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[AuditEntry]
    next: str | None


class AuditController(Controller):
    """The route /audit."""

    path = "/audit"
    tags = ["audit"]

    @get(operation_id="list_audit_entries", summary="The audit log", errors=(403,))
    async def list_audit_entries(
        self,
        request: Request,
        user_id: UserId = None,
        app_id: AppId = None,
        action: Action = None,
        target_type: TargetType = None,
        target_id: TargetId = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        limit: Limit = 50,
        cursor: Cursor = None,
        after: After = None,
    ) -> AuditList:
        """Changes that were made, latest first. Appends are not among them: each message says who wrote it. Admin
        applications only."""
        require_admin(request)
        filters: dict[str, Any] = {"user_id": user_id, "app_id": app_id, "action": action, "target_type": target_type}
        since, until = period("created", created_after, created_before).values()
        start = _PAGES.start(cursor, after)
        filters |= {"since": since, "until": until, "before_id": start, "limit": limit + 1}
        audit = request.queries.audit
        if target_id is None:
            found = await audit.list(**filters)
        else:
            found = await audit.list_of_target(target_id=target_id, **filters)
        return AuditList(*_PAGES.page(found, AuditEntry, limit))
