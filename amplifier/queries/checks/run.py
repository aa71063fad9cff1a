"""Runs every check that queries must pass before they serve: against the database, the structs, the code and the probe.

The rules for headers, which need no database, are in `amplifier.queries.header`.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from amplifier import paths
from amplifier.database.connections import ROLE
from amplifier.errors import OperatorError
from amplifier.queries.checks.access_probe import Probe
from amplifier.queries.checks.access_rules import UNBOUND, WITH
from amplifier.queries.checks.describe import Column, Description, describe
from amplifier.queries.checks.row_types import Structs, problems
from amplifier.queries.checks.stub import broken, contract
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.joined import added_name
from amplifier.queries.query import Query, read
from amplifier.queries.registry import OVERLAY, Queries, overlay_files

_ONE_STATEMENT = "see One statement in queries/README.md"


async def check(queries: Queries, structs: Structs) -> None:
    """Checks the queries. Raises QueriesError with every finding, and Unavailable."""
    if found := await findings(queries, structs):
        raise QueriesError(found)


async def findings(queries: Queries, structs: Structs) -> list[Finding]:
    """Returns the findings of all checks, sorted by file and line.

    The probe runs in a transaction that is rolled back. Raises Unavailable, and OperatorError if the connection does
    not have the service's role.
    """
    described, found = await asyncio.to_thread(describe, queries.database.direct_dsn, queries.all())
    for query in queries.all():
        found += compared(query, described.get(query.name), structs)
    there = {query.name for query in queries.all()}
    for name in contract().keys() - there:
        file = queries.folder / f"{name.partition('.')[0]}.sql"
        found.append(Finding(str(file), 1, name, "is missing, and the service runs it", "put it back"))
    if queries.database.has_citus:
        found += _missing_overlay(queries)
    found += await _probe(queries, described, structs)
    if not queries.database.has_citus:  # where each runs by itself
        found += await _joined_findings(queries, described, structs)
    return _sorted(found)


async def _joined_findings(queries: Queries, described: dict[str, Description], structs: Structs) -> list[Finding]:
    """Returns the findings about the statements that queries make with those of their `@with`: they must be statements,
    return what the query does, and give strangers nothing."""
    joined = [query for query in queries.joined() if query.name in described]
    together, found = await asyncio.to_thread(describe, queries.database.direct_dsn, joined)
    for query in queries.all():
        if added_name(query.header) != (wanted := WITH.get(query.name, "")):
            problem = f"@with {query.header.added}, but the code runs it with {wanted or 'nothing'}"
            found.append(query.wrong(problem, _ONE_STATEMENT))
    for query in joined:
        alone, whole = described[query.name].columns, together.get(query.name)
        if whole is not None and _types(query, alone) != _types(query, whole.columns):
            found.append(query.wrong(f"with {query.header.added} it has another result", _ONE_STATEMENT))
    return found + await _probe(queries, together, structs, joined)


def _types(query: Query, columns: list[Column]) -> list[tuple[str, str]]:
    """Returns the names and types of columns, none of a query of which only the rows are counted."""
    is_counted = query.operator == "INSERT_UPDATE_DELETE"
    return [] if is_counted else [(column.name, column.type) for column in columns]


def _missing_overlay(queries: Queries) -> Iterator[Finding]:
    """Yields a finding for each query of this release's overlay that the folder's overlay lacks."""
    for file in overlay_files(paths.folder("queries")):
        for query in read(file)[0]:
            if query.name not in queries.overlay:
                place = str(queries.folder / OVERLAY / file.name)
                yield Finding(place, 1, query.name, "is missing, and Citus needs it", "put it back")


async def overlay_findings(queries: Queries, structs: Structs) -> list[Finding]:
    """Returns the findings of all checks for the queries of the overlay, on a database without Citus.

    Raises the same errors as `findings`.
    """
    overlay = list(queries.overlay.values())
    described, found = await asyncio.to_thread(describe, queries.database.direct_dsn, overlay)
    for query in overlay:
        found += compared(query, described.get(query.name), structs)
    return _sorted(found + await _probe(queries, described, structs, overlay))


def compared(query: Query, description: Description | None, structs: Structs) -> Iterator[Finding]:
    """Yields the differences between a query and its pinned access, its struct, and its signature in the stub."""
    access = query.header.access
    if access in ("public", "system", "self") and UNBOUND.get(query.name) != access:
        yield query.wrong(
            f"@access {access} is not for a query of this name: who may see its rows?",
            "name the access that it had; UNBOUND in amplifier/queries/checks/access_rules.py lists the others",
        )
    if description is not None:
        yield from problems(query, description.columns, structs)
        yield from broken(query, description)


def _sorted(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda finding: (finding.file, finding.line))


async def _probe(
    queries: Queries, described: dict[str, Description], structs: Structs, probed: list[Query] | None = None
) -> list[Finding]:
    found = []
    async with queries.database.connection() as connection:
        if (user := await connection.fetchval("select current_user")) != ROLE:
            raise OperatorError(
                f"the service works as {user} instead of {ROLE}: if a pooler drops the parameters of new connections, "
                f"run: alter role {user} set role to {ROLE}"
            )
        transaction = connection.transaction()
        await transaction.start()
        try:
            probe = Probe(connection, structs, _released(queries.folder))
            await probe.build()
            for query in queries.all() if probed is None else probed:
                if query.name in described:
                    found += await probe.findings(query)
        finally:
            await transaction.rollback()
    return found


def _released(folder: Path) -> frozenset[str]:
    """Returns the texts of the queries of this release, which its tests have probed on an empty database.

    Empty if `folder` is the checkout's own folder, because the queries there may have been edited in place.
    """
    released = paths.folder("queries")
    if released.resolve() == folder.resolve() and not paths.is_packaged(released):
        return frozenset()
    texts = [*released.glob("*.sql"), *overlay_files(released)]
    return frozenset(query.text for file in texts for query in read(file)[0])
