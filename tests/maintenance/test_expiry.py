"""The background job deletes expired rows, kind by kind and in bounded statements, and no other rows."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from amplifier.maintenance import expiry
from amplifier.maintenance.expiry import sweep
from tests.conftest import Api

Sql = Callable[..., list[Any]]
TICKETS = """
    insert into stream_tickets (ticket_hash, user_id, app_id, token_expires_at, expires_at)
    select '{0}' || n, 'alice', 'app', now(), now() + interval '{1}' from generate_series(1, {2}) as n
"""
KEYS = """
    insert into idempotency_keys (app_id, user_id, key_hash, request_hash, status, response, created_at)
    select 'app', 'alice', '{0}' || n, 'x', 200, 'x', now() - interval '1 day' + interval '{1}'
    from generate_series(1, {2}) as n
"""
LIMITS = """
    insert into rate_limits (app_id, user_id, granted, full_at)
    select 'app', '{0}' || n, 1, now() + interval '{1}' from generate_series(1, {2}) as n
"""
STREAMS = """
    insert into streams (stream_id, process_id, user_id, seen_at)
    select '{0}' || n, 'dead', 'alice', now() - interval '1 minute' + interval '{1}' from generate_series(1, {2}) as n
"""
PROCESSES = """
    insert into processes (
        process_id, name, version, queries_hash, started_at, seen_at, is_accepting, runs, streams, connections,
        connections_in_use, most_connections
    )
    select '{0}' || n, '', '', '', now(), now() - interval '1 hour' + interval '{1}', true, 0, 0, 0, 0, 0
    from generate_series(1, {2}) as n
"""
IMPORTS = """
    insert into imports (
        import_id, user_id, app_id, process_id, status, format, size, created_at, finished_at
    )
    select
        '{0}' || n, 'alice', 'app', 'p', 'done', 'auto', 1, now() - interval '30 days' + interval '{1}', now()
    from generate_series(1, {2}) as n
"""
KINDS = {
    "stream_tickets": TICKETS,
    "idempotency_keys": KEYS,
    "rate_limits": LIMITS,
    "streams": STREAMS,
    "processes": PROCESSES,
    "imports": IMPORTS,
}


def left(sql: Sql) -> dict[str, int]:
    """Returns the number of rows of each kind that `expire` inserted."""
    ours = "as t where t::text ~ 'over|kept'"
    return {table: sql(f"select count(*) from {table} {ours}")[0][0] for table in KINDS}


def expire(sql: Sql, count: int = 3) -> None:
    """Inserts `count` expired rows of each kind, and two that have not expired."""
    for insert in KINDS.values():
        sql(insert.format("over", "-1 second", count))
        sql(insert.format("kept", "20 seconds", 2))


async def test_each_expired_kind_is_deleted_and_nothing_else(api: Api, sql: Sql) -> None:
    expire(sql)
    await sweep(api.app.state.queries)
    assert left(sql) == dict.fromkeys(KINDS, 2)


async def test_many_rows_are_deleted_in_batches(api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_AT_ONCE", 10)
    expire(sql, 25)
    await sweep(api.app.state.queries)
    assert left(sql) == dict.fromkeys(KINDS, 2)


async def test_round_is_limited_and_logs_remaining_rows(
    api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(expiry, "_AT_ONCE", 5)
    monkeypatch.setattr(expiry, "_BATCHES", 2)
    expire(sql, 12)
    await sweep(api.app.state.queries)
    assert left(sql) == dict.fromkeys(KINDS, 4)
    assert "more tickets expired than are deleted in one round" in caplog.text


@pytest.mark.parametrize("table", KINDS)
async def test_error_of_one_kind_does_not_stop_the_others(
    api: Api, sql: Sql, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    expire(sql)
    sql(f"revoke delete on {table} from amplifier_app")
    await sweep(api.app.state.queries)
    assert left(sql) == {one: 5 if one == table else 2 for one in KINDS}
    assert caplog.text.count("were not deleted, trying again") == 1


async def test_locked_rows_are_left_for_the_next_round(api: Api, sql: Sql, dsn: str) -> None:
    expire(sql)
    with psycopg.connect(dsn) as connection:
        for table in KINDS:
            connection.execute(f"select from {table} where {table}::text like '%over1%' for update")
        await sweep(api.app.state.queries)
        assert left(sql) == dict.fromkeys(KINDS, 3)
    await sweep(api.app.state.queries)
    assert left(sql) == dict.fromkeys(KINDS, 2)


async def test_sweep_deletes_no_more_than_its_limit_under_any_join(api: Api, sql: Sql) -> None:
    """A nested loop runs a subquery once for each row; `skip locked` would then take other rows each time."""
    expire(sql, 12)
    queries = api.app.state.queries
    async with queries.database.transaction():
        for node in ("hashjoin", "mergejoin", "hashagg", "material", "sort", "indexscan", "bitmapscan"):
            await queries.database.execute(f"set local enable_{node} = off")
        for _, delete in expiry._kinds(queries):
            assert await delete(limit=3) == 3
    assert left(sql) == dict.fromkeys(KINDS, 11)
