"""Changes of the overlay for Citus that lock no rows before: of two that choose the same row, one changes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.pool import Database
from amplifier.queries.query import Query
from tests.conftest import settings_for
from tests.queries.test_registry import load
from tests.support.live import until

Sql = Callable[..., list[Any]]
ROWS = f"""
insert into sessions (session_id, owner_user_id, created_by_app_id) values ('one', 'alice', 'app');

insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at)
values ('one', 'run', 'running', '{{}}', 'alice', 'app', now(), 'dead', now() - interval '1 minute');

insert into attachments (session_id, sha256, size, content_type, created_by_user_id, created_by_app_id, checked_at)
values ('one', '{"a" * 64}', 1, 'text/plain', 'alice', 'app', now() - interval '1 day');
"""
WAITS = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
CALLS: dict[str, dict[str, Any]] = {
    "runs.reap": {"process_id": "alive", "seconds": 60.0, "limit": 10},
    "attachment_expiry.claim": {"before": None, "limit": 10},
}


@pytest.fixture
async def database(dsn: str, sql: Sql) -> AsyncIterator[Database]:
    """A connected database with a run whose lease has ended, and an attachment that was not checked for a day."""
    sql(ROWS)
    database = Database(settings_for(dsn), dsn)
    await database.connect()
    yield database
    await database.close()


async def call(connection: Any, query: Query, given: dict[str, Any]) -> list[Any]:
    """Runs a query on a connection."""
    return list(await connection.fetch(query.statement, *(given[name] for name in query.parameters)))


@pytest.mark.parametrize("name", list(CALLS))
async def test_second_change_finds_row_taken(database: Database, folder: Path, sql: Sql, name: str) -> None:
    query = load(folder).overlay[name]
    given = CALLS[name] | {"before": datetime.now(UTC)}
    async with database.connection() as first, database.connection() as second:
        transaction = first.transaction()
        await transaction.start()
        assert len(await call(first, query, given)) == 1
        waiting = asyncio.create_task(call(second, query, given))
        await until(lambda: bool(sql(WAITS)))
        await transaction.commit()
        assert await waiting == []


async def test_lease_is_not_renewed_after_run_was_taken_over(database: Database, folder: Path, sql: Sql) -> None:
    query = load(folder).overlay["runs.renew"]
    given = {"process_id": "dead", "session_ids": ["one"], "run_ids": ["run"], "seconds": 60.0}
    async with database.connection() as first, database.connection() as second:
        transaction = first.transaction()
        await transaction.start()
        await first.execute("update runs set process_id = 'alive'")
        waiting = asyncio.create_task(call(second, query, given))
        await until(lambda: bool(sql(WAITS)))
        await transaction.commit()
        assert await waiting == []
    assert sql("select process_id from runs") == [("alive",)]
