"""A user's part in one session: how it is locked, and how it passes to others when the user is erased."""

from collections import Counter
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from amplifier.maintenance.operator_database import Connection

_PARTICIPANTS = "select user_id, role from session_participants where session_id = %s order by user_id"
_RUNS = "select from runs where session_id = %s and status in ('queued', 'running') order by run_id for update"
_SESSION = "select owner_user_id, tags, messages_total from sessions where session_id = %s"
# the owner who joined first, else the editor, else the viewer
_HEIR = """
select user_id, role from session_participants where session_id = %s and user_id <> %s
order by array_position('{owner,editor,viewer}', role), joined_at, user_id limit 1
"""
_EVENT = "insert into session_events (session_id, type, data, created_at) values (%s, %s, %s, clock_timestamp())"


class Part(NamedTuple):
    """The part of a user in a session. `role` is None for a former participant, `heir` if nobody else takes part."""

    session_id: str
    user_id: str
    role: str | None
    permissions: dict[str, Any]
    is_owner: bool
    heir: tuple[str, str] | None
    tags: dict[str, str]
    messages: int

    @property
    def is_alone(self) -> bool:
        """Returns whether the session is the user's alone, and goes with the user."""
        return self.heir is None and (self.role is not None or self.is_owner)

    @property
    def passes_on(self) -> bool:
        """Returns whether the session gets another owner."""
        return self.heir is not None and (self.is_owner or (self.role == "owner" and self.heir[1] != "owner"))

    def plan(self) -> Counter[str]:
        """Returns what happens to the session, in words that the command prints with a number."""
        if self.is_alone:
            return Counter({"sessions deleted": 1, "messages deleted": self.messages})
        plan = Counter({"sessions kept for others": 1})
        if self.passes_on and self.heir is not None:
            plan[f"sessions passed to the {self.heir[1]} who joined first"] = 1
        return plan


def locked_part(connection: Connection, session_id: str, user_id: str, locks: bool = True) -> Part | None:
    """Locks participants, unfinished runs and the session, in this order, and returns the user's part in it.

    Participants are locked twice: the second statement sees those who were added while the first waited. Returns None
    for a session that is gone. Raises DeadlockDetected if others were added since; then begin the transaction again.
    """
    seen: list[Any] = []
    if locks:
        for _ in range(2):
            seen = connection.execute(f"{_PARTICIPANTS} for update", (session_id,)).fetchall()
        connection.execute(_RUNS, (session_id,))
    session = connection.execute(f"{_SESSION} for update" if locks else _SESSION, (session_id,)).fetchone()
    if session is None:
        return None
    present = connection.execute(_PARTICIPANTS, (session_id,)).fetchall()
    if locks and seen != present:
        raise psycopg.errors.DeadlockDetected("a participant was added")
    own = connection.execute(
        "select role, permissions from session_participants where session_id = %s and user_id = %s",
        (session_id, user_id),
    ).fetchone()
    role, permissions = own or (None, {})
    heir = connection.execute(_HEIR, (session_id, user_id)).fetchone()
    owner, tags, messages = session
    return Part(session_id, user_id, role, permissions, owner == user_id, heir, tags, messages)


def pass_on(connection: Connection, part: Part, pseudonym: str) -> None:
    """Removes the participant, and makes the heir an owner where the user was the last one. Adds the events of both.

    The session's clock moves with the events: the login that owns the tables has them numbered by a trigger.
    """
    if part.passes_on and part.heir is not None:
        connection.execute(
            "update session_participants set role = 'owner' where session_id = %s and user_id = %s and role <> 'owner'",
            (part.session_id, part.heir[0]),
        )
        connection.execute(
            # the key was the former owner's, and the heir may have the same
            "update sessions set owner_user_id = %s, external_id = null where session_id = %s and owner_user_id = %s",
            (part.heir[0], part.session_id, part.user_id),
        )
        told = Jsonb({"user_id": part.heir[0], "former_user_id": pseudonym})
        connection.execute(_EVENT, (part.session_id, "ownership.transferred", told))
    if part.role is not None:
        connection.execute(
            "delete from session_participants where session_id = %s and user_id = %s", (part.session_id, part.user_id)
        )
        told = Jsonb({"user_id": pseudonym, "role": part.role, "permissions": part.permissions})
        connection.execute(_EVENT, (part.session_id, "participant.removed", told))
