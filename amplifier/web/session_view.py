"""The session that several routes answer with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from amplifier.web.bodies import Warnings
from amplifier.web.request import Request
from amplifier.web.types import Role, Status

_LINKS = ("forked_from_session_id", "parent_session_id")


class StoredSession(msgspec.Struct):
    """A session as the database has it."""

    session_id: str
    config_id: str | None
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
    messages_total: int
    last_seq: int
    created_at: datetime
    updated_at: datetime
    config_version: int | None
    forked_from_session_id: str | None
    forked_at_seq: int | None
    external_id: str | None
    parent_session_id: str | None


class SessionChange(StoredSession):
    """A session after a change, with what changed."""

    changes: msgspec.Raw


class Session(StoredSession):
    """A session; `last_seq` is the number of the last thing that happened in it, and its ETag.

    `config_version` is the version of the config when the session began or got it. A fork tells which session it was
    copied from, and a sub-agent's session which one started it, to those who take part in that, too.
    """

    changed: list[str] | UnsetType = UNSET
    message: str | None = None
    warnings: Warnings = UNSET

    @property
    def etag(self) -> str:
        return str(self.last_seq)


async def shown(
    request: Request, row: Any, message: str | None = None, changed: list[str] | UnsetType = UNSET
) -> Session:
    """Returns the session of a row; its source and its parent are shown only to participants of those."""
    session = Session(*row[: len(StoredSession.__struct_fields__)])
    session.changed, session.message = changed, message
    await hide_links(request, request.caller.user_id, [session])
    return session


async def hide_links(request: Request, user_id: str, sessions: Sequence[Any]) -> None:
    """Makes the parent and the source of each of these sessions null if the user takes no part in that one."""
    links = [(one, name, other) for one in sessions for name in _LINKS if (other := getattr(one, name, None))]
    if links:
        others = sorted({other for _, _, other in links})
        joined = await request.queries.participations.list(actor_id=user_id, session_ids=others)
        shown = {row["session_id"] for row in joined}
        for one, name, other in links:
            if other not in shown:
                setattr(one, name, None)
