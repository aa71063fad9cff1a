"""The world of a fault test: a PostgreSQL server, processes of the service, a load on them, and its verification."""

import contextlib
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import SECRET
from tests.faults import checker, report, stored
from tests.faults.checker import Rules
from tests.faults.load import ECHO, Load, loading
from tests.faults.processes import Process
from tests.support.clusters import Cluster
from tests.support.paths import ROOT

FOLDER = ROOT / "build/faults"
IS_SHORT = os.environ.get("FAULTS") == "short"
LEASE = 3  # seconds of RUN_LEASE
# seconds for an answer: the default limits of the waits for a connection, a place in the pool and a statement, and 1
LIMIT = 3.0 + 1.0 + 5.0 + 1.0
HURRY = 3.0  # seconds after which clients ask another process
LIMITS = {"": LIMIT, "message": LIMIT + 2 * LEASE + 5}  # an agent's turn may wait for the lease of a process that died
_NO_LETTERS = re.compile("[^a-z0-9]+")


class World:
    """A server, processes, and `targets`, the addresses that clients call, by default those of the processes."""

    def __init__(self, postgres: Cluster, processes: Sequence[Process], targets: Sequence[str] = ()) -> None:
        self.postgres = postgres
        self.processes = processes
        self.targets = list(targets) or [one.url for one in processes]
        self.limits: Mapping[str, float] = LIMITS

    def times(self, long: int, short: int = 1) -> int:
        """Returns how often to repeat: `short` with FAULTS=short."""
        return short if IS_SHORT else long

    @contextlib.asynccontextmanager
    async def load(
        self,
        writers: int = 4,
        agents: int = 2,
        provider: Mapping[str, Any] = ECHO,
        name: str = "load",
        hurry: float = HURRY,
    ) -> AsyncIterator[Load]:
        """Runs a load during the context, which begins when all clients have succeeded.

        Clients repeat what is not answered within `hurry` seconds.
        """
        load = Load(self.targets, FOLDER / f"{_slug(name)}.jsonl", self.postgres.dsn, self.limits, hurry)
        await load.prepare(writers, agents, provider)
        async with loading(load):
            yield load

    def verify(self, name: str, load: Load, strict: bool = False, dsn: str | None = None) -> None:
        """Checks the history against what the server of `dsn` holds, and writes a row of the report.

        Fails on violations. `strict` forbids refused and lost calls.
        """
        suspended = {number: one.suspended for number, one in enumerate(self.processes)}
        held = stored.read(dsn or self.postgres.dsn)
        violations = checker.check(load.history.records, held, Rules(self.limits, suspended, strict))
        crashes = [one.output for one in self.processes if "Traceback" in one.output]
        report.write(FOLDER, _slug(name), report.row(name, load, held, violations, suspended))
        assert not violations, f"{len(violations)} violations:\n" + "\n".join(map(str, violations[:10]))
        assert not crashes, crashes[0][-5000:]


def environ_of(address: str, changes: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings of a process on the database with this address."""
    return {
        "DATABASE_URL": address,
        "AUTH_REQUIRED": "true",
        "SECRET_KEY": SECRET,
        "RUN_LEASE": str(LEASE),
        "RUNTIME_MODULES": "context-simple,loop-basic,loop-streaming,provider-echo",
        "LOG_LEVEL": "warning",
        "ACCESS_LOG": "false",
        **changes,
    }


@contextlib.asynccontextmanager
async def opened(
    postgres: Cluster,
    folder: Path,
    addresses: Sequence[str] = (),
    environ: Sequence[Mapping[str, str]] = ({}, {}),
    commands: Sequence[Sequence[str]] = ((), ()),
    targets: Sequence[str] = (),
) -> AsyncIterator[World]:
    """Starts a process for each of `environ`, its settings, on a server that runs, and yields the world.

    `addresses` are those of the database for each process, by default the server's; `commands` are put before theirs.
    """
    found = list(addresses) or [postgres.service_dsn] * len(environ)
    processes = [
        Process(environ_of(found[number], changes), folder / f"process-{number}.log", commands[number])
        for number, changes in enumerate(environ)
    ]
    try:
        for one in processes:
            one.launch()
        for one in processes:
            await one.ready()
        yield World(postgres, processes, targets)
    finally:
        for one in processes:
            one.ask_to_end()
        for one in processes:
            one.end()


def _slug(name: str) -> str:
    return _NO_LETTERS.sub("-", name.lower()).strip("-")
