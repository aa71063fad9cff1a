"""Deletes old rows of tables that grow with use, some blocks of a table at a time.

The background job in `expiry.py` deletes what the service itself no longer needs. Rows here have a value for people.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

from amplifier.maintenance.operator_database import Connection, note, value
from amplifier.maintenance.retention_rules import RuleError, hours

_BLOCKS = 64  # of 8 kB: some hundreds to thousands of rows in one transaction

_NOT_HELD = "not exists (select from sessions as s where s.session_id = t.{} and s.tags ? {{hold}})"
# The rows of a table that are older than {since}. Rows of sessions under a legal hold stay.
_OLD = {
    "runs": "t.finished_at < {since} and " + _NOT_HELD.format("session_id"),
    "run_approvals": "coalesce(t.decided_at, t.expires_at) < {since} and "
    "not exists (select from runs as r where r.session_id = t.session_id and r.run_id = t.run_id"
    " and r.finished_at is null) and " + _NOT_HELD.format("session_id"),
    "retracted_messages": "t.retracted_at < {since} and " + _NOT_HELD.format("session_id"),
    "searches": "t.day < {since}::date",
    "idempotency_keys": "t.created_at < {since}",
    "audit_log": "t.created_at < {since} and " + _NOT_HELD.format("target_id"),
    "streams": "t.seen_at < {since}",
}
TABLES = tuple(_OLD)


class Pruning:
    """Old rows of one table."""

    def __init__(self, connection: Connection, table: str, age: str, hold: str) -> None:
        """Raises RuleError for another table and for an age that is none."""
        if table not in _OLD:
            raise RuleError(f"{table!r} cannot be pruned: name one of {', '.join(TABLES)}")
        now: datetime = value(connection, "select now()")
        since = now - timedelta(hours=hours(age))
        self._connection, self.table, self.age = connection, table, age
        self._condition: Composable = SQL(_OLD[table]).format(since=Literal(since), hold=Literal(hold))

    def count(self) -> int:
        """Returns how many rows are old."""
        statement = SQL("select count(*) from {} as t where {}").format(Identifier(self.table), self._condition)
        row = self._connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def apply(self, report: Callable[[int], None], is_over: Callable[[], bool] = lambda: False) -> int:
        """Deletes the old rows, and returns their number. Calls `report` with the rows that each batch deleted.

        The transaction of each batch updates the entry of the audit log. Rows that others have locked stay.
        """
        blocks: int = value(self._connection, "select pg_relation_size(%s::regclass) / 8192", self.table)
        total, audit_id = 0, None
        for first in range(0, blocks, _BLOCKS):
            if is_over():
                break
            with self._connection.transaction():
                deleted = self._delete(first)
                if deleted:
                    total += deleted
                    audit_id = self._note(audit_id, total)
            report(deleted)
        return total

    def _delete(self, first: int) -> int:
        """Deletes the old rows of some blocks, by their addresses: no index is needed, and no block is read twice."""
        statement = SQL("""
with old_rows as (
    select t.ctid from {0} as t where t.ctid >= {1}::tid and t.ctid < {2}::tid and {3} for update of t skip locked
)
delete from {0} as t using old_rows as o where t.ctid = o.ctid
""").format(Identifier(self.table), Literal(f"({first},0)"), Literal(f"({first + _BLOCKS},0)"), self._condition)
        return self._connection.execute(statement).rowcount

    def _note(self, audit_id: int | None, total: int) -> int:
        details: dict[str, Any] = {"table": self.table, "older_than": self.age, "deleted_rows": total}
        if audit_id is None:
            return note(self._connection, "prune", "service", None, details)
        self._connection.execute("update audit_log set details = %s where audit_id = %s", (Jsonb(details), audit_id))
        return audit_id
