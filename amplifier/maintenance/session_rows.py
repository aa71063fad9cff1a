"""The rows of a session as lines of JSON, for archives and exports. Rows are streamed: memory does not grow with them.

A line is `{"type": ..., "row": {...}}`. A row has all columns of its table, except those that the database derives.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from psycopg.sql import SQL, Composable, Identifier, Literal

from amplifier.maintenance.operator_database import Connection

_DERIVED = ["search", "search_truncated", "search_revision", "search_language"]  # made again when a row is inserted
_COLUMNS = """
select table_name, array_agg(column_name::text order by ordinal_position)
from information_schema.columns
where table_schema = current_schema and is_generated = 'NEVER' and column_name <> all(%s)
group by table_name
"""

# type of the line, table, order
_OF_SESSION = (
    ("session", "sessions", "session_id"),
    ("participant", "session_participants", "user_id"),
    ("message", "messages", "seq"),
    ("event", "session_events", "seq"),
    ("attachment", "attachments", "sha256"),
    ("attachment_chunk", "attachment_chunks", "sha256, start"),
    ("state", "session_states", "session_id"),
    ("origin", "session_origins", "session_id"),
    ("origin_line", "session_origin_lines", "first_line"),
    ("run", "runs", "queued_at, run_id"),
    ("approval", "run_approvals", "requested_at, approval_id"),
)


class Rows:
    """Reads rows as JSON. Looks at the columns of the tables once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._columns: dict[str, list[str]] = dict(connection.execute(_COLUMNS, (_DERIVED,)).fetchall())

    def of_session(
        self, session_id: str, conditions: Mapping[str, Composable] = MappingProxyType({})
    ) -> Iterator[tuple[str, str]]:
        """Yields the lines of a session with their types: the session first, messages and events in order.

        `conditions` leave rows of some types out.
        """
        for type, table, order in _OF_SESSION:
            condition = SQL("session_id = {} and {}").format(Literal(session_id), conditions.get(type, SQL("true")))
            yield from ((type, line(type, row)) for row in self.of(table, condition, order))

    def of(
        self, table: str, condition: Composable, order: str | None = None, without: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        """Yields the rows of a table as JSON texts, without some columns. COPY passes them on one by one."""
        columns = [Identifier(name) for name in self._columns[table] if name not in without]
        statement = SQL("copy (select to_jsonb(r)::text from (select {} from {} where {}{}) as r) to stdout").format(
            SQL(", ").join(columns),
            Identifier(table),
            condition,
            SQL(f" order by {order}") if order else SQL(""),
        )
        with self._connection.cursor().copy(statement) as copied:
            row: Any
            for row in copied.rows():
                yield row[0]


def line(type: str, row: str) -> str:
    """Returns the line of a row."""
    return f'{{"type": "{type}", "row": {row}}}\n'
