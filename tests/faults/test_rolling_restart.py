"""Both processes are replaced one after the other behind a proxy, and no request fails."""

import asyncio

import pytest

from tests.faults.conftest import Worlds
from tests.faults.proxy import PROBE, Proxy, proxying
from tests.faults.world import LIMIT

pytestmark = pytest.mark.faults
DELAY = 15 * PROBE  # seconds; docs/operations.md wants more than two probes, and this machine may be busy


async def test_rolling_restart_fails_no_request(worlds: Worlds) -> None:
    async with worlds(environ=[{"SHUTDOWN_DELAY": str(DELAY)}] * 2) as world, proxying(world.targets) as proxy:
        processes, world.targets = world.processes, [proxy.url] * 2
        restarts = world.times(4, short=2)
        async with world.load(name="rolling restart", hurry=LIMIT) as load:
            for number in range(restarts):
                one = processes[number % 2]
                assert await one.terminate() == 0, one.output[-3000:]
                await one.start()
                await until_ready(proxy, one.url)
                await load.steady()
        world.verify(f"rolling restart behind a proxy, {restarts} processes replaced", load, strict=True)


async def until_ready(proxy: Proxy, url: str) -> None:
    """Waits until the proxy sends requests to the address."""
    async with asyncio.timeout(30):
        while not proxy.ready[url]:
            await asyncio.sleep(PROBE / 4)
