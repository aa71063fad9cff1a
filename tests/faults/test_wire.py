"""The network between the service and PostgreSQL loses, delays and swallows what is sent, under load."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.faults.conftest import Servers, Worlds
from tests.faults.world import World
from tests.support import wire
from tests.support.wire import Line

pytestmark = pytest.mark.faults
_Wired = tuple[World, Line]


@pytest.fixture
async def wired(servers: Servers, worlds: Worlds) -> AsyncIterator[_Wired]:
    """A world in which the first process reaches PostgreSQL through the wire, and the second one directly."""
    async with servers() as postgres:
        with wire.between(postgres.service_dsn) as line:
            async with worlds(postgres=postgres, addresses=[line.dsn, postgres.service_dsn]) as world:
                yield world, line


async def test_connections_are_cut(wired: _Wired) -> None:
    world, line = wired
    cuts = world.times(10, short=3)
    async with world.load(name="connections cut") as load:
        for _ in range(cuts):
            await load.steady()
            assert line.connections
            line.cut()
            await load.recovered()
    world.verify(f"all connections to PostgreSQL cut {cuts} times", load)


async def test_connections_are_half_open(wired: _Wired) -> None:
    world, line = wired
    async with world.load(name="connections half-open") as load:
        for _ in range(world.times(5)):
            await load.steady()
            opened = line.opened
            line.half_open()
            await load.recovered()
            assert line.opened > opened
    world.verify("all connections to PostgreSQL half-open", load)


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("each direction delayed by 200 ms", lambda line: line.delay(0.2)),
        ("each direction throttled to 64 kB/s", lambda line: line.throttle(64_000)),
        ("requests to PostgreSQL black-holed", lambda line: line.hold("to_server")),
        ("answers of PostgreSQL black-holed", lambda line: line.hold("to_client")),
    ],
    ids=["delayed", "throttled", "requests-lost", "answers-lost"],
)
async def test_wire_is_bad_for_a_while(wired: _Wired, name: str, begin: Callable[[Line], None]) -> None:
    world, line = wired
    async with world.load(name=name) as load:
        for _ in range(world.times(2)):
            await load.steady()
            begin(line)
            await asyncio.sleep(world.times(10, short=5))  # the length of the fault
            line.heal()
            await load.recovered()
    world.verify(name, load)
