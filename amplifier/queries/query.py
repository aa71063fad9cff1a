"""Reads the named queries of a file, checks their headers, and runs each with exactly its declared arguments.

The registry of all files is in `amplifier.queries.registry`.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

import aiosql
from aiosql.utils import VAR_REF, SQLLoadException, SQLParseException

from amplifier import paths
from amplifier.database.pool import Database, Runner
from amplifier.errors import InputError
from amplifier.queries.findings import Finding
from amplifier.queries.header import Header, checked, parse
from amplifier.queries.joined import NotJoined, added_name, joined
from amplifier.queries.reads import ON_REPLICA
from amplifier.telemetry import tracing
from amplifier.telemetry.served import current

_METHODS = {"SELECT": "fetch", "SELECT_ONE": "fetchrow", "SELECT_VALUE": "fetchval", "INSERT_UPDATE_DELETE": "execute"}
_BLOCK = re.compile(r"^(?=--\s*name\s*:)", re.MULTILINE)  # as in aiosql
_NAME = re.compile(r"--\s*name\s*:[ \t]*(\w*)")
_VERB = re.compile(r"\w*")
_PLACE = re.compile(r" at \S+:\d+")  # aiosql counts lines from the start of the block, not of the file


class Parsed(NamedTuple):
    """The parts of a query's text. `sql` has $1, $2, ... in place of the parameters, `raw` their names."""

    name: str
    file: Path
    line: int
    text: str
    header: Header
    operator: str
    parameters: list[str]
    sql: str
    raw: str = ""

    def __hash__(self) -> int:
        return hash((self.name, self.text))


class Usage:
    """Statistics of a query in this process: when its text was loaded, its calls, and the seconds that they took."""

    __slots__ = ("calls", "loaded_at", "seconds")

    def __init__(self) -> None:
        self.calls, self.seconds, self.loaded_at = 0, 0.0, datetime.now(UTC)


class Query:
    """A named query. It is called with exactly its declared parameters, by name, and raises TypeError otherwise.

    It runs on the database that it was loaded for, in the transaction of the current task if there is one. The result
    depends on the operator: without one a list of records, `^` a record or None, `$` a value, `!` the number of rows
    changed. `joined` is the statement that it makes together with the query of its `@with`, if it has one.
    """

    __slots__ = (
        "_count",
        "_method",
        "_pick",
        "_runner",
        "file",
        "hash",
        "header",
        "joined",
        "line",
        "name",
        "operator",
        "parameters",
        "parsed",
        "statement",
        "text",
        "usage",
    )

    def __init__(self, database: Database, parsed: Parsed) -> None:
        self.parsed, self.joined = parsed, cast("Query | None", None)
        self._runner: Runner = database.reads if parsed.name in ON_REPLICA else database
        self.name, self.file, self.line, self.text = parsed.name, parsed.file, parsed.line, parsed.text
        self.header, self.parameters, self.operator = parsed.header, parsed.parameters, parsed.operator
        self.hash = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        # after the first word, because tools that show statements may trim comments before it
        verb = _VERB.match(parsed.sql)[0]  # type: ignore[index]
        self.statement = f"{verb} /* {self.name} */{parsed.sql[len(verb) :]}"
        self.usage = Usage()
        self._method = _METHODS[self.operator]
        self._count = len(self.parameters)
        self._pick = itemgetter(*self.parameters) if len(self.parameters) > 1 else None

    async def __call__(self, **arguments: Any) -> Any:
        if len(arguments) != self._count:
            raise self._wrong_arguments(arguments)
        try:
            values = self._pick(arguments) if self._pick else [arguments[name] for name in self.parameters]
        except KeyError:
            raise self._wrong_arguments(arguments) from None
        usage, started, failure = self.usage, time.perf_counter(), None
        try:
            result = await getattr(self._runner, self._method)(self.statement, *values)
        except BaseException as error:
            failure = tracing.error_type(error)
            raise
        finally:
            seconds = time.perf_counter() - started
            usage.calls += 1
            usage.seconds += seconds
            if (served := current.get()) is not None:
                served.add_query(seconds)
            if (span := tracing.current.get()) is not None:
                span.add_query(self.name, started, failure)
        return int(result.rpartition(" ")[2]) if self._method == "execute" else result

    def wrong(self, problem: str, remedy: str | None = None, line: int | None = None) -> Finding:
        """Returns a finding about this query."""
        return Finding(str(self.file), line or self.line, self.name, problem, remedy)

    def line_of(self, position: int) -> int:
        """Returns the file's line for `position`, a character of the statement counted from 1 as PostgreSQL does."""
        lines_before = self.statement[: position - 1].count("\n")
        body = self.text.splitlines()[1:]
        code = [number for number, text in enumerate(body, self.line + 1) if text.strip() and not _is_comment(text)]
        spaced = [number for number, text in enumerate(body, self.line + 1) if not _is_comment(text)]
        place = spaced.index(code[0]) + lines_before
        return spaced[place] if place < len(spaced) else self.line  # within the query that this one is joined with

    def _wrong_arguments(self, arguments: dict[str, Any]) -> TypeError:
        return TypeError(f"{self.name} takes exactly {sorted(self.parameters)}, got {sorted(arguments)}")


