"""The costs of a deployment, as the sizing measures them: CPU time of the service and of the database, memory, bytes.

CPU time, and not the rate, is what is measured: the load, the service and the database share the machine's cores.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks import requests

ROUNDS, SECONDS, CONNECTIONS = 2, 2, 8
_TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """CPU time of one operation in milliseconds, and the bytes of log (WAL) that it writes."""

    service: float
    database: float
    wal: float = 0

    def without(self, other: "Cost", times: float = 1) -> "Cost":
        """Returns what is left after another operation that happened `times` times meanwhile."""
        pairs = zip(self, other, strict=True)
        return Cost(*(max(0.0, ours - times * theirs) for ours, theirs in pairs))


class Meter:
    """Reads the CPU time of a service and of its database server, and the position of the server's log."""

    def __init__(self, home: Path, port: int, dsn: str) -> None:
        self._postmaster = int((home / "data/postmaster.pid").read_text().split()[0])
        self._service = requests._processes[port]
        self._dsn = dsn

    def cost(self, load: Callable[[], float]) -> Cost:
        """Returns the cost of one of the operations that the load makes. It returns their number."""
        before, wal = self._seconds(), self._wal()
        count = load()
        after = self._seconds()
        service, database = ((now - then) * 1000 / count for then, now in zip(before, after, strict=True))
        return Cost(service, database, (self._wal() - wal) / count)

    def _seconds(self) -> tuple[float, float]:
        """Returns the CPU seconds of the service and of the database. Those of ended processes count, too."""
        _, own, ended = _times(self._service)
        _, postmaster, reaped = _times(self._postmaster)
        backends = sum(own for parent, own, _ in map(_times, _pids()) if parent == self._postmaster)
        return (own + ended) / _TICKS, (postmaster + reaped + backends) / _TICKS

    def _wal(self) -> int:
        with psycopg.connect(self._dsn) as connection:
            [position] = connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone() or (0,)
        return int(position)


def requested(port: int, script: Path, meter: Meter, seconds: int = SECONDS) -> Cost:
    """Returns the cost of a request of a script of wrk, the least of several rounds after one that does not count."""
    costs = [meter.cost(lambda: _wrk(port, script, seconds)) for _ in range(ROUNDS + 1)][1:]
    return Cost(*(min(column) for column in zip(*costs, strict=True)))


def _wrk(port: int, script: Path, seconds: int) -> int:
    """Loads a service for some seconds, and returns the number of requests. Fails if one does not succeed."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the server refused requests of {script.name}:\n{output}")
    found = re.search(r"(\d+) requests in", output)
    assert found is not None
    return int(found[1])


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _times(pid: int) -> tuple[int, int, int]:
    """Returns the parent of a process, its ticks, and those of its ended children; zeros if it is over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0, 0
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
