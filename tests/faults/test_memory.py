"""The kernel kills a worker that has taken too much memory, under load: its parent replaces it."""

import asyncio
import os
import signal
import subprocess

import psycopg
import pytest

from tests.faults.conftest import Worlds
from tests.faults.world import LEASE
from tests.support.polling import until

pytestmark = pytest.mark.faults


async def test_worker_is_killed_for_its_memory(worlds: Worlds) -> None:
    """As the kernel does: SIGKILL to the worker alone, not to its parent."""
    async with worlds(environ=[{"SERVICE_WORKERS": "2"}, {}]) as world:
        parent = world.processes[0]
        kills = world.times(5, short=2)
        async with world.load(name="worker killed for its memory") as load:
            for _ in range(kills):
                await load.steady()
                await until(lambda: asyncio.to_thread(_all_serve, world.postgres.dsn), 60)
                killed = _workers(parent.pid)[0]
                os.kill(killed, signal.SIGKILL)
                # an agent's turn waits for the lease of the killed worker
                await load.recovered(within=LEASE + 5)
                await until(lambda killed=killed: asyncio.to_thread(_is_replaced, parent.pid, killed), 60)
        world.verify(f"out-of-memory kill of a worker, {kills} times", load)
        assert parent.process is not None
        assert parent.process.poll() is None


def _all_serve(dsn: str) -> bool:
    """Returns whether two workers and a process listen for notifications, as each does when it has started."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select 1 from pg_stat_activity where application_name = 'amplifier-api listener'")
        return len(rows.fetchall()) == 3


def _is_replaced(parent: int, killed: int) -> bool:
    return len(set(_workers(parent)) - {killed}) == 2


def _workers(parent: int) -> list[int]:
    """Returns the process ids of the workers, the oldest first."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,args=", "--ppid", str(parent)], capture_output=True, text=True, timeout=10
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return sorted(int(pid) for pid, state, args in rows if "spawn_main" in args and not state.startswith("Z"))
