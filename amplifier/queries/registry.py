"""The registry of all queries of a folder, one namespace per file: `queries.sessions.get(actor_id=...)`.

mypy reads `registry.pyi` instead, which declares each query with its arguments and its result.
"""

import hashlib
from pathlib import Path
from typing import Any

from amplifier.database.pool import Database
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.query import Query, files, read

_RESERVED = {"adopt", "all", "database", "folder", "hash", "snapshot"}


class Namespace:
    """The queries of one file, as attributes."""

    def __init__(self, queries: dict[str, Query]) -> None:
        vars(self).update(queries)


class QuerySet:
    """The queries of a folder as they were loaded once, bound to a database. Each namespace is an attribute."""

    def __init__(self, database: Database, folder: Path, faults: list[Finding] | None = None) -> None:
        """Takes the arguments of Queries and raises the same errors."""
        self.database, self.folder = database, folder
        findings: list[Finding] = []
        self._all: list[Query] = []
        for file in files(folder):
            parsed, wrong = read(file)
            findings += wrong
            if file.stem in _RESERVED:
                findings.append(Finding(str(file), 1, None, f"{file.stem} cannot be a namespace", "rename the file"))
            queries = [Query(database, one) for one in parsed]
            self._all += queries
            setattr(self, file.stem, Namespace({query.name.partition(".")[2]: query for query in queries}))
        if findings and faults is None:
            raise QueriesError(findings)
        if faults is not None:
            faults += findings
        text = "".join(f"{query.name} {query.hash}\n" for query in self._all)
        self.hash = hashlib.sha256(text.encode()).hexdigest()[:12]

    def all(self) -> list[Query]:
        """Returns every query, sorted by file and position."""
        return self._all


class Queries:
    """The set in use, with the attributes of a QuerySet. `adopt` replaces the set."""

    def __init__(self, database: Database, folder: Path, faults: list[Finding] | None = None) -> None:
        """Loads the folder.

        Raises InputError if there are no files to read, and QueriesError with the findings in them. If `faults` is
        given, appends the findings to it instead and loads the queries that can be used.
        """
        self._current = QuerySet(database, folder, faults)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current, name)

    def snapshot(self) -> QuerySet:
        """Returns the set in use, which `adopt` does not change, for callers that run several queries of one set."""
        return self._current

    def adopt(self, other: "Queries") -> None:
        """Replaces the set with that of `other` in one step. Queries whose text is the same keep their statistics."""
        before = {query.name: query for query in self.all()}
        for query in other.all():
            if (same := before.get(query.name)) is not None and same.hash == query.hash:
                query.usage = same.usage
        self._current = other.snapshot()
