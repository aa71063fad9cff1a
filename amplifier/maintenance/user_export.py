"""Everything that the database holds about one user, as lines of JSON. docs/privacy.md says what belongs to it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain

from psycopg.sql import SQL, Composable, Literal

from amplifier.maintenance.operator_database import Connection, MaintenanceError
from amplifier.maintenance.session_rows import Rows, line
from amplifier.maintenance.user_columns import audit_names, named

FORMAT = {"format": "amplifier-user", "version": 1}
_OPENED = SQL("type not like 'invitation.%'")  # what participants who are no owners see
_ELSEWHERE = SQL("{} and session_id not in (select session_id from session_participants where user_id = {})")


def lines(connection: Connection, user_id: str, report: Callable[[int, int], None]) -> Iterator[str]:
    """Yields the lines, from one snapshot of the database. Calls `report` with the sessions done and their number.

    Raises MaintenanceError if the database holds nothing about the user.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        rows, sessions = Rows(connection), _sessions(connection, user_id)
        body = chain(_about(rows, user_id), _records(rows, user_id), _transcripts(rows, sessions, report))
        first = next(body, None)
        if first is None:
            raise MaintenanceError(f"the database holds nothing about {user_id}")
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        yield json.dumps({"type": "export", **FORMAT, "user_id": user_id, "created_at": made}) + "\n"
        yield first
        yield from body
        yield json.dumps({"type": "end", "sessions": len(sessions)}) + "\n"


def _sessions(connection: Connection, user_id: str) -> list[tuple[str, str]]:
    return connection.execute(
        "select session_id, role from session_participants where user_id = %s order by session_id", (user_id,)
    ).fetchall()


def _transcripts(rows: Rows, sessions: list[tuple[str, str]], report: Callable[[int, int], None]) -> Iterator[str]:
    """Yields the sessions that the user takes part in, whole, as far as the user may read them."""
    for number, (session_id, role) in enumerate(sessions, 1):
        for _, text in rows.of_session(session_id, {} if role == "owner" else {"event": _OPENED}):
            yield text
        report(number, len(sessions))


def _about(rows: Rows, user_id: str) -> Iterator[str]:
    """Yields the user's own row, activity and settings: few rows."""
    mine = named("user_id", user_id)
    yield from (line("user", row) for row in rows.of("users", mine))
    yield from (line("search_count", row) for row in rows.of("searches", mine, "day, app_id, kind"))
    yield from (line("user_state", row) for row in rows.of("user_states", mine, "app_id"))
    yield from (line("rate_limit", row) for row in rows.of("rate_limits", mine))
    yield from (line("stream", row) for row in rows.of("streams", mine))
    yield from (line("ticket", row) for row in rows.of("stream_tickets", mine, without=frozenset({"ticket_hash"})))
    hidden = frozenset({"key_hash", "request_hash", "response", "etag", "is_encrypted"})
    yield from (line("kept_answer", row) for row in rows.of("idempotency_keys", mine, without=hidden))
    managed = SQL("{} = any(key_managers)").format(Literal(user_id))
    hidden = frozenset({"api_key_hash", "api_key_prefix", "settings", "key_managers"})
    yield from (line("managed_application", row) for row in rows.of("applications", managed, without=hidden))


def _records(rows: Rows, user_id: str) -> Iterator[str]:
    """Yields configs, entries of the audit log, and what the user did in sessions without taking part any more."""
    mine = named("user_id", user_id)
    versions = SQL("config_id in (select config_id from configs where {})").format(mine)
    yield from (line("config", row) for row in rows.of("configs", mine, "config_id"))
    yield from (line("config_version", row) for row in rows.of("config_versions", versions, "config_id, version"))
    yield from (line("audit_entry", row) for row in rows.of("audit_log", audit_names(user_id), "audit_id"))
    made = named("created_by_user_id", user_id)
    hidden = frozenset({"token_hash"})
    yield from (line("invitation", row) for row in rows.of("session_invitations", made, without=hidden))
    written = named("author_user_id", user_id)
    yield from (line("retracted_message", row) for row in rows.of("retracted_messages", written, "session_id, seq"))
    for type, table, column, order in (
        ("message", "messages", "author_user_id", "session_id, seq"),
        ("event", "session_events", "actor_user_id", "session_id, seq"),
        ("run", "runs", "user_id", "session_id, queued_at"),
        ("attachment", "attachments", "created_by_user_id", "session_id, sha256"),
    ):
        condition: Composable = _ELSEWHERE.format(named(column, user_id), Literal(user_id))
        yield from (line(type, row) for row in rows.of(table, condition, order))
