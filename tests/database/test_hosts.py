"""Several hosts in the address of the database: pool, listener and commands use the one that takes writes."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psycopg
import pytest

from amplifier import libpq
from amplifier.database import hosts
from amplifier.database.connections import LISTENER
from amplifier.database.listener import Listener
from amplifier.database.pool import Database
from amplifier.errors import TooSlow, Unavailable
from amplifier.postgres_urls import Host, hosts_of
from amplifier.settings import SERVICE_LOGIN
from tests.conftest import Api, private_folder, serving, settings_for
from tests.support.clusters import Cluster, copied, make_template
from tests.support.polling import gives, until
from tests.support.replicas import promote, replica, service_dsn

slow = pytest.mark.slow  # starts two servers
LISTENING = f"select 1 from pg_stat_activity where application_name = '{LISTENER}' and query ilike 'listen%'"
WITHIN = 5.0  # seconds after a promotion in which pool and listener must have followed


class Servers(NamedTuple):
    """A primary and its standby."""

    primary: Cluster
    standby: Cluster

    @property
    def dsn(self) -> str:
        """The address of both for the login of the service, the primary first."""
        return service_dsn(self.primary, self.standby)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """The data of a migrated cluster."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield make_template(folder / "template")


@pytest.fixture
def servers(template: Path) -> Iterator[Servers]:
    """A primary and its standby, both running."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with copied(template, folder / "one") as primary:
            primary.start(fsync="off")
            with replica(primary, folder / "two", fsync="off") as standby:
                yield Servers(primary, standby)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    hosts._known.clear()
    yield
    hosts._known.clear()


@pytest.fixture
async def api(servers: Servers) -> AsyncIterator[Api]:
    """The service with both hosts."""
    async with serving(settings_for(servers.dsn)) as api:
        yield api


async def port_of(database: Database) -> int:
    return int(await database.fetchval("select current_setting('port')::int"))


@contextlib.contextmanager
def silence() -> Iterator[int]:
    """Yields a port that accepts connections and never answers, as a host does that is cut off or frozen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def follows(api: Api, since: float) -> None:
    """Waits until the service writes and listens again. Fails if that is later than the limit."""
    alice = await api.as_user("alice")

    async def works() -> bool:
        listens = api.app.state.listener.is_connected
        made = await alice.post("/configs", json={"name": "after", "config_data": {"bundle": {"name": "after"}}})
        return listens and made.status_code == 201

    await until(works)
    assert time.monotonic() - since < WITHIN


@slow
async def test_standby_first_is_passed_over(servers: Servers) -> None:
    dsn = service_dsn(servers.standby, servers.primary)
    settings = settings_for(dsn)
    database = Database(settings, settings.dsn or "")
    await database.connect()
    try:
        assert await port_of(database) == servers.primary.port
        listening = await database.dedicated()
        assert await listening.fetchval("select pg_is_in_recovery()") is False
        await listening.close()
        with libpq.connect(settings.dsn or "") as connection:
            assert connection.info.port == servers.primary.port
        with psycopg.connect(**libpq.parameters(settings.dsn or "")) as connection:
            assert connection.info.port == servers.primary.port
    finally:
        await database.close()


@slow
async def test_silent_host_delays_connections_little(servers: Servers) -> None:
    """The wait for a free connection is shorter than that for a connection, so one host must not take all of it."""
    with silence() as port:
        dsn = f"postgresql://{SERVICE_LOGIN}@127.0.0.1:{port},127.0.0.1:{servers.primary.port}/postgres?sslmode=disable"
        settings = settings_for(dsn, database_pool_min_size=0, database_acquire_timeout=3)
        database = Database(settings, settings.dsn or "")
        await database.connect()
        try:
            assert await port_of(database) == servers.primary.port
            assert hosts._known[settings.dsn or ""]._present.port == servers.primary.port
        finally:
            await database.close()


