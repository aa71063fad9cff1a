"""A process of the service is killed, suspended beyond its leases, and replaced, under load."""

import asyncio

import pytest

from tests.faults.world import LEASE, World

pytestmark = pytest.mark.faults


async def test_process_is_killed_repeatedly(world: World) -> None:
    """Clients go on with the other process at once, and agents when the leases of the killed one have ended."""
    kills = world.times(6, short=2)
    async with world.load(name="process killed") as load:
        for number in range(kills):
            await load.steady()
            killed, other = number % 2, 1 - number % 2
            await world.processes[killed].kill()
            await load.recovered(processes=[other], within=LEASE + 5)
            await world.processes[killed].start()
            await load.recovered()
    world.verify(f"process killed {kills} times", load)


async def test_process_is_suspended_beyond_its_leases(world: World) -> None:
    """The other process takes its runs over. Its transactions end, and it writes nothing more for those runs."""
    async with world.load(name="process suspended") as load:
        for number in range(world.times(4, short=2)):
            await load.steady()
            one = world.processes[number % 2]
            one.pause()
            await asyncio.sleep(2 * LEASE + 1)
            await load.steady(processes=[1 - number % 2])
            one.resume()
            await load.recovered()
    world.verify(f"process suspended for {2 * LEASE + 1} s, beyond its leases", load)
