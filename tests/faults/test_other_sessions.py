"""Other sessions in the database take its connections, lock its tables, cancel statements and end backends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults import dba
from tests.faults.conftest import Worlds
from tests.faults.history import now
from tests.faults.load import Load
from tests.faults.world import World
from tests.support.clusters import Cluster, copied

pytestmark = pytest.mark.faults

OTHERS = "other_service"  # the login of another application on the same server
MOST = 40  # connections of the server


@contextlib.asynccontextmanager
async def shared(template: Path, folder: Path, worlds: Worlds) -> AsyncIterator[tuple[Cluster, World]]:
    """Runs a world on a cluster on which others have logins, too."""
    with copied(template, folder) as cluster:
        await cluster.started(max_connections=MOST)
        cluster.run(f"create role {OTHERS} login")
        async with worlds(postgres=cluster) as world:
            yield cluster, world


async def test_others_take_all_connections(cluster_template: Path, cluster_folder: Path, worlds: Worlds) -> None:
    """Another application takes each connection that the service loses."""
    async with shared(cluster_template, cluster_folder, worlds) as (cluster, world):
        async with world.load(name="connections taken") as load:
            for _ in range(world.times(3)):
                async with dba.meanwhile(dba.taking_connections(cluster, OTHERS)):
                    for kind in ("append", "read"):
                        await dba.refused(load, kind)
                await load.recovered()
        assert "too many clients already" in cluster.log or "remaining connection slots" in cluster.log
        assert dba.hides_postgres(load)
        world.verify("max_connections taken by others", load)


async def test_dba_locks_tables_and_rows(cluster_template: Path, cluster_folder: Path, worlds: Worlds) -> None:
    """Requests that a lock does not concern are answered; those that wait are refused after the lock timeout."""
    async with shared(cluster_template, cluster_folder, worlds) as (cluster, world):
        async with world.load(name="locks") as load:
            for _ in range(world.times(3)):
                with dba.session(cluster) as session:
                    session.execute("begin")
                    session.execute("lock table sessions in access exclusive mode")
                    await dba.refused(load, "read")
                    session.execute("rollback")
                await load.recovered()
                with dba.session(cluster) as session:
                    session.execute("begin")
                    session.execute("select from sessions where owner_user_id in ('owner', 'writer-0') for update")
                    await dba.refused(load, "append")
                    await dba.reads(load)
                    await load.steady(kinds=("message",))
                    session.execute("rollback")
                await load.recovered()
                await waiting_ddl(cluster, load)
        assert dba.hides_postgres(load)
        world.verify("tables and rows locked by a DBA", load)


async def waiting_ddl(cluster: Cluster, load: Load) -> None:
    """Alters a table while a transaction that has read it stays open: everything queues after the DDL."""
    with dba.session(cluster) as reader, dba.session(cluster) as altering:
        reader.execute("begin")
        reader.execute("select count(*) from sessions")
        ddl = asyncio.to_thread(altering.execute, "alter table sessions add column note_of_a_dba text")
        waits = asyncio.create_task(ddl)
        await dba.refused(load, "read")
        since = now()
        reader.execute("rollback")
        await waits
        await load.recovered(since=since)
        await asyncio.to_thread(altering.execute, "alter table sessions drop column note_of_a_dba")
        await load.recovered()


async def test_statements_and_backends_are_ended_at_random(
    cluster_template: Path, cluster_folder: Path, worlds: Worlds
) -> None:
    async with shared(cluster_template, cluster_folder, worlds) as (cluster, world):
        async with world.load(name="statements cancelled") as load:
            for seed in range(world.times(3)):
                await load.steady()
                async with dba.meanwhile(dba.disturbing(cluster, seed)):
                    await asyncio.sleep(world.times(10, short=4))
                await load.recovered()
        assert "canceling statement due to user request" in cluster.log
        assert "terminating connection due to administrator command" in cluster.log
        assert dba.hides_postgres(load)
        world.verify("statements cancelled and backends ended at random", load)
