"""Compares the plans and results of queries on the profile with the reviewed ones in `queries/plans.json`.

`amplifier.queries.plans.observation` runs the queries. `queries/README.md` has the rules for plans.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg

from amplifier import libpq, paths
from amplifier.errors import InputError
from amplifier.queries.checks.describe import describe
from amplifier.queries.findings import Finding
from amplifier.queries.plans import overlay
from amplifier.queries.plans.observation import Observation, explain, prepare, results
from amplifier.queries.plans.rules import rules
from amplifier.queries.registry import Queries

TOLERANCE = 1.25  # costs that differ by a smaller factor count as the same


class Baseline(msgspec.Struct):
    """The reviewed observations by the name of the query, and the major version of PostgreSQL that they apply to."""

    postgresql: int
    queries: dict[str, Observation]


class Line(msgspec.Struct):
    """A query in the command's table: the costs of its plans, and its changes since the baseline."""

    query: str
    generic: float
    custom: float
    changes: list[str]


def compare(dsn: str, queries: Queries, update: bool) -> tuple[list[Line], list[Finding]]:
    """Fills a migrated, empty database and compares all queries on it with `plans.json` in their folder.

    Returns a line for each query that ran, and the findings. If `update` is true, changes are no findings, and
    `plans.json` is written anew unless there are others.
    """
    file, lines, findings = queries.folder / "plans.json", list[Line](), list[Finding]()
    described, _ = describe(dsn, queries.all())
    with libpq.connect(dsn, autocommit=True) as connection:
        cases = prepare(connection)
        version = connection.info.server_version // 10_000
        before, now = read(file) or Baseline(version, {}), Baseline(version, {})
        for query in queries.all():
            try:
                plans = explain(connection, query, described[query.name], cases)
                observed = Observation(*plans, dict(results(connection, query, described[query.name], cases)))
            except psycopg.Error as error:
                findings.append(query.wrong(f"it fails on the profile: {error}", "try it with the arguments there"))
                continue
            now.queries[query.name] = observed
            changed = list(changes(before.queries.get(query.name), observed, before.postgresql == version))
            lines.append(Line(query.name, observed.generic.cost, observed.custom.cost, changed))
            findings += rules(query, observed)
            if not update:
                findings += [query.wrong(one, "if that is meant: queries check --plans --update") for one in changed]
        if update and not findings:
            write(file, now)
        findings += overlay.compare(connection, dsn, queries.overlay, cases, now.queries)
    return lines, findings


def changes(before: Observation | None, now: Observation, same_version: bool) -> Iterator[str]:
    """Yields the differences between a query's observation and the reviewed one.

    Yields nothing if PostgreSQL's version differs, because each version has its own plans and order of rows.
    """
    if before is None:
        yield "new"
        return
    if not same_version:
        return
    for kind, old, new in (("generic", before.generic, now.generic), ("custom", before.custom, now.custom)):
        if old.nodes != new.nodes:
            yield f"the {kind} plan is another"
        elif not 1 / TOLERANCE <= (new.cost + 1) / (old.cost + 1) <= TOLERANCE:
            yield f"the {kind} plan costs {new.cost:.0f} instead of {old.cost:.0f}"
    cases = [label for label in now.results if now.results[label] != before.results.get(label)]
    if cases or now.results.keys() != before.results.keys():
        yield f"it gives or changes something else ({', '.join(cases[:3]) or 'fewer cases'})"


def read(file: Path) -> Baseline | None:
    """Returns the baseline in a file, or None if there is no file. Raises InputError."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(paths.text_of(file), type=Baseline)
    except msgspec.MsgspecError as error:
        remedy = "to write it anew, remove it and run: queries check --plans --update"
        raise InputError(file, f"has no plans that can be read: {error}", remedy) from error


def write(file: Path, baseline: Baseline) -> None:
    """Writes a baseline as indented JSON, so that changes are visible line by line in a diff."""
    paths.write(file, msgspec.json.format(msgspec.json.encode(baseline), indent=1).decode() + "\n")
