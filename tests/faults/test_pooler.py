"""PgBouncer between service and server is restarted, and its connections to the server are ended, under load.

Both processes share three connections to the server.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from amplifier.schema import service_login
from amplifier.settings import SERVICE_LOGIN
from tests.conftest import private_folder, settings_for
from tests.faults.conftest import Servers, Worlds
from tests.faults.world import World
from tests.support import pgbouncer
from tests.support.clusters import Cluster
from tests.support.pooled import needs_new

pytestmark = [pytest.mark.faults, needs_new]
SHARED = 3  # connections of the pooler to the server
TERMINATE = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where usename = %s and application_name <> 'amplifier-api listener'
"""
CONNECTIONS = "select count(*) from pg_stat_activity where usename = %s and application_name = 'amplifier-api'"

Behind = Callable[[], AbstractAsyncContextManager[tuple[World, pgbouncer.Pooler, Cluster]]]


@pytest.fixture
def behind(servers: Servers, worlds: Worlds) -> Behind:
    """Returns a context manager of two processes behind a pooler, the pooler, and the server."""

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[tuple[World, pgbouncer.Pooler, Cluster]]:
        async with servers() as cluster:
            with private_folder() as folder:
                folder.chmod(0o755)
                service_login.settle(cluster.dsn, SERVICE_LOGIN, settings_for(cluster.dsn))
                options: dict[str, Any] = {"default_pool_size": SHARED, "users": SERVICE_LOGIN}
                with pgbouncer.running(folder, cluster.port, new=True, **options) as pooler:
                    environ = {"DATABASE_POOLER": "transaction", "DATABASE_LISTEN_URL": cluster.service_dsn}
                    address = cluster.service_dsn.replace(f":{cluster.port}", f":{pooler.port}")
                    async with worlds(cluster, addresses=[address] * 2, environ=[environ] * 2) as world:
                        yield world, pooler, cluster

    return running


async def test_pooler_is_restarted(behind: Behind) -> None:
    async with behind() as (world, pooler, cluster):
        async with world.load(name="PgBouncer restarted") as load:
            for _ in range(world.times(5, short=2)):
                await load.steady()
                [(connections,)] = cluster.run(CONNECTIONS, SERVICE_LOGIN)
                assert connections <= SHARED
                await asyncio.to_thread(pooler.stop)
                await asyncio.to_thread(pooler.start)
                await load.recovered()
        world.verify("PgBouncer restarted", load)


async def test_connections_of_the_pooler_are_ended(behind: Behind) -> None:
    async with behind() as (world, _, cluster):
        async with world.load(name="connections of PgBouncer ended") as load:
            for _ in range(world.times(20, short=5)):
                await load.steady()
                [(ended,)] = cluster.run(TERMINATE, SERVICE_LOGIN)
                assert ended > 0
                await load.recovered()
        world.verify("connections of PgBouncer to the server ended", load)
