"""Through PgBouncer in transaction mode: which poolers and logins serve, and which are refused with what mends it."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from amplifier.database.connections import session_settings
from amplifier.database.pool import Database
from amplifier.database.pooler import PoolerError, statements
from amplifier.errors import TooSlow, Unavailable
from amplifier.schema import service_login
from amplifier.schema.service_login import LoginError
from amplifier.settings import Settings
from tests.conftest import settings_for
from tests.support import pooled
from tests.support.markdown import blocks
from tests.support.paths import ROOT
from tests.support.pooled import Server, needs_new, needs_old, needs_server

pytestmark = [pytest.mark.slow, needs_server]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A migrated server."""
    with pooled.serving() as server:
        yield server


async def refusal(settings: Settings) -> PoolerError:
    """Returns the refusal of a service's pool."""
    database = Database(settings, settings.dsn or "")
    with pytest.raises(PoolerError) as caught:
        await database.connect()
    return caught.value


@pytest.mark.parametrize(
    ("new", "options"),
    [
        pytest.param(False, {}, marks=needs_old, id="1.18"),
        pytest.param(False, {"default_pool_size": 1}, marks=needs_old, id="1.18 with one connection"),
        pytest.param(False, {"server_round_robin": 1}, marks=needs_old, id="1.18 in turn"),
        pytest.param(True, {"max_prepared_statements": 0}, marks=needs_new, id="newer, switched off"),
    ],
)
async def test_pooler_without_prepared_statements_is_refused(
    server: Server, new: bool, options: dict[str, object]
) -> None:
    with server.pooled(new, **options) as pooler:
        # connections of the server that wait for work, so that two clients may get different ones
        others = [await asyncpg.connect(server.url(port=pooler.port), statement_cache_size=0) for _ in range(2)]
        if "default_pool_size" not in options:
            async with others[0].transaction(), others[1].transaction():
                pass
        error = await refusal(server.settings(pooler))
        for other in others:
            await other.close()
    assert "keeps no prepared statements" in error.problem
    assert "PgBouncer 1.21 or newer with max_prepared_statements" in error.remedy


@needs_new
@pytest.mark.parametrize(
    "options", [{}, {"default_pool_size": 1}, {"server_round_robin": 1}, {"pool_mode": "session"}], ids=str
)
async def test_pooler_with_prepared_statements_serves(server: Server, options: dict[str, object]) -> None:
    with server.pooled(**options) as pooler:
        settings = server.settings(pooler)
        database = Database(settings, settings.dsn or "")
        await database.connect()
        try:
            assert await database.fetchval("select current_user") == "amplifier_app"
            assert bytes(await database.fetchval("select $1::jsonb", b'{"a": 1}')) == b'{"a": 1}'
        finally:
            await database.close()


@needs_new
async def test_login_without_the_settings_is_refused_with_the_statements(server: Server) -> None:
    with server.pooled() as pooler:
        error = await refusal(server.settings(pooler, "unsettled"))
        for setting in (
            "statement_timeout is 0, not 5000",
            "role is unsettled, not amplifier_app",
            "jit is on, not off",
        ):
            assert setting in error.problem
        commands = [line.rstrip(";") for line in error.remedy.splitlines() if line.startswith("alter role")]
        assert len(commands) == len(session_settings(settings_for(server.url())))
        try:
            for command in commands:
                server.run(command)
            again = await refusal(server.settings(pooler, "unsettled"))
            assert "the login unsettled has them" in again.remedy, "connections of before are still in use"
            assert "RECONNECT" in again.remedy
            pooler.stop()
            pooler.start()
            database = Database(server.settings(pooler, "unsettled"), server.url("unsettled", pooler.port))
            await database.connect()
            await database.close()
        finally:
            server.run("alter role unsettled in database chats reset all")


@needs_new
async def test_login_that_owns_the_tables_is_refused(server: Server) -> None:
    with server.pooled() as pooler:
        error = await refusal(server.settings(pooler, "owner"))
    assert "the login owner owns the tables" in error.remedy
    assert "alter role" not in error.remedy, "the statements would break its migrations"


