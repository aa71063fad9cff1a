"""PostgreSQL is killed and suspended under load."""

import asyncio

import pytest

from tests.faults.world import World

pytestmark = pytest.mark.faults


async def test_postgres_is_killed_repeatedly(world: World) -> None:
    kills = world.times(10, short=3)
    async with world.load(name="PostgreSQL killed") as load:
        for _ in range(kills):
            await load.steady()
            world.postgres.kill()
            await world.postgres.start()
            await load.recovered()
    world.verify(f"PostgreSQL killed and restarted {kills} times", load)


async def test_postgres_is_suspended(world: World) -> None:
    async with world.load(name="PostgreSQL suspended") as load:
        for _ in range(world.times(3)):
            await load.steady()
            world.postgres.pause()
            await asyncio.sleep(10)
            world.postgres.resume()
            await load.recovered()
    world.verify("PostgreSQL suspended for 10 s", load)
