"""A process of the service is killed, suspended beyond its leases, and replaced, under load."""

import asyncio

import pytest

from tests.faults.processes import Process
from tests.faults.world import LEASE, World

pytestmark = pytest.mark.faults
SLOW = {"module": "provider-echo", "config": {"delay": 0.1}}  # so that turns are under way when a process stops
GOING = "select run_id from runs join processes using (process_id) where status = 'running' and name like %s"
INTERRUPTED = "select count(*) from runs where run_id = any(%s) and error ->> 'type' = 'interrupted'"


async def test_process_is_killed_repeatedly(world: World) -> None:
    """Clients go on with the other process at once, and agents when the leases of the killed one have ended."""
    kills = world.times(6, short=2)
    async with world.load(name="process killed", provider=SLOW) as load:
        for number in range(kills):
            await load.steady()
            killed, other = number % 2, 1 - number % 2
            await world.processes[killed].kill()
            await load.recovered(processes=[other], within=LEASE + 5)
            await world.processes[killed].start()
            await load.recovered()
    world.verify(f"process killed {kills} times", load)


async def test_process_is_suspended_beyond_its_leases(world: World) -> None:
    """The other process ends its runs. The suspended one, which still executes them, writes nothing more for them."""
    pause, taken = 2 * LEASE + 1, 0
    async with world.load(name="process suspended", agents=4, provider=SLOW) as load:
        for number in range(world.times(4, short=2)):
            await load.steady()
            one = world.processes[number % 2]
            runs = await paused_amid_runs(world, one)
            await asyncio.sleep(pause)
            await load.steady(processes=[1 - number % 2])
            one.resume()
            await load.recovered()
            taken += (await asyncio.to_thread(world.postgres.run, INTERRUPTED, runs))[0][0]
    world.verify(f"process suspended for {pause} s, beyond its leases", load)
    assert taken, "the other process took no run over"


async def paused_amid_runs(world: World, one: Process) -> list[str]:
    """Suspends the process when it executes a run. Returns the ids of its runs."""
    async with asyncio.timeout(30):
        while True:
            while not await asyncio.to_thread(world.postgres.run, GOING, f"%:{one.pid}"):
                await asyncio.sleep(0.01)
            one.pause()
            if runs := await asyncio.to_thread(world.postgres.run, GOING, f"%:{one.pid}"):
                return [run for (run,) in runs]
            one.resume()  # it had just ended
