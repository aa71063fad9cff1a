"""Runs the checks on mutants of every query and reports those that pass: `python -m tests.queries.mutations`."""

import asyncio
import contextlib
import re
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded, scratch
from amplifier.queries.checks.access_probe import Probe
from amplifier.queries.checks.describe import describe
from amplifier.queries.checks.run import compared
from amplifier.queries.plans import baseline, observation
from amplifier.queries.query import Query, read
from amplifier.schema import migrate
from amplifier.server.row_structs import STRUCTS
from amplifier.settings import Settings
from tests.conftest import private_folder
from tests.queries.mutants import KINDS, Mutant, mutants
from tests.queries.test_checks import blocks

# Patterns of "query: kind: change" for mutants that return and change the same rows on any data, and the reasons.
SAME = {
    r".*: no index can be used: .*": "the plan is the same: another condition leads to the same rows",
    r".*: a predicate is dropped: (and |where )?\w+\.session_id = (\w+\.session_id|:session_id);?": (
        "each table names the session for itself, so that a statement stays on one node: one of two conditions says so"
    ),
    r"sessions\.delete: access is widened: .*": "the caller's role is asked for twice",
    r"participant(_right)?s\.(update|delete): (access is widened: role = 'owner'|a parameter is wrong: .* at 2\d\d)": (
        "it says which rows are locked, which only others can see"
    ),
    r"participant_rights\.update: a parameter is wrong: :actor_id is :session_id at 159": (
        "it says which rows are locked, which only others can see"
    ),
    r"sessions\.delete: a predicate is dropped: (r\.actor_is_owner|and q\.status in \('queued', 'running'\))": (
        "it says which rows are locked, which only others can see"
    ),
    r"sessions\.delete: a parameter is wrong: :session_id is :actor_id at 6\d\d": (
        "it says which rows are locked, which only others can see"
    ),
    r"sessions\.lock_source: a parameter is wrong: :session_id is :actor_id at 1\d\d": (
        "it says which rows are locked, which only others can see"
    ),
    r"invitation_claims\.claim: a parameter is wrong: :(session|actor)_id is .* at 11\d\d": (
        "a participant is not added twice"
    ),
    r"sessions\.transfer: a parameter is wrong: :user_id is :actor_id at 14\d\d": (
        "where it decides, the new owner is the caller"
    ),
    r"messages\.list_backwards: a parameter is wrong: :limit is :before at 15\d\d": (
        "more rows are read, of which as many are shown"
    ),
    r"audit\.add: a predicate is dropped: where outcome\.details is distinct from .*": (
        "changes that change nothing are tried by tests/api/test_changes.py, not by the profile"
    ),
    r"search\.list_messages: a parameter is wrong: :after_session_id is :actor_id at 6\d\d": (
        "it says where the walk begins; the condition behind it decides"
    ),
    r"search\.list_messages: a parameter is wrong: :after_session_id is :actor_id at 4\d\d\d": (
        "it decides between hits of one rank and one time, of which the profile has none"
    ),
    r"suggestions\.list: a predicate is dropped: "
    r"(and length\(.*|where number <= 5|abs\(.*|and search_distance\(.*|and tsvector_to_array\(.*)": (
        "it bounds which words are compared and offered: tests/api/test_search_suggestions.py tries it on words"
    ),
    r"rate_limits\.take: a parameter is wrong: :per_minute is :wanted at 5\d\d": (
        "it counts for a bucket that is partly full, which is another one in each second"
    ),
}


class Checker:
    """The checks of `amplifier-api queries check --plans` for single queries, on databases that are created once."""

    def __init__(self, dsn: str, probe: Probe, profile: "psycopg.Connection[Any]", folder: Path) -> None:
        self._dsn, self._probe, self._profile = dsn, probe, profile
        self._cases = observation.prepare(profile)
        self._folder = folder
        expected = baseline.read(paths.folder("queries") / "plans.json")
        assert expected is not None
        self._expected = expected.queries

    async def finding(self, mutant: Mutant) -> str | None:
        """Returns the first finding, or None for a mutant that passes."""
        namespace = mutant.query.partition(".")[0]
        file = self._folder / f"{namespace}.sql"
        file.write_text(mutant.text)
        parsed, found = read(file)
        if found:
            return str(found[0])
        [query] = [Query(UNUSED, one) for one in parsed]
        described, found = describe(self._dsn, [query])
        found += compared(query, described.get(query.name), STRUCTS)
        found = found or await self._probe.findings(query)
        if found:
            return str(found[0])
        expected, description = self._expected[query.name], described[query.name]
        try:
            generic, custom = observation.explain(self._profile, query, description, self._cases)
            observed = observation.Observation(generic, custom, expected.results)
            for wrong in baseline.rules(query, observed):
                return wrong.problem
            for change in baseline.changes(expected, observed, True):
                return change
            for label, result in observation.results(self._profile, query, description, self._cases):
                if expected.results.get(label) != result:
                    return f"{label}: {result}"
        except psycopg.Error as error:
            if self._profile.broken or self._profile.info.transaction_status != TransactionStatus.IDLE:
                raise
            return str(error)
        return None


async def run(dsn: str, wanted: str = "") -> list[Mutant]:
    """Tries all mutants of the queries whose names match `wanted` on the server of `dsn`, and returns those that pass.

    Leaves out mutants that a pattern of SAME matches.
    """
    with scratch.database(dsn) as plain, scratch.database(dsn) as full, tempfile.TemporaryDirectory() as folder:
        migrate.migrate(plain)
        migrate.migrate(full)
        database = Database(Settings(database_statement_timeout=60), plain)
        await database.connect()
        try:
            with psycopg.connect(full, autocommit=True) as connection:
                async with _probe(database) as probe:
                    checker = Checker(plain, probe, connection, Path(folder))
                    return await _try(checker, wanted)
        finally:
            await database.close()


async def _try(checker: Checker, wanted: str) -> list[Mutant]:
    tried, passed = Counter[str](), []
    for name, text in blocks(paths.folder("queries")).items():
        for mutant in mutants(name, text) if re.match(wanted, name) else ():
            tried[mutant.kind] += 1
            if await checker.finding(mutant) is None:
                passed.append(mutant)
    same = [one for one in passed if any(re.fullmatch(pattern, str(one)) for pattern in SAME)]
    print(f"{'':36} {'tried':>6} {'refused':>8} {'the same':>9} {'passed':>7}")
    for kind in KINDS:
        count, equal = sum(one.kind == kind for one in passed), sum(one.kind == kind for one in same)
        print(f"{kind:36} {tried[kind]:6} {tried[kind] - count:8} {equal:9} {count - equal:7}")
    return [one for one in passed if one not in same]


@contextlib.asynccontextmanager
async def _probe(database: Database) -> AsyncIterator[Probe]:
    async with database.connection() as connection:
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        transaction = connection.transaction()
        await transaction.start()
        try:
            probe = Probe(connection, STRUCTS)
            await probe.build()
            yield probe
        finally:
            await transaction.rollback()


UNUSED = Database(Settings(), "postgresql://unused/unused")  # the query is never run


if __name__ == "__main__":
    with private_folder() as home, embedded.running(home, "amplifier-api") as server:
        left = asyncio.run(run(server, *sys.argv[1:]))
    print(*left, sep="\n")
    sys.exit(bool(left))