def files(folder: Path) -> list[Path]:
    """Returns the files with queries in a folder. Raises InputError if there are none."""
    return paths.sql_files(folder, "set QUERIES_DIR to the folder with the queries")


def read(file: Path) -> tuple[list[Parsed], list[Finding]]:
    """Returns the queries of a file that can be parsed, and the findings in the file.

    Raises InputError if the file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return [], [Finding(str(file), 1, None, f"cannot be read: {error}", "queries are text in UTF-8")]
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}") from error
    return _parse(file, text)


@lru_cache(maxsize=64)
def _parse(file: Path, text: str) -> tuple[list[Parsed], list[Finding]]:
    """Parses the text of a file. Cached, because a start reads each file twice, once to check it."""
    queries: dict[str, Parsed] = {}
    findings: list[Finding] = []
    line = 1
    for block in _BLOCK.split(text):
        if name := _NAME.match(block):
            full_name = f"{file.stem}.{name[1]}"
            parsed = _parse_block(full_name, file, line, block)
            found = parsed if isinstance(parsed, Finding) else None
            if found is None and full_name in queries:
                found = Finding(str(file), line, full_name, f"two queries of the name {name[1]}", "rename one of them")
            if found is not None:
                findings.append(found)
            elif isinstance(parsed, Parsed):
                problems = checked(parsed.header, parsed.operator, parsed.parameters, parsed.sql)
                findings += [Finding(str(file), line, full_name, *problem) for problem in problems]
                queries[full_name] = parsed
        line += block.count("\n")
    return list(queries.values()), findings


def _parse_block(name: str, file: Path, line: int, block: str) -> Parsed | Finding:
    adapter = _Adapter()
    try:
        data = aiosql.query_loader.QueryLoader(cast(Any, adapter), None).load_query_data_from_sql(block, [], file)
    except (SQLParseException, SQLLoadException, ValueError) as error:  # the last for parameters like :from
        return Finding(str(file), line, name, _PLACE.sub("", str(error)), "see The header in queries/README.md")
    if len(data) != 1:
        return Finding(str(file), line, name, "`-- name:` stands within the query", "begin the line of a query with it")
    [datum] = data
    operator = datum.operation_type.name
    if operator not in _METHODS:
        return Finding(str(file), line, name, "only the operators ^, $, ! and none are in use here", "use one of them")
    header = parse(datum.doc_comments or "")
    return Parsed(name, file, line, block.rstrip(), header, operator, adapter.parameters, datum.sql, adapter.raw)


def join(database: Database, query: Query, queries: Mapping[str, Query]) -> Finding | None:
    """Sets `joined` of a query whose header has `@with`, if there is the query that it names.

    Returns a finding if the two do not make one statement.
    """
    added = queries.get(added_name(query.header))
    if added is None:
        return None
    try:
        query.joined = Query(database, _joined(query.parsed, added.parsed))
    except NotJoined as error:
        return query.wrong(str(error), "see One statement in queries/README.md")
    query.joined.usage = query.usage
    return None


@lru_cache(maxsize=128)
def _joined(query: Parsed, added: Parsed) -> Parsed:
    """Returns the statement of both. Cached like `_parse`. Raises NotJoined."""
    adapter = _Adapter()
    sql = adapter.process_sql(query.name, None, joined(query, added))
    return query._replace(sql=sql, parameters=adapter.parameters)


class _Adapter:
    """The part of aiosql's adapter protocol that turns `:name` into $1, $2, ...; aiosql calls no other method here."""

    is_aio_driver = True

    def __init__(self) -> None:
        self.parameters: list[str] = []
        self.raw = ""

    def process_sql(self, _name: str, _operation: object, sql: str) -> str:
        names, self.raw = self.parameters, sql

        def replace(match: re.Match[str]) -> str:
            name = match["var_name"]
            if name is None:  # inside quotes
                return match[0]
            if name not in names:
                names.append(name)
            return f"{match['lead']}${names.index(name) + 1}"

        return VAR_REF.sub(replace, sql)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("--")
