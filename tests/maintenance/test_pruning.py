"""Pruning deletes old rows of the tables that it names, and keeps what is held, new or still needed."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from amplifier.errors import OperatorError
from amplifier.maintenance import pruning
from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.pruning import TABLES, Pruning
from tests.support.old_sessions import insert_run, insert_session

Sql = Callable[..., list[Any]]


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


def prune(connection: psycopg.Connection[Any], table: str) -> tuple[int, int]:
    """Prunes what is older than a day. Returns how many rows were announced and deleted."""
    pruning = Pruning(connection, table, "1d", "legal-hold")
    return pruning.count(), pruning.apply(lambda _: None)


INSERTS = {
    "searches": """
        insert into searches select 'ann', 'app', (now() - make_interval(days => n))::date, 'messages', 1, 0, 0, 1
        from generate_series(0, 4) as n""",
    "idempotency_keys": """
        insert into idempotency_keys (app_id, user_id, key_hash, request_hash, status, response, created_at)
        select 'app', 'ann', n::text, 'x', 200, '', now() - make_interval(days => n) + interval '1 minute'
        from generate_series(0, 4) as n""",
    "audit_log": """
        insert into audit_log (user_id, app_id, action, target_type, target_id, details, created_at)
        select 'ann', 'app', 'x', 'session', 's', '{}', now() - make_interval(days => n) + interval '1 minute'
        from generate_series(0, 4) as n""",
    "retracted_messages": """
        insert into retracted_messages (session_id, seq, message, author_user_id, author_app_id, created_at,
            retracted_seq, retracted_at, retracted_by_user_id, retracted_by_app_id)
        select 's', n + 1, '{}', 'ann', 'app', now(), 9, now() - make_interval(days => n) + interval '1 minute',
            'ann', 'app'
        from generate_series(0, 4) as n""",
    "streams": """
        insert into streams (stream_id, process_id, user_id, seen_at)
        select n::text, 'p', 'ann', now() - make_interval(days => n) + interval '1 minute'
        from generate_series(0, 4) as n""",
}


@pytest.mark.parametrize("table", INSERTS)
def test_old_rows_are_deleted_and_audited_once(connection: psycopg.Connection[Any], sql: Sql, table: str) -> None:
    insert_session(sql, "s")
    sql(INSERTS[table])
    assert prune(connection, table) == (3, 3)
    assert sql(f'select count(*) from {table} where not (to_jsonb({table}) @> \'{{"action": "prune"}}\')') == [(2,)]
    details = {"table": table, "older_than": "1d", "deleted_rows": 3}
    assert sql("select user_id, details from audit_log where action = 'prune'") == [("amplifier-api", details)]
    assert prune(connection, table) == (0, 0)
    assert sql("select count(*) from audit_log where action = 'prune'") == [(1,)]


def test_runs_go_with_their_approvals_unless_held_or_going_on(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "s")
    insert_session(sql, "held", tags={"legal-hold": ""})
    insert_run(sql, "s", "ann", "old", 2)
    insert_run(sql, "s", "ann", "new", 0.5)
    insert_run(sql, "s", "ann", "on", 2, "running")
    insert_run(sql, "held", "ann", "held", 2)
    for run in ("old", "new", "on", "held"):
        sql(
            "insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)"
            " values (case when %s = 'held' then 'held' else 's' end, %s, %s, '?', '{yes}', now() - interval '2 days')",
            run,
            run,
            run,
        )
    assert prune(connection, "run_approvals") == (2, 2)
    assert sql("select run_id from run_approvals order by 1") == [("held",), ("on",)]
    assert prune(connection, "runs") == (1, 1)
    assert sql("select run_id from runs order by 1") == [("held",), ("new",), ("on",)]


def test_audit_entries_of_a_held_session_stay(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "s", tags={"legal-hold": ""})
    sql(INSERTS["audit_log"])
    assert prune(connection, "audit_log") == (0, 0)


def test_rows_are_deleted_some_blocks_at_a_time(
    connection: psycopg.Connection[Any], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_BLOCKS", 1)
    sql(INSERTS["streams"].replace("4", "1000"))
    batches: list[int] = []
    assert Pruning(connection, "streams", "1d", "h").apply(batches.append) == 999
    assert len([one for one in batches if one]) > 3
    assert sql("select count(*) from streams") == [(2,)]


def test_locked_rows_stay(connection: psycopg.Connection[Any], sql: Sql, dsn: str) -> None:
    sql(INSERTS["streams"])
    with psycopg.connect(dsn) as other:
        other.execute("select from streams where stream_id = '4' for update")
        assert prune(connection, "streams") == (3, 2)


def test_other_tables_are_refused(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(OperatorError, match=f"'messages' cannot be pruned: name one of {', '.join(TABLES)}"):
        Pruning(connection, "messages", "1d", "h")
