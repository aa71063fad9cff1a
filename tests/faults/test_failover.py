"""The primary is killed and its streaming replica promoted, there and back, under load."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import dba
from tests.faults.conftest import Worlds
from tests.faults.load import Load
from tests.support import replicas
from tests.support.clusters import Cluster, copied

pytestmark = pytest.mark.faults


async def test_service_follows_promotions(cluster_template: Path, cluster_folder: Path, worlds: Worlds) -> None:
    """With synchronous replication nothing acknowledged is lost. A former primary is read-only first, then follows."""
    with copied(cluster_template, cluster_folder / "a") as first:
        await first.started()
        with replicas.replica(first, cluster_folder / "b") as second:
            replicas.acknowledge_after(first, second)
            address = replicas.service_dsn(first, second)
            async with worlds(postgres=first, addresses=[address, address]) as world:
                async with world.load(name="failover") as load:
                    for _ in range(world.times(2)):
                        await fail_over(load, first, second)
                        await fail_over(load, second, first)
                assert dba.hides_postgres(load)
                world.verify("primary killed, replica promoted", load)


async def fail_over(load: Load, primary: Cluster, standby: Cluster) -> None:
    """Kills the primary, promotes the standby, and lets the former primary come back in both ways."""
    await load.steady()
    await asyncio.to_thread(replicas.hold_back, primary)
    await asyncio.sleep(1)  # what the primary acknowledges now, the standby will not have
    primary.kill()
    await dba.refused(load, "append")
    await asyncio.to_thread(replicas.promote, standby)
    await load.recovered()
    # clients must not choose it: it would refuse their writes, and answer reads from a past
    await primary.started(default_transaction_read_only="on")
    await asyncio.to_thread(standby.run, f"select pg_terminate_backend(pid) from pg_stat_activity where {dba.SERVICE}")
    await load.recovered()
    await dba.left(primary)
    await asyncio.to_thread(primary.stop)
    await asyncio.to_thread(replicas.rewind, primary, standby)
    await primary.started()
    await asyncio.to_thread(replicas.acknowledge_after, standby, primary)
    await load.steady()