@slow
async def test_killed_primary_is_left_for_promoted_standby(api: Api, servers: Servers) -> None:
    alice = await api.as_user("alice")
    await until(lambda: gives(alice, 200))
    servers.primary.kill()
    assert (await alice.get("/configs")).status_code == 503
    promote(servers.standby)
    await follows(api, time.monotonic())


@slow
async def test_frozen_primary_is_left_for_promoted_standby(api: Api, servers: Servers) -> None:
    """Its connections stay open and never answer."""
    alice = await api.as_user("alice")
    await until(lambda: gives(alice, 200))
    with servers.primary.frozen():
        promote(servers.standby)
        await follows(api, time.monotonic())
        assert await port_of(api.app.state.queries.database) == servers.standby.port
    for _ in range(8):  # more than the pool has connections
        assert await port_of(api.app.state.queries.database) == servers.standby.port


@slow
async def test_primary_that_becomes_read_only_is_left(servers: Servers) -> None:
    """It answers all reads, so that only its own report shows that it takes writes no more."""
    settings = settings_for(servers.dsn)
    database = Database(settings, settings.dsn or "")
    await database.connect()
    listener = Listener(database, [])
    listening = asyncio.create_task(listener.keep_listening())
    try:
        await until(lambda: _true(listener.is_connected))
        assert await port_of(database) == servers.primary.port
        promote(servers.standby)
        servers.primary.run("alter system set default_transaction_read_only = on")
        servers.primary.run("select pg_reload_conf()")
        await until(lambda: _true(bool(servers.standby.run(LISTENING))), WITHIN)
        assert await port_of(database) == servers.standby.port
    finally:
        listening.cancel()
        await database.close()


@slow
async def test_connections_to_former_host_are_ended(servers: Servers) -> None:
    """Also those in use, whose statements would wait for a dead server until their own limit."""
    database = Database(settings_for(servers.dsn), f"{servers.dsn}&target_session_attrs=read-write")
    await database.connect()
    try:
        waiting = asyncio.create_task(database.execute("select pg_sleep(60)"))
        await until(lambda: _true(database.figures.in_use == 1))
        with servers.primary.frozen():
            promote(servers.standby)
            listening = await database.dedicated()
            with pytest.raises(Unavailable) as failure:
                await waiting
            assert not isinstance(failure.value, TooSlow), "it waited for its own limit"
            assert await port_of(database) == servers.standby.port
            listening.terminate()
    finally:
        await database.close()


async def _true(condition: bool) -> bool:
    return condition


async def test_late_connection_to_former_host_is_refused() -> None:
    """It was opened before the move, and would move everything back."""
    found = hosts.Hosts([Host("a", 1), Host("b", 2)], are_for_writes=True)
    opened, ended = asyncio.Event(), []

    class Connection:
        """A connection that notes its end."""

        def terminate(self) -> None:
            ended.append(self)

    async def slow(host: Host | None) -> asyncpg.Connection:  # type: ignore[type-arg]
        if host == Host("b", 2):
            raise OSError("away")
        await opened.wait()
        return Connection()  # type: ignore[return-value]

    late = asyncio.create_task(found.connect(slow))
    await asyncio.sleep(0)

    async def at_b(host: Host | None) -> asyncpg.Connection:  # type: ignore[type-arg]
        if host == Host("a", 1):
            raise OSError("away")
        return Connection()  # type: ignore[return-value]

    kept = await found.connect(at_b)
    opened.set()
    with pytest.raises(ConnectionError, match="moved"):
        await late
    assert len(ended) == 1
    assert kept not in ended


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("postgresql://a:1,b:2/d", [("a", 1), ("b", 2)]),
        ("postgresql://a,b/d", [("a", 5432), ("b", 5432)]),
        ("postgresql://a:1,b/d", [("a", 1), ("b", 5432)]),
        ("postgresql:///d?host=/run/one,/run/two&port=6000", [("/run/one", 6000), ("/run/two", 6000)]),
        ("postgresql:///d", []),
    ],
)
def test_hosts_of_url(given: str, found: list[tuple[str, int]]) -> None:
    assert hosts_of(given) == found
