"""Erases a user: deletes what is theirs alone, and replaces their id in what they shared.

Session by session, each in one transaction that locks rows in the order of all statements: the user may send meanwhile.
The target of the entry in the audit log is the pseudonym. Until the end the entry also holds the user's id, so that a
repeated command continues with the same pseudonym; then it holds numbers only.
"""

import secrets
from collections import Counter
from collections.abc import Callable

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

from amplifier.maintenance.operator_database import Connection, MaintenanceError, note
from amplifier.maintenance.session_parts import Part, locked_part, pass_on
from amplifier.maintenance.user_columns import (
    DELETED,
    MANAGERS,
    RENAMED_IN_SESSIONS,
    audit_names,
    event_names,
    named,
)
from amplifier.maintenance.user_renaming import Renaming

_ROUNDS = 5  # scans for what is left; a user who sends meanwhile makes more than one necessary
_ATTEMPTS = 5  # at one session, when another transaction has its rows locked
_AHEAD = 1000  # messages in one transaction, before the session is locked
_ACTION = "erase_user"

_ACTIVE = """
select greatest(
    (select max(last_seen) from users where user_id = %(user_id)s),
    (select max(seen_at) from streams where user_id = %(user_id)s)
) > now() - interval '2 minutes'
"""
_ANYBODY_USES = SQL("exists (select from sessions as s where s.config_id = configs.config_id)")
# of those that the user owns, none is left, or uses a copy of the config
_OTHERS_USE = SQL("exists (select from sessions as s where s.config_id = configs.config_id and s.owner_user_id <> {})")


