"""The tables of the sizing, and the arithmetic from them for three examples."""

import math
from collections import defaultdict
from typing import NamedTuple

from benchmarks.sizing_costs import Cost

FOLLOWERS, APPENDS, MESSAGES = 10_000, 1000, 1_000_000_000
BUSY = 0.5  # of a core that load may take in the mean, so that peaks find room
POOL = 10  # connections of a process
_DAY, _GB = 86_400, 1e9


class Disk(NamedTuple):
    """Bytes per message: table, index of search, other indexes, and its text."""

    size: str
    table: float
    search: float
    others: float
    text: float


class Measured:
    """All that was measured."""

    def __init__(self) -> None:
        self._costs: defaultdict[str, list[tuple[str, Cost]]] = defaultdict(list)
        self._disks: list[Disk] = []
        self._memories: list[tuple[str, float, float]] = []

    def add(self, name: str, size: str, cost: Cost) -> None:
        """Adds the cost of an operation at one size."""
        self._costs[name].append((size, cost))

    def disk(self, size: str, *values: float) -> None:
        """Adds the disk space of one size of a database."""
        self._disks.append(Disk(size, *map(float, values)))

    def memory(self, size: str, follower: float, process: float) -> None:
        """Adds the memory in kB per follower, and in MB of the process without them."""
        self._memories.append((size, follower, process))

    def last(self, name: str) -> Cost:
        """Returns the cost of an operation at its largest size."""
        return self._costs[name][-1][1]

    @property
    def largest(self) -> Disk:
        """The disk space of the largest database."""
        return self._disks[-1]

    @property
    def follower(self) -> tuple[float, float]:
        """The memory in kB per follower, and in MB of a process without them."""
        return self._memories[-1][1:]

    def tables(self) -> str:
        """Returns the tables in Markdown."""
        lines = [
            "| operation | at | service, ms of CPU | database, ms of CPU | a second and core: service | database |",
            "|---|---|---|---|---|---|",
        ]
        for name, costs in self._costs.items():
            lines += [f"| {name} | {size} | {_row(cost)} |" for size, cost in costs]
        lines += ["", "| disk | bytes per message: table | index of search | other indexes | messages per GB |"]
        lines.append("|---|---|---|---|---|")
        for one in self._disks:
            whole = one.table + one.search + one.others
            cells = (one.table, one.search, one.others, _GB / whole)
            lines.append(
                f"| {one.size} of {one.text:.0f} bytes | " + " | ".join(f"{each:,.0f}" for each in cells) + " |"
            )
        lines += ["", "| memory | kB per follower | MB of the process before |", "|---|---|---|"]
        lines += [f"| {size} | {follower:.0f} | {process:.0f} |" for size, follower, process in self._memories]
        return "\n".join([*lines, ""])


def examples(measured: Measured) -> str:
    """Returns the arithmetic of the examples in Markdown."""
    append, event, follower = (
        measured.last(name) for name in ("append a message", "an event to a follower", "a follower, for a second")
    )
    kilobytes, process = measured.follower
    disk = measured.largest
    followers = Cost(*(each * FOLLOWERS for each in follower))
    events = Cost(*(each * FOLLOWERS for each in event))
    appends = Cost(*(each * APPENDS for each in append))
    bytes_each = disk.table + disk.search + disk.others
    rows = [
        (f"{FOLLOWERS:,} followers that wait", followers, f"{FOLLOWERS * kilobytes / 1e6:.2f} GB for streams"),
        (f"each of them gets an event a second, {FOLLOWERS:,} in all", events, ""),
        (
            f"{APPENDS:,} appends a second",
            appends,
            f"{append.wal * APPENDS / 1e6:.1f} MB of log a second; {bytes_each * APPENDS * _DAY / _GB:.0f} GB a day",
        ),
    ]
    lines = ["| load | cores of the service | cores of the database | besides |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {cost.service / 1000:.2f} | {cost.database / 1000:.2f} | {more} |" for name, cost, more in rows
    ]
    every = Cost(*(sum(column) for column in zip(followers, events, appends, strict=True)))
    processes = max(2, math.ceil(every.service / 1000 / BUSY))
    busy = f"{processes} processes of which each is {BUSY:.0%} busy: {processes * (POOL + 1)} connections"
    memory = f"{(processes * process + FOLLOWERS * kilobytes / 1000) / 1000:.1f} GB of memory"
    lines.append(f"| all three | {every.service / 1000:.1f} | {every.database / 1000:.1f} | {busy}, {memory} |")
    table, search, others = (size * MESSAGES / _GB for size in (disk.table, disk.search, disk.others))
    parts = f"{table:,.0f} table, {search:,.0f} index of search, {others:,.0f} other indexes"
    lines.append(f"| {MESSAGES:,} messages | - | - | {table + search + others:,.0f} GB of disk: {parts} |")
    return "\n".join(lines)


def _row(cost: Cost) -> str:
    def each(value: float) -> str:
        return f"{1000 / value:,.0f}" if value > 0 else "-"

    return f"{cost.service:.3f} | {cost.database:.3f} | {each(cost.service)} | {each(cost.database)}"
