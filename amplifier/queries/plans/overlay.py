"""Compares the queries for Citus with those that they replace, on the profile, which is plain PostgreSQL.

Their plans there serve nobody and are not kept in `plans.json`, but they must follow the rules for plans.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from amplifier.queries.checks.describe import describe
from amplifier.queries.findings import Finding
from amplifier.queries.plans.arguments import Cases
from amplifier.queries.plans.observation import Observation, explain, results
from amplifier.queries.plans.rules import rules
from amplifier.queries.query import Query


def compare(
    connection: "psycopg.Connection[Any]",
    dsn: str,
    overlay: Mapping[str, Query],
    cases: Cases,
    originals: Mapping[str, Observation],
) -> Iterator[Finding]:
    """Yields a finding for each query of the overlay that returns or writes other rows than its original, in any case.

    `originals` has the observations of the queries of the folder above by name. Yields findings about plans, too.
    """
    described, found = describe(dsn, overlay.values())
    yield from found
    for query in (query for query in overlay.values() if query.name in described):
        try:
            plans = explain(connection, query, described[query.name], cases)
            observed = Observation(*plans, dict(results(connection, query, described[query.name], cases)))
        except psycopg.Error as error:
            yield query.wrong(f"it fails on the profile: {error}", "try it with the arguments there")
            continue
        yield from rules(query, observed)
        original = originals.get(query.name)
        if original is not None:
            yield from _differences(query, original.results, observed.results)


def _differences(query: Query, original: dict[str, str], result: dict[str, str]) -> Iterator[Finding]:
    cases = [label for label in original if original[label] != result.get(label)]
    if cases:
        shown = "; ".join(f"{label}: {result.get(label)} instead of {original[label]}" for label in cases[:3])
        problem = f"it gives or changes something else than the query that it replaces ({shown})"
        yield query.wrong(problem, "change both alike")
