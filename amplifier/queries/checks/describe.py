"""Asks PostgreSQL for the parameter types and columns of queries, and which columns may be null, without running them.

Uses psycopg, because asyncpg does not expose the table that a column comes from.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg import pq

from amplifier import libpq
from amplifier.database.connections import ROLE
from amplifier.database.outages import says_later
from amplifier.errors import Unavailable
from amplifier.queries.findings import Finding
from amplifier.queries.query import Query

_OUTER_JOIN = re.compile(r"\b(left|right|full)\s+(outer\s+)?join\b", re.IGNORECASE)
_LIMIT = 5  # seconds, to connect and for each statement
_OPTIONS = f"-c role={ROLE} -c statement_timeout={_LIMIT}s -c lock_timeout={_LIMIT}s"
_NOT_NULL = "select attrelid, attnum from pg_attribute where attnotnull and attrelid = any(%s)"


class Column(NamedTuple):
    """A column of a result. `nullable` is None if PostgreSQL cannot tell: for expressions and after an outer join."""

    name: str
    type: str
    nullable: bool | None


class Description(NamedTuple):
    """The types of the parameters by name, and the columns in order. Types are spelled as in `pg_type.typname`."""

    parameters: dict[str, str]
    columns: list[Column]


def describe(dsn: str, queries: Iterable[Query]) -> tuple[dict[str, Description], list[Finding]]:
    """Returns the descriptions of the queries by name, and a finding for each query that PostgreSQL refuses.

    Connects with the service's role, so that missing privileges are found, too. Raises Unavailable.
    """
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=_LIMIT, options=_OPTIONS) as connection:
            results: dict[Query, pq.abc.PGresult] = {}
            findings = []
            for query in queries:
                result = _prepare(connection.pgconn, query)
                if isinstance(result, Finding):
                    findings.append(result)
                else:
                    results[query] = result
            return _read(connection, results), findings
    except psycopg.OperationalError as error:
        raise Unavailable("The database is not available at the moment.") from error


def _prepare(connection: pq.abc.PGconn, query: Query) -> "pq.abc.PGresult | Finding":
    name = query.name.encode()
    result = connection.prepare(name, query.statement.encode())
    if result.status == pq.ExecStatus.COMMAND_OK:
        described = connection.describe_prepared(name)
        if described.nparams != len(query.parameters):
            return query.wrong("it has parameters like $1 of its own", "write :name, and declare it")
        return described
    fields = {field: (result.error_field(field) or b"").decode() for field in pq.DiagnosticField}
    message, state = fields[pq.DiagnosticField.MESSAGE_PRIMARY], fields[pq.DiagnosticField.SQLSTATE]
    if says_later(state):
        raise psycopg.OperationalError(message or "the connection is gone")
    position = fields[pq.DiagnosticField.STATEMENT_POSITION]
    line = query.line_of(int(position)) if position else None
    return query.wrong(message, fields[pq.DiagnosticField.MESSAGE_HINT] or None, line)


def _read(connection: "psycopg.Connection[Any]", results: "dict[Query, pq.abc.PGresult]") -> dict[str, Description]:
    types = dict(connection.execute("select oid, typname from pg_type").fetchall())
    tables = list({result.ftable(n) for result in results.values() for n in range(result.nfields)})
    not_null = set(connection.execute(_NOT_NULL, (tables,)).fetchall())

    def nullable(query: Query, table: int, column: int) -> bool | None:
        if table == 0:
            return None
        if (table, column) not in not_null:
            return True
        return None if _OUTER_JOIN.search(query.statement) else False

    return {
        query.name: Description(
            {name: types[result.param_type(number)] for number, name in enumerate(query.parameters)},
            [
                Column(
                    (result.fname(number) or b"").decode(),
                    types[result.ftype(number)],
                    nullable(query, result.ftable(number), result.ftablecol(number)),
                )
                for number in range(result.nfields)
            ],
        )
        for query, result in results.items()
    }
