"""PostgreSQL is killed and suspended under load."""

import asyncio

import pytest

from tests.faults.world import LIMIT, World

pytestmark = pytest.mark.faults
PAUSE = LIMIT + 2  # seconds; without limits of their own, answers would be late


async def test_postgres_is_killed_repeatedly(world: World) -> None:
    kills = world.times(10, short=3)
    async with world.load(name="PostgreSQL killed") as load:
        for _ in range(kills):
            await load.steady()
            await asyncio.to_thread(world.postgres.kill)
            await world.postgres.started()
            await load.recovered()
    world.verify(f"PostgreSQL killed and restarted {kills} times", load)


async def test_postgres_is_suspended(world: World) -> None:
    async with world.load(name="PostgreSQL suspended") as load:
        for _ in range(world.times(3)):
            await load.steady()
            with world.postgres.frozen():
                await asyncio.sleep(PAUSE)
            await load.recovered()
    world.verify(f"PostgreSQL suspended for {PAUSE:.0f} s", load)
