"""The table of faults: a row of each test in build/faults.

`python -m tests.faults.report` writes the table into docs/reliability.md.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.faults.history import Call
from tests.faults.stored import Stored
from tests.faults.violations import Violation
from tests.faults.written import writes
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.faults.load import Load

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
HEAD = """\
| fault | requests done per second | writes acknowledged | lost | doubled | slowest answer | time to recover |
|---|---|---|---|---|---|---|
"""


class Row(msgspec.Struct):
    """One fault: times in seconds."""

    fault: str
    load: float
    acknowledged: int
    lost: int
    doubled: int
    slowest: float
    recovery: float | None
    violations: int = 0
    order: float = 0.0


def row(
    fault: str,
    load: "Load",
    stored: Stored,
    violations: Sequence[Violation],
    suspended: Mapping[int, Sequence[tuple[float, float]]],
) -> Row:
    """Returns the row of a load. The slowest answer leaves out processes that were suspended."""
    calls = [one for one in load.history.records if isinstance(one, Call)]
    answered = [
        one
        for one in calls
        if one.status and not any(a <= one.end and one.start <= b for a, b in suspended.get(one.process, ()))
    ]
    return Row(
        fault,
        len([one for one in calls if 200 <= one.status < 300]) / max(load.ended - load.began, 0.001),
        sum(1 for one in writes(calls) if one.acknowledged is not None),
        sum(1 for one in violations if one.rule == "lost"),
        sum(1 for one in violations if one.rule == "doubled"),
        max((one.end - one.start for one in answered if one.kind != "message"), default=0.0),
        max(load.recoveries, default=None),
        len(violations),
        load.began,
    )


def write(folder: Path, name: str, row: Row) -> None:
    """Writes a row into the folder of reports."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(row)))


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a table, in the order of the tests."""
    lines = [
        f"| {one.fault} | {one.load:.0f} | {one.acknowledged} | {one.lost} | {one.doubled} | {one.slowest:.2f} s |"
        f" {'' if one.recovery is None else f'{one.recovery:.2f} s'} |\n"
        for one in sorted(rows, key=lambda row: row.order)
    ]
    return HEAD + "".join(lines)


def main(folder: Path = ROOT / "build/faults") -> None:
    """Replaces the table of the page, and prints it."""
    rows = [msgspec.json.decode(path.read_bytes(), type=Row) for path in folder.glob("*.json")]
    if not rows:
        sys.exit(f"no reports in {folder}: run make faults")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()