@needs_new
async def test_lower_limits_of_the_login_serve_and_higher_ones_do_not(server: Server) -> None:
    with server.pooled() as pooler:
        assert "statement_timeout is 5000, not 4000" in str(
            await refusal(server.settings(pooler, database_statement_timeout=4.0))
        )
        settings = server.settings(pooler, database_statement_timeout=6.0)
        database = Database(settings, settings.dsn or "")
        await database.connect()
        await database.close()


@needs_new
async def test_login_that_migrates_does_not_become_that_of_the_service(server: Server) -> None:
    with pytest.raises(LoginError, match="the login owner migrates"):
        service_login.settle(server.url("owner"), "owner", settings_for(server.url()))


@needs_new
async def test_login_without_the_right_gets_the_statements(server: Server) -> None:
    with pytest.raises(LoginError, match=r'(?s)run as that login.*alter role "owner" in database "chats" set'):
        service_login.settle(server.url("unsettled"), "owner", settings_for(server.url()))


@needs_new
async def test_statements_move_between_connections_of_the_server(server: Server) -> None:
    """Forty clients share three connections. Each of their statements may run on another one."""
    with server.pooled(default_pool_size=3) as pooler:
        settings = server.settings(pooler, database_pool_max_size=40, database_acquire_timeout=10)
        database = Database(settings, settings.dsn or "")
        await database.connect()

        async def work(number: int) -> set[int]:
            backends = set()
            for _ in range(20):
                value, backend = await database.fetchrow("select $1::bigint + 1, pg_backend_pid()", number)
                assert value == number + 1
                backends.add(backend)
                async with database.transaction():
                    await database.execute("set local lock_timeout = '1234ms'")
                    inside = await database.fetchval("select pg_backend_pid()")
                    assert await database.fetchval("select current_setting('lock_timeout')") == "1234ms"
                    assert await database.fetchval("select pg_backend_pid()") == inside
                assert await database.fetchval("select current_setting('lock_timeout')") == "2s"
            return backends

        try:
            found = await asyncio.gather(*(work(number) for number in range(40)))
            assert len(set().union(*found)) == 3
        finally:
            await database.close()


@needs_new
async def test_slow_statement_is_cancelled_and_leaves_nothing(server: Server) -> None:
    with server.pooled(default_pool_size=1) as pooler:
        settings = server.settings(pooler)
        database = Database(settings, settings.dsn or "")
        await database.connect()
        try:
            for _ in range(5):
                with pytest.raises(TooSlow), database.limited(0.1):
                    await database.fetchval("select pg_sleep(20)")
                assert await database.fetchval("select current_user || pg_sleep(0)") == "amplifier_app"
            with pytest.raises(TooSlow):
                async with database.patient(0.1):
                    await database.fetchval("select pg_sleep(20)")
            assert await database.fetchval("select current_setting('statement_timeout')") == "5s"
        finally:
            await database.close()


@needs_new
async def test_statement_that_waits_for_a_connection_of_the_pooler_ends_within_its_limit(server: Server) -> None:
    with server.pooled(default_pool_size=1) as pooler:
        settings = server.settings(pooler, database_statement_timeout=5)
        database = Database(settings, settings.dsn or "")
        await database.connect()
        other = await asyncpg.connect(server.url(port=pooler.port), statement_cache_size=0)
        try:
            await database.fetchval("select 1")
            await other.execute("begin")
            for _ in range(3):
                with pytest.raises(Unavailable), database.limited(0.2):
                    await database.fetchval("select 1")
            await other.execute("rollback")
            assert await database.fetchval("select 1") == 1
        finally:
            other.terminate()
            await database.close()


def test_documented_statements_are_those_of_the_service() -> None:
    [shown] = blocks("text pooler", (ROOT / "docs/operations.md").read_text())
    wanted = session_settings(settings_for("postgresql://h/chats"))
    plain = [statement.replace('"', "") for statement in statements("amplifier_service", "chats", wanted)]
    assert shown.replace(";", "").splitlines() == plain
