"""The clock of one process is wrong by an hour, under load: the database's clock counts."""

import shutil
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import token
from tests.faults.application import KEY
from tests.faults.conftest import Worlds
from tests.faults.world import World

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("faketime") is None, reason="needs Debian's package faketime"),
]
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path())
HALF_AN_HOUR = 1800


@pytest.mark.parametrize(("offset", "name"), [("+1h", "ahead"), ("-1h", "behind")], ids=["ahead", "behind"])
async def test_clock_of_one_process_is_wrong(worlds: Worlds, offset: str, name: str) -> None:
    wrong = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # its default makes Python's threads wait seconds for each other
    }
    async with worlds(environ=[wrong, {}]) as world:
        async with world.load(name=f"clock {name}") as load:
            for _ in range(world.times(10, short=3)):
                await _assert_tokens_are_judged_alike(world)
                await load.recovered()
        world.verify(f"clock of one process {name} by an hour", load)


async def _assert_tokens_are_judged_alike(world: World) -> None:
    """Asserts that both processes accept a token for half an hour, and refuse one that expired half an hour ago."""
    for seconds, status in ((HALF_AN_HOUR, 200), (-HALF_AN_HOUR, 401)):
        presented = token(sub="somebody", exp=int(time.time()) + seconds)
        headers = {"X-API-Key": KEY.text, "Authorization": f"Bearer {presented}"}
        async with httpx.AsyncClient(headers=headers, verify=False) as client:
            for process in world.processes:
                assert (await client.get(f"{process.url}/configs")).status_code == status
