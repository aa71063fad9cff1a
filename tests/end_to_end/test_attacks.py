"""Attacks by one user, each of which once stopped the service, do not delay another user's requests."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SECRET, token
from tests.support.attacks import ATTACKS, Attacker
from tests.support.paths import ROOT
from tests.support.service import Service, running_service, wait_until

pytestmark = pytest.mark.slow

LONGEST = 1.0  # seconds for any request of the neighbour's
ATTACKED = 3  # times at most: a machine that others use stands still now and then, a service under attack each time
MOST_MEMORY = 400  # MB that an attack may add to the process
RUNS = 12  # agents that the process runs at once
ENVIRON = {
    "AUTH_REQUIRED": "true",
    "AUTH_MODE": "jwt_only",
    "SECRET_KEY": SECRET,
    "MAX_RUNS_PER_PROCESS": str(RUNS),
    "MAX_RUNS_PER_USER": str(RUNS // 2),
    "LOG_LEVEL": "warning",
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_attack_delays_no_other_user(
    attack: Callable[[Attacker], Awaitable[None]], alone: None, dsn: str
) -> None:
    with running_service(ENVIRON | {"DATABASE_URL": dsn}) as service:
        before = peak_memory(service)
        for _ in range(ATTACKED):
            found = await disturbed(service, attack)
            if max(one["seconds"] for one in found) < LONGEST:
                break
        assert peak_memory(service) - before < MOST_MEMORY
        assert "Traceback" not in service.output
    slow = sorted(found, key=lambda one: -one["seconds"])[:5]
    assert slow[0]["seconds"] < LONGEST, slow


async def disturbed(service: Service, attack: Callable[[Attacker], Awaitable[None]]) -> list[dict[str, Any]]:
    """Attacks, and returns the outcomes of the neighbour's requests meanwhile and after it. None of them may fail."""
    with neighbour(service) as answered:
        await attack(Attacker(service, headers("mallory")))
        during = len(answered())
        wait_until(lambda: len(answered()) > during + 12)
        found = answered()
    assert [one for one in found if one["status"] not in (200, 201)] == []
    return found


@contextlib.contextmanager
def neighbour(service: Service) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Yields a function that returns the outcomes of another user's requests so far, after a warm-up."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.neighbour", service.url],
        env={**os.environ, "CREDENTIALS": json.dumps(headers("ann"))},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    received = b""

    def answered() -> list[dict[str, Any]]:
        nonlocal received
        received += process.stdout.read() or b""  # type: ignore[union-attr]
        assert process.poll() is None, "the neighbour gave up"
        return [json.loads(line) for line in received.splitlines(keepends=True) if line.endswith(b"\n")]

    try:
        wait_until(lambda: len(answered()) >= 12)  # the warm-up: first requests are slow without an attack, too
        received = received[received.rfind(b"\n") + 1 :]
        yield answered
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def headers(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub=user_id, app_id='app', exp=2**40)}"}


def peak_memory(service: Service) -> int:
    """Returns the highest resident memory of the process so far, in MB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
