"""Deletes sessions by rule, and archives them before. Each session goes in a transaction of its own.

A session is deleted only if it is as it was when it was archived. Its rows are locked in the order that all statements
use, and nothing waits: a session that others use at this moment stays for the next run.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.sql import SQL, Composable, Literal

from amplifier.maintenance.operator_database import Connection, note, value
from amplifier.maintenance.retention_rules import Rule, only, unbound
from amplifier.maintenance.session_archive import Archive, Archived

_SESSIONS = 200  # in one batch, which is one file of an archive
_MESSAGES = 50_000  # after which a batch ends, so that no snapshot and no file becomes large

_LOCK = SQL("""
with locked_participants as (
    select user_id from session_participants where session_id = {0} order by user_id for update nowait
),
locked_runs as (
    select run_id from runs where session_id = {0} and status in ('queued', 'running')
    and (select count(*) from locked_participants) >= 0 order by run_id for update nowait
)
select array(select user_id from locked_participants)
from sessions where session_id = {0} and (select count(*) from locked_runs) >= 0 for update nowait
""")
_DELETE = SQL("""
delete from sessions as s
where s.session_id = {} and s.last_seq = {} and s.updated_at = {} and {} returning s.messages_total
""")


class Found(NamedTuple):
    """The sessions that fall under a rule: how much they are, and how many others are exempt and why."""

    sessions: int
    messages: int
    bytes: int
    held: int
    busy: int


class Deleted(NamedTuple):
    """The sessions that a rule deleted, and those that changed meanwhile or were in use."""

    sessions: int = 0
    messages: int = 0
    skipped: int = 0


class Retention:
    """Applies rules on one connection. `payloads` makes notifications of deleted sessions and their participants."""

    def __init__(
        self,
        connection: Connection,
        hold: str,
        archive: Archive | None = None,
        payloads: Callable[[list[tuple[str, list[str]]]], Iterable[str]] = lambda _: (),
        deadline: float | None = None,
    ) -> None:
        self._connection, self._hold, self._archive = connection, hold, archive
        self._payloads, self._deadline = payloads, deadline
        self._now: datetime = value(connection, "select now()")

    def find(self, rule: Rule, former: list[Rule]) -> Found:
        """Returns what falls under a rule and no former one. Changes nothing."""
        row = self._connection.execute(
            SQL("""
select
    count(*) filter (where o.is_unbound),
    coalesce(sum(s.messages_total) filter (where o.is_unbound), 0),
    coalesce(sum(m.bytes) filter (where o.is_unbound), 0),
    count(*) filter (where s.tags ? {}),
    count(*) filter (where not o.is_unbound and not s.tags ? {})
from sessions as s
cross join lateral (select {} as is_unbound) as o
left join lateral (select sum(size) as bytes from messages where session_id = s.session_id) as m on o.is_unbound
where {}
""").format(Literal(self._hold), Literal(self._hold), unbound(self._hold), only(rule, former, self._now))
        ).fetchone()
        return Found(*map(int, row or ()))

    def count(self, rule: Rule, former: list[Rule]) -> int:
        """Returns how many sessions a rule deletes, without the size of their messages."""
        statement = SQL("select count(*) from sessions as s where {}").format(self._condition(rule, former))
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def apply(self, rule: Rule, former: list[Rule], report: Callable[[int], None]) -> Deleted:
        """Deletes the sessions of a rule, in batches. Calls `report` with the sessions that each step dealt with.

        Ends early at the deadline.
        """
        condition, total = self._condition(rule, former), Deleted()
        for session_ids in self._batches(condition):
            file, found = self._archived(str(rule), session_ids, condition)
            gone: list[tuple[str, list[str]]] = []
            for session in found:
                if self._is_over():
                    break
                users, messages = self._delete(session, condition, {"rule": str(rule)} | file)
                if users is not None:
                    gone.append((session.session_id, users))
                total = Deleted(
                    total.sessions + (users is not None), total.messages + messages, total.skipped + (users is None)
                )
                report(1)
            for payload in self._payloads(gone):  # after the commits: those that notify wait for each other
                self._connection.execute("select announce(%s)", (payload,))
        return total

    def _condition(self, rule: Rule, former: list[Rule]) -> Composable:
        return SQL("{} and {}").format(only(rule, former, self._now), unbound(self._hold))

    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _batches(self, condition: Composable) -> Iterator[list[str]]:
        """Yields the ids of a rule's sessions in their order, each once, also those that stay."""
        after = ""
        while not self._is_over():
            statement = SQL("""
select session_id, messages_total from sessions as s where session_id > {} and {} order by session_id limit {}
""").format(Literal(after), condition, Literal(_SESSIONS))
            batch: list[str] = []
            messages = 0
            for session_id, size in self._connection.execute(statement).fetchall():
                if batch and messages + size > _MESSAGES:
                    break
                batch.append(session_id)
                messages += size
            if not batch:
                return
            after = batch[-1]
            yield batch

    def _archived(
        self, rule: str, session_ids: list[str], condition: Composable
    ) -> tuple[dict[str, str], list[Archived]]:
        """Returns the details of the file for the audit log, and the sessions that may be deleted now."""
        if self._archive is not None:
            file, archived = self._archive.write(self._connection, rule, session_ids, condition)
            return {"archive": Path(file).name}, archived
        rows = self._connection.execute(
            "select session_id, last_seq, updated_at from sessions where session_id = any(%s) order by session_id",
            (session_ids,),
        )
        return {}, [Archived(*row) for row in rows.fetchall()]

    def _delete(
        self, session: Archived, condition: Composable, details: dict[str, str]
    ) -> tuple[list[str] | None, int]:
        """Deletes a session unless it changed. Returns its participants and messages, or None and 0."""
        try:
            with self._connection.transaction():
                locked = self._connection.execute(_LOCK.format(Literal(session.session_id))).fetchone()
                deleted = self._connection.execute(_DELETE.format(*map(Literal, session), condition)).fetchone()
                if locked is None or deleted is None:
                    return None, 0
                note(self._connection, "delete_session", "session", session.session_id, details)
                return list(locked[0]), int(deleted[0])
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            return None, 0
