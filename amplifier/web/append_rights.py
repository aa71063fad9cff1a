"""Reasons for which a session takes no messages and no state from a caller."""

from typing import Any

from amplifier.errors import Problem
from amplifier.queries.rows import Rights
from amplifier.web.request import Request, participation

MAY_NOT_APPEND = "Only owners, editors and whoever has the permission send may append to a transcript"


async def appendable(
    request: Request, session_id: str, may_not: str = MAY_NOT_APPEND, act: str = "append"
) -> tuple[Rights, Any]:
    """Returns the caller's rights and the session's row, after a statement did nothing.

    Raises Problem 404, 403 with `may_not`, and 409, which names the `act`, unless the session is active.
    """
    rights = await participation(request, session_id)
    if not rights.may_send:
        raise Problem(403, may_not)
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        raise Problem(404, "Session not found")
    if row["status"] != "active":
        raise Problem(409, f"The session is {row['status']}: resume it before you {act}")
    return rights, row
