"""Through PgBouncer in transaction mode: which poolers and logins serve, and which are refused with what mends it."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import psycopg
import pytest

from amplifier.database.connections import session_settings
from amplifier.database.pool import Database
from amplifier.database.pooler import PoolerError, statements
from amplifier.errors import TooSlow
from amplifier.postgres import embedded
from amplifier.schema import migrate, service_login
from amplifier.schema.service_login import LoginError
from amplifier.settings import Settings
from tests.conftest import private_folder, settings_for
from tests.support import pgbouncer
from tests.support.markdown import blocks
from tests.support.paths import ROOT
from tests.support.tls_servers import INSTALLS, Authority, initialise, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL below /usr/lib/postgresql"),
]
needs_old = pytest.mark.skipif(not pgbouncer.has_old(), reason="no PgBouncer older than 1.21 is installed")
needs_new = pytest.mark.skipif(
    not pgbouncer.has_new(), reason="no PgBouncer of 1.21 or newer: name an image in TEST_PGBOUNCER_IMAGE"
)
LOGINS = ("api", "unsettled", "owner", embedded.ROLE)


class Server(NamedTuple):
    """A server with a migrated database `chats` of the login `owner`, and its folder."""

    port: int
    folder: Path

    def url(self, login: str = "api", port: int | None = None) -> str:
        return f"postgresql://{login}@127.0.0.1:{port or self.port}/chats"

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url(embedded.ROLE), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def settings(self, pooler: pgbouncer.Pooler, login: str = "api", **changes: Any) -> Settings:
        """Returns settings for a service behind a pooler."""
        behind = {"database_pooler": "transaction", "database_listen_url": self.url(login)}
        return settings_for(self.url(login, pooler.port), **behind | changes)

    @contextlib.contextmanager
    def pooled(self, new: bool = True, **options: object) -> Iterator[pgbouncer.Pooler]:
        """Runs a pooler before the server."""
        with private_folder() as folder:
            folder.chmod(0o755)
            with pgbouncer.running(folder, self.port, new, users=" ".join(LOGINS), **options) as pooler:
                yield pooler


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose logins need no password. `api` has the settings of the service, `unsettled` has not."""
    with private_folder() as folder:
        folder.chmod(0o755)
        data = initialise(folder, INSTALLS[-1].parent.parent)
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all 127.0.0.1/32 trust\n")
        Authority("any").issue(data, "localhost")
        with running(INSTALLS[-1].parent.parent, data, ssl=False) as port:
            server = Server(port, folder)
            with psycopg.connect(server.url(embedded.ROLE).replace("/chats", "/postgres"), autocommit=True) as admin:
                admin.execute("create role owner login createrole")
                admin.execute("grant amplifier_app to owner with admin option")
                admin.execute("create role amplifier_readonly")
                admin.execute("create database chats owner owner")
            migrate.migrate(server.url("owner"))
            for login in ("api", "unsettled"):
                service_login.ensure(server.url("owner"), login)
            service_login.settle(server.url("owner"), "api", settings_for(server.url()))
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
            server.run(*commands)
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


def test_documented_statements_are_those_of_the_service() -> None:
    [shown] = blocks("sql pooler", (ROOT / "docs/operations.md").read_text())
    wanted = session_settings(settings_for("postgresql://h/chats"))
    plain = [statement.replace('"', "") for statement in statements("amplifier_service", "chats", wanted)]
    assert shown.replace(";", "").splitlines() == plain
