"""The file systems of PostgreSQL's data and of its WAL are full under load."""

import asyncio
from pathlib import Path

import pytest

from tests.faults import dba
from tests.faults.conftest import Worlds
from tests.support.clusters import copied
from tests.support.small_disks import disk

pytestmark = pytest.mark.faults


async def test_disk_is_full(cluster_template: Path, cluster_folder: Path, worlds: Worlds) -> None:
    """Writes are refused, reads are answered, and nobody but the operator has to do anything."""
    wal = cluster_folder / "wal"
    with (
        disk(cluster_folder / "data", 300) as small,
        disk(wal, 500),
        copied(cluster_template, cluster_folder, wal) as cluster,
    ):
        await cluster.started()
        async with worlds(postgres=cluster) as world, world.load(name="disk full") as load:
            for _ in range(world.times(3)):
                small.fill()
                await dba.refused(load, "append")
                await dba.reads(load)
                small.make_room()
                await load.recovered()
        assert "could not extend file" in cluster.log, cluster.log
        assert dba.hides_postgres(load)
        world.verify("disk of the data full", load)


async def test_disk_of_the_wal_is_full(cluster_template: Path, cluster_folder: Path, worlds: Worlds) -> None:
    """PostgreSQL panics. An operator makes room and starts it again."""
    wal = cluster_folder / "wal"
    with (
        disk(wal, 64) as small,
        disk(cluster_folder / "data", 300),  # a crash recovery writes all files of a slow disk first
        copied(cluster_template, cluster_folder, wal) as cluster,
    ):
        await cluster.started()
        async with worlds(postgres=cluster) as world, world.load(name="WAL full") as load:
            for number in range(1, 1 + world.times(3)):
                small.fill()
                await asyncio.to_thread(dba.write_wal, cluster)
                await dba.refused(load, "read")
                assert cluster.log.count("PANIC:") >= number, cluster.log
                small.make_room()
                await asyncio.to_thread(cluster.stop)
                await cluster.started()
                await load.recovered()
        assert dba.hides_postgres(load)
        world.verify("disk of the WAL full, PostgreSQL panics", load)
