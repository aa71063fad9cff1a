"""The pool returns and replaces connections after closures, cancelled callers and failed statements."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from amplifier.database.pool import Database
from amplifier.errors import TooSlow, Unavailable
from tests.conftest import settings_for

SIZE = 3
TERMINATE = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'amplifier-api' and datname = current_database()
"""


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """A database with a small pool."""
    database = Database(settings_for(dsn, database_pool_max_size=SIZE, database_acquire_timeout=2), dsn)
    await database.connect()
    yield database
    assert await together(database, 10) == [1] * 10  # every place in the pool still works
    await database.close()


async def together(database: Database, callers: int, **options: Any) -> list[Any]:
    return await asyncio.gather(*(database.fetchval("select 1") for _ in range(callers)), **options)


async def test_callers_queue_for_connections(database: Database, sql: Callable[..., list[Any]]) -> None:
    assert await together(database, 100) == [1] * 100
    connected = "select count(*) from pg_stat_activity where application_name = 'amplifier-api'"
    assert sql(f"{connected} and datname = current_database()")[0][0] <= SIZE


async def test_connections_closed_while_they_wait_are_replaced(
    database: Database, sql: Callable[..., list[Any]]
) -> None:
    for _ in range(3):
        await asyncio.gather(*(database.fetchval("select pg_sleep(0.01)") for _ in range(SIZE * 2)))
        assert sql(TERMINATE)[0][0] == SIZE
        results = await together(database, 20, return_exceptions=True)
        # one statement may get a connection whose closure has not been noticed yet
        assert all(result == 1 or isinstance(result, Unavailable) for result in results)
        assert results.count(1) >= 20 - SIZE


async def test_cancelled_callers_keep_no_connection(database: Database) -> None:
    for _ in range(20):
        tasks = [asyncio.create_task(database.fetchval("select pg_sleep(0.005)")) for _ in range(SIZE * 4)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])


async def test_failed_statement_returns_its_connection(database: Database) -> None:
    for _ in range(SIZE * 3):
        with pytest.raises(asyncpg.UndefinedTableError):
            await database.fetch("select 1 from nothing")


async def test_failed_transaction_is_rolled_back(database: Database, sql: Callable[..., list[Any]]) -> None:
    insert = "insert into users (user_id) values ('someone')"

    async def fail() -> None:
        async with database.transaction():
            await database.execute(insert)
            raise ValueError("stop")

    for _ in range(SIZE * 3):
        with pytest.raises(ValueError, match="stop"):
            await fail()
    assert sql("select count(*) from users") == [(0,)]
    async with database.transaction():
        await database.execute(insert)
    assert sql("select count(*) from users") == [(1,)]


async def test_statement_before_connect_is_unavailable(dsn: str) -> None:
    with pytest.raises(Unavailable):
        await Database(settings_for(dsn), dsn).fetchval("select 1")


async def test_limited_statement_is_cancelled_on_the_server(database: Database, sql: Callable[..., list[Any]]) -> None:
    here = "from pg_stat_activity where datname = current_database()"
    backends = f"select pid {here} and application_name = 'amplifier-api' order by pid"
    running = f"select count(*) {here} and query = 'select pg_sleep(60)' and state <> 'idle'"
    await asyncio.gather(*(database.fetchval("select pg_sleep(0.01)") for _ in range(SIZE)))
    before = sql(backends)
    with database.limited(0.1), pytest.raises(TooSlow):
        await database.fetchval("select pg_sleep(60)")
    assert sql(running) == [(0,)]
    assert sql(backends) == before


async def test_limit_does_not_include_the_wait_for_a_connection(database: Database) -> None:
    busy = [asyncio.create_task(database.fetchval("select pg_sleep(0.3)")) for _ in range(SIZE)]
    await asyncio.sleep(0)
    with database.limited(0.1):
        assert await database.fetchval("select 1") == 1
    await asyncio.gather(*busy)


async def test_statement_keeps_one_plan_for_all_arguments(database: Database) -> None:
    async with database.transaction():
        for number in range(3):
            await database.fetchval("select $1::bigint", number)
        plans = "select custom_plans, generic_plans from pg_prepared_statements where statement = 'select $1::bigint'"
        assert [tuple(row) for row in await database.fetch(plans)] == [(0, 3)]
