"""The words for those who may not export, and the check before a transcript is read in one answer."""

from amplifier.errors import Problem
from amplifier.web.request import Request, participation

MAY_NOT_EXPORT = "You may not export this session or copy it: ask an owner for the permission export"


async def check_export(request: Request, session_id: str) -> None:
    """Raises Problem 404 for strangers, and 403 for participants from whom the permission was taken."""
    if not (await participation(request, session_id)).may_export:
        raise Problem(403, MAY_NOT_EXPORT)
