"""The registry of all queries of a folder, one namespace per file: `queries.sessions.get(actor_id=...)`.

On a database with the extension Citus, the queries of the folder `citus` below it replace those of the same name.
mypy reads `registry.pyi` instead, which declares each query with its arguments and its result.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.query import Query, files, join, read

OVERLAY = "citus"  # the folder below that of the queries
_RESERVED = {"adopt", "all", "database", "folder", "hash", "joined", "lay_over", "overlay", "snapshot"}


class Namespace:
    """The queries of one file, as attributes."""

    def __init__(self, queries: dict[str, Query]) -> None:
        vars(self).update(queries)


class QuerySet:
    """The queries of a folder as they were loaded once, bound to a database. Each namespace is an attribute.

    `overlay` has the queries for Citus by name, on every database, so that their faults are found on every database.
    """

    def __init__(self, database: Database, folder: Path, faults: list[Finding] | None = None) -> None:
        """Takes the arguments of Queries and raises the same errors."""
        self.database, self.folder = database, folder
        findings: list[Finding] = []
        self._files = files(folder)
        self._all = self._loaded(self._files, findings)
        self.overlay = {query.name: query for query in self._loaded(overlay_files(folder), findings)}
        findings += _without_original(self._all, self.overlay)
        by_name = {query.name: query for query in self._all}
        findings += [fault for query in self._all if (fault := join(database, query, by_name)) is not None]
        if findings and faults is None:
            raise QueriesError(findings)
        if faults is not None:
            faults += findings
        text = "".join(f"{query.name} {query.hash}\n" for query in [*self._all, *self.overlay.values()])
        self.hash = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._use(self._all)
        if database is not None and database.has_citus:
            self.lay_over()

    def lay_over(self) -> None:
        """Replaces queries by those of the overlay with the same names, as a database with Citus needs them."""
        self._all = [self.overlay.get(query.name, query) for query in self._all]
        self._use(self._all)

    def all(self) -> list[Query]:
        """Returns every query, sorted by file and position."""
        return self._all

    def joined(self) -> list[Query]:
        """Returns the statements that queries make together with those of their `@with`."""
        return [query.joined for query in self._all if query.joined is not None]

    def _loaded(self, found: list[Path], findings: list[Finding]) -> list[Query]:
        """Returns the queries of files, and appends what is wrong with them to `findings`."""
        loaded: list[Query] = []
        for file in found:
            parsed, wrong = read(file)
            findings += wrong
            if file.stem in _RESERVED:
                findings.append(Finding(str(file), 1, None, f"{file.stem} cannot be a namespace", "rename the file"))
            loaded += [Query(self.database, one) for one in parsed]
        return loaded

    def _use(self, queries: list[Query]) -> None:
        namespaces: dict[str, dict[str, Query]] = {file.stem: {} for file in self._files}
        for query in queries:
            namespace, _, name = query.name.partition(".")
            namespaces[namespace][name] = query
        for namespace, members in namespaces.items():
            setattr(self, namespace, Namespace(members))


def overlay_files(folder: Path) -> list[Path]:
    """Returns the files of the overlay in a folder of queries. There are none if the folder has no overlay."""
    return paths.sql_files(folder / OVERLAY) if (folder / OVERLAY).is_dir() else []


def _without_original(queries: list[Query], overlay: dict[str, Query]) -> Iterator[Finding]:
    """Yields a finding for each query of the overlay that replaces none, or one of other access."""
    originals = {query.name: query for query in queries}
    for query in overlay.values():
        original = originals.get(query.name)
        if original is None:
            yield query.wrong("it replaces no query", f"{OVERLAY}/ has queries of the folder above, by the same names")
        elif original.header.access != query.header.access:
            yield query.wrong(
                f"@access {query.header.access} differs from that of the query it replaces", "name the same access"
            )


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
                if query.joined is not None:
                    query.joined.usage = same.usage
        self._current = other.snapshot()
