"""Connections whose other end vanished without closing them: found long before a statement's limit, and replaced."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from amplifier.database import listener, silence
from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from tests.conftest import settings_for
from tests.support import wire
from tests.support.polling import until

Sql = Callable[..., list[Any]]
SIZE = 3
LIMITS = {"database_statement_timeout": 30, "database_acquire_timeout": 20, "database_pool_max_size": SIZE}
PATIENCE = 20  # seconds; less than a statement may take


@pytest.fixture
def line(dsn: str) -> Iterator[wire.Line]:
    with wire.between(dsn) as line:
        yield line


@pytest.fixture
async def database(line: wire.Line) -> AsyncIterator[Database]:
    """A watched database with all of its connections open, behind the wire."""
    database = Database(settings_for(line.dsn, **LIMITS), line.dsn)
    await database.connect()
    watching = asyncio.create_task(silence.Watch(database).keep_watching())
    await together(database, "pg_sleep(0.05)")
    async with asyncio.timeout(PATIENCE):
        yield database
    watching.cancel()
    await database.close()


async def together(database: Database, expression: str) -> list[Any]:
    statements = (database.fetchval(f"select {expression}") for _ in range(SIZE))
    return await asyncio.gather(*statements, return_exceptions=True)


async def test_half_open_connections_are_replaced(database: Database, line: wire.Line) -> None:
    opened = line.opened
    line.half_open()
    with pytest.raises(Unavailable):
        await database.fetchval("select 1")
    assert await together(database, "1") == [1] * SIZE, "idle connections were replaced, too"
    assert line.opened > opened


async def test_half_open_connections_in_use_are_replaced(database: Database, line: wire.Line) -> None:
    waiting = asyncio.create_task(together(database, "pg_sleep(1)"))
    await until(lambda: asyncio.sleep(0, len(database.in_use) == SIZE))
    line.half_open()
    assert [type(error) for error in await waiting] == [Unavailable] * SIZE
    assert await together(database, "1") == [1] * SIZE


async def test_statements_lost_between_parsing_and_execution_end(database: Database, line: wire.Line, sql: Sql) -> None:
    """The server calls a session active that has parsed a statement and waits for its execution."""
    parsed = "datname = current_database() and state = 'active' and wait_event = 'ClientRead'"
    line.hold("to_client")
    waiting = asyncio.create_task(together(database, "2"))
    await until(lambda: asyncio.to_thread(sql, f"select 1 from pg_stat_activity where {parsed}"))
    line.half_open()
    line.heal()
    assert {type(error) for error in await waiting} == {Unavailable}


async def test_locks_of_lost_transaction_are_released(database: Database, line: wire.Line, sql: Sql) -> None:
    async def lose() -> None:
        async with database.transaction():
            await database.execute("set local idle_in_transaction_session_timeout = 0")
            await database.execute("select pg_advisory_xact_lock(1)")
            line.half_open()
            await database.fetchval("select 1")

    with pytest.raises(Unavailable):
        await lose()
    sql("set lock_timeout = '15s'")
    await asyncio.to_thread(sql, "select pg_advisory_lock(1)")


async def test_slow_statement_is_left_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    bare = database.bare

    async def counted(seconds: float) -> Any:
        asked.append(time.monotonic())
        return await bare(10)

    monkeypatch.setattr(silence, "_SILENT", 0.1)
    monkeypatch.setattr(silence, "_LOOK", 0.05)
    monkeypatch.setattr(database, "bare", counted)
    async with database.transaction():
        assert await database.fetchval("select 1 from pg_sleep(2)") == 1
    assert asked


async def test_patient_transaction_may_pause(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_SILENT", 0.1)
    monkeypatch.setattr(silence, "_LOOK", 0.05)
    async with database.patient(10):
        assert not database.in_use
        assert await database.fetchval("select 1") == 1


async def test_kernel_limits_are_set_on_all_connections(database: Database) -> None:
    heard = await database.dedicated()
    async with database.connection() as pooled:
        for connection in (heard, pooled):
            end = connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == silence._UNACKNOWLEDGED
    heard.terminate()


class Audience:
    def __init__(self) -> None:
        self.states: list[bool] = []

    def hear(self, payload: str) -> None: ...

    def set_hearing(self, hearing: bool) -> None:
        self.states.append(hearing)


async def test_half_open_listening_connection_is_replaced(
    database: Database, line: wire.Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_HEARTBEAT", 0.1)
    audience = Audience()
    listening = asyncio.create_task(listener.Listener(database, [audience]).keep_listening())
    await until(lambda: asyncio.sleep(0, audience.states == [True]))
    line.half_open()
    with pytest.raises(Unavailable):
        await database.fetchval("select 1")  # so that all others are replaced, too
    await until(lambda: asyncio.sleep(0, audience.states[:3] == [True, False, True]), PATIENCE)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening
