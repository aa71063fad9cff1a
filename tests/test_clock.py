"""The clock of the database counts, not that of the host."""

import time

import pytest

from amplifier import clock
from amplifier.errors import Problem
from amplifier.web.jwt_verifier import Verifier
from tests.conftest import serving, settings_for, token

HOUR = 3600


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores the clock after the test."""
    monkeypatch.setattr(clock, "_ahead", clock._ahead)


@pytest.mark.parametrize(
    ("hours", "times", "problem"),
    [
        (-1, {"exp": -HOUR / 2}, None),
        (1, {"exp": HOUR / 2}, "JWT expired"),
        (1, {"exp": 2 * HOUR, "nbf": HOUR / 2}, None),
        (-1, {"exp": HOUR, "nbf": -HOUR / 2}, "Invalid JWT: The token is not yet valid (nbf)"),
    ],
)
async def test_tokens_count_by_database_clock(dsn: str, hours: int, times: dict[str, float], problem: str) -> None:
    host = time.time()
    clock.agree(host + hours * HOUR)
    presented = token(sub="alice", **{name: int(host + seconds) for name, seconds in times.items()})
    verified = Verifier(settings_for(dsn)).claims(presented)
    if problem is None:
        assert (await verified)["sub"] == "alice"
        return
    with pytest.raises(Problem) as raised:
        await verified
    assert raised.value.detail == problem


async def test_service_takes_database_clock_before_it_serves(dsn: str) -> None:
    clock.agree(time.time() + HOUR)
    async with serving(settings_for(dsn)):
        assert abs(clock.now() - time.time()) < HOUR / 2