class Erasure:
    """The erasure of one user, with the counts of what was done."""

    def __init__(self, connection: Connection, user_id: str, hold: str) -> None:
        self._connection, self._user_id, self._hold = connection, user_id, hold
        self.done: Counter[str] = Counter()
        self.pseudonym = ""
        self._names = Renaming(connection, user_id, "")

    def sessions(self) -> list[str]:
        """Returns all sessions in which the id stands. Reads the tables of sessions once."""
        parts = [
            SQL("select session_id from {} where {}").format(Identifier(table), named(column, self._user_id))
            for table, column in (
                *RENAMED_IN_SESSIONS,
                ("session_participants", "user_id"),
                ("sessions", "owner_user_id"),
            )
        ]
        parts.append(SQL("select session_id from session_events where {}").format(event_names(self._user_id)))
        rows = self._connection.execute(SQL(" union ").join(parts) + SQL(" order by session_id"))
        return [row[0] for row in rows.fetchall()]

    def held(self, session_ids: list[str]) -> list[str]:
        """Returns which of these sessions are under a legal hold."""
        rows = self._connection.execute(
            "select session_id from sessions where session_id = any(%s) and tags ? %s order by session_id",
            (session_ids, self._hold),
        )
        return [row[0] for row in rows.fetchall()]

    def plan(self, session_ids: list[str]) -> Counter[str]:
        """Returns what an erasure would do, in the words of `done`. Changes nothing."""
        plan: Counter[str] = Counter()
        for session_id in session_ids:
            with self._connection.transaction(force_rollback=True):
                part = locked_part(self._connection, session_id, self._user_id, locks=False)
                plan += Counter() if part is None else part.plan()
        for table, condition in self._own_rows(_OTHERS_USE.format(Literal(self._user_id))):
            found = SQL("select count(*) from {} where {}").format(Identifier(table), condition)
            row = self._connection.execute(found).fetchone()
            plan[_words(table)] = int(row[0]) if row else 0
        return +plan

    def apply(self, report: Callable[[int, int], None]) -> None:
        """Erases. Calls `report` with the sessions done and their number.

        Raises MaintenanceError for a legal hold, and if the user goes on faster than the erasure.
        """
        audit_id = self._begin()
        self._names = Renaming(self._connection, self._user_id, self.pseudonym)
        for _ in range(_ROUNDS):
            session_ids = self.sessions()
            for number, session_id in enumerate(session_ids):
                self._erase_session(session_id)
                report(number + 1, len(session_ids))
            if not session_ids:
                self._repeat(lambda: self._end(audit_id))
                return
        raise MaintenanceError(
            f"{self._user_id} keeps sending: block the user where tokens are issued, wait until the last one has"
            " expired, and run it again"
        )

    def is_active(self) -> bool:
        """Returns whether processes may still write what the user did before, or does now."""
        row = self._connection.execute(_ACTIVE, {"user_id": self._user_id}).fetchone()
        return bool(row and row[0])

    def _begin(self) -> int:
        """Returns the audit_id of this erasure: that of an interrupted one, or of a new entry."""
        begun = self._connection.execute(
            "select audit_id, target_id, details -> 'done' from audit_log"
            " where action = %s and details ->> 'erasing' = %s",
            (_ACTION, self._user_id),
        ).fetchone()
        if begun is not None:
            audit_id, self.pseudonym, done = begun
            self.done.update(done or {})
            return int(audit_id)
        self.pseudonym = f"erased-{secrets.token_hex(8)}"
        return note(self._connection, _ACTION, "user", self.pseudonym, {"erasing": self._user_id})

    def _erase_session(self, session_id: str) -> None:
        """Erases the user from a session. Of a session that stays, most messages are renamed before it is locked."""
        part = locked_part(self._connection, session_id, self._user_id, locks=False)
        while part is not None and not part.is_alone and self._hold not in part.tags:
            with self._connection.transaction():
                renamed = self._names.some_messages(session_id, _AHEAD)
                done = self.done + Counter({"messages renamed": renamed})
                self._keep_count(done)
            self.done = done
            if renamed < _AHEAD:
                break
        self._repeat(lambda: self._erase_locked(session_id))

    def _erase_locked(self, session_id: str) -> None:
        with self._connection.transaction():
            part = locked_part(self._connection, session_id, self._user_id)
            done = self.done if part is None else self.done + self._erase_part(part)
            self._keep_count(done)
        self.done = done

    def _repeat(self, transaction: Callable[[], None]) -> None:
        """Runs a transaction, again after a deadlock with requests. Its counts are then those of the last attempt."""
        before = self.done.copy()
        for attempt in range(_ATTEMPTS):
            try:
                transaction()
                return
            except psycopg.errors.DeadlockDetected:
                if attempt == _ATTEMPTS - 1:
                    raise
                self.done = before.copy()

    def _erase_part(self, part: Part) -> Counter[str]:
        if self._hold in part.tags:
            raise MaintenanceError(on_hold(self._user_id, [part.session_id], self._hold))
        done = part.plan()
        if part.is_alone:
            self._connection.execute("delete from sessions where session_id = %s", (part.session_id,))
            return done
        retracted = self._connection.execute(
            "delete from retracted_messages where session_id = %s and author_user_id = %s",
            (part.session_id, self._user_id),
        )
        if retracted.rowcount:
            done["retracted messages deleted"] = retracted.rowcount
        done["messages renamed"] = self._names.in_session(part.session_id)
        pass_on(self._connection, part, self.pseudonym)
        return done

    def _keep_count(self, done: Counter[str]) -> None:
        """Stores the counts with the session's transaction, so that an interrupted erasure counts nothing twice."""
        self._connection.execute(
            "update audit_log set details = details || %s where action = %s and target_id = %s",
            (Jsonb({"done": dict(done)}), _ACTION, self.pseudonym),
        )

    def _end(self, audit_id: int) -> None:
        """Deletes and renames the rows outside of sessions, and takes the id out of the audit log."""
        with self._connection.transaction():
            for table, condition in self._own_rows(_ANYBODY_USES):
                if table in DELETED or table == "configs":
                    deleted = SQL("delete from {} where {}").format(Identifier(table), condition)
                    self._count_rows(table, self._connection.execute(deleted).rowcount)
            self._names.column("configs", "user_id")
            self._connection.execute(
                SQL("update {0} set {1} = array_remove({1}, {2}) where {2} = any({1})").format(
                    *map(Identifier, MANAGERS), Literal(self._user_id)
                )
            )
            self._count_rows("audit_log", self._names.in_audit_log())
            self._connection.execute(
                "update audit_log set details = %s where audit_id = %s", (Jsonb(dict(self.done)), audit_id)
            )

    def _count_rows(self, table: str, rows: int) -> None:
        if rows:
            self.done[_words(table)] += rows

    def _own_rows(self, is_used: Composable) -> list[tuple[str, Composable]]:
        """Returns the tables outside of sessions with the condition on the rows that are deleted or renamed.

        Configs are deleted unless they are used.
        """
        return [
            ("configs", SQL("{} and not {}").format(named("user_id", self._user_id), is_used)),
            *((table, named(column, self._user_id)) for table, column in DELETED.items()),
            ("audit_log", audit_names(self._user_id)),
        ]


def _words(table: str) -> str:
    return "audit entries renamed" if table == "audit_log" else f"{table} deleted"


def on_hold(user_id: str, session_ids: list[str], hold: str) -> str:
    """Returns the message about sessions under a legal hold."""
    some = ", ".join(session_ids[:20]) + (" and more" if len(session_ids) > 20 else "")
    return (
        f"nothing more is erased: {user_id} is in {len(session_ids)} sessions under a legal hold: {some}. "
        f"When the hold ends, remove the tag {hold} and run it again"
    )
