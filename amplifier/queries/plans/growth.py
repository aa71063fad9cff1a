"""Finds the queries whose plans cost more than before, for a warning before a reload.

`amplifier.queries.plans.baseline` compares everything else, and refuses what differs.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from amplifier import libpq
from amplifier.queries.checks.describe import describe
from amplifier.queries.findings import Finding
from amplifier.queries.plans.arguments import Cases
from amplifier.queries.plans.baseline import TOLERANCE, read
from amplifier.queries.plans.observation import explain, prepare
from amplifier.queries.query import Query
from amplifier.queries.registry import Queries

_REMEDY = "explain both with your data, see Plans in queries/README.md; if it is meant: queries check --plans --update"


class Comparison:
    """The number of plans that were compared, what they were compared with, and a finding for each that costs more."""

    def __init__(self, basis: str) -> None:
        self.basis, self.count = basis, 0
        self.findings: list[Finding] = []

    def add(self, query: Query, before: float, now: float) -> None:
        """Compares the costs of a query's generic plan, as `explain` shows them."""
        self.count += 1
        if (now + 1) / (before + 1) > TOLERANCE:
            problem = f"the generic plan costs {now:.0f} instead of {before:.0f}"
            self.findings.append(query.wrong(problem, _REMEDY))


def compare(dsn: str, queries: Queries, released: Queries) -> Comparison:
    """Fills a migrated, empty database, and compares the costs of generic plans, which the service uses.

    They are compared with `plans.json` in the folder of the queries. If that is missing or for another version of
    PostgreSQL, the released queries are explained on the same database. Queries that PostgreSQL refuses are left out.
    """
    with libpq.connect(dsn, autocommit=True) as connection:
        cases = prepare(connection)
        reviewed = read(queries.folder / "plans.json")
        if reviewed is not None and reviewed.postgresql == connection.info.server_version // 10_000:
            found = Comparison(str(queries.folder / "plans.json"))
            before = {name: observed.generic.cost for name, observed in reviewed.queries.items()}
        else:
            found = Comparison("the queries of the release")
            before = dict(_costs(connection, dsn, released.all(), cases))
        now = dict(_costs(connection, dsn, queries.all(), cases))
    for query in queries.all():
        if query.name in before and query.name in now:
            found.add(query, before[query.name], now[query.name])
    return found


def _costs(
    connection: "psycopg.Connection[Any]", dsn: str, queries: list[Query], cases: Cases
) -> Iterator[tuple[str, float]]:
    """Yields the name and the cost of the generic plan of each query that PostgreSQL accepts."""
    described, _ = describe(dsn, queries)
    for query in (query for query in queries if query.name in described):
        with contextlib.suppress(psycopg.Error):
            generic, _ = explain(connection, query, described[query.name], cases)
            yield query.name, generic.cost
