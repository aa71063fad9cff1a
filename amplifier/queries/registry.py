"""The registry of all queries of a folder, one namespace per file: `queries.sessions.get(actor_id=...)`.

mypy reads `registry.pyi` instead, which declares each query with its arguments and its result.
"""

import hashlib
from pathlib import Path

from amplifier.database.pool import Database
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.query import Query, read

_RESERVED = {"adopt", "all", "database", "folder", "hash", "snapshot"}


class Namespace:
    """The queries of one file, as attributes."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self.__dict__ = queries


class Queries:
    """The queries of a folder, bound to a database.

    Raises QueriesError with the findings in the files. If `faults` is given, appends the findings to it instead and
    loads the queries that can be used.
    """

    def __init__(self, database: Database, folder: Path, faults: list[Finding] | None = None) -> None:
        self.database, self.folder = database, folder
        files = sorted(folder.glob("*.sql"))
        findings = [] if files else [_no_files(folder)]
        self._all: list[Query] = []
        for file in files:
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

    def snapshot(self) -> "Queries":
        """Returns a copy that later calls of `adopt` do not change, for callers that run several queries of one set."""
        snapshot = object.__new__(Queries)
        snapshot.__dict__ = self.__dict__
        return snapshot

    def adopt(self, other: "Queries") -> None:
        """Replaces this set with `other` in one step. Queries whose text did not change keep their statistics."""
        before = {query.name: query for query in self._all}
        for query in other._all:
            if (same := before.get(query.name)) is not None and same.hash == query.hash:
                query.usage = same.usage
        self.__dict__ = other.__dict__


def _no_files(folder: Path) -> Finding:
    return Finding(str(folder), 1, None, "no *.sql files here", "set QUERIES_DIR to the folder with the queries")
