"""Controls running services through their database, for commands: reloads their queries, lists the costliest ones.

The services' side of a reload is in `amplifier.queries.reload`.
"""

import time
import uuid
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from amplifier import libpq
from amplifier.database.connections import LISTENER, ROLE
from amplifier.database.signatures import CHANNEL, KEYS, Signatures
from amplifier.errors import OperatorError, one_line
from amplifier.queries.reload import RELOAD, Report, read

_LISTENERS = "select count(*) from pg_stat_activity where application_name = %s and datname = current_database()"
_SCHEMA = """
select n.nspname
from pg_extension as e
inner join pg_namespace as n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
"""
# statements that carry the name of a query; texts of the same name are added up. Those of the probe carry none, and
# only a start asks for the languages.
_TOP = r"""
select
    substring(query from '/[*] (\w+[.]\w+) [*]/') as name,
    sum(calls)::bigint as calls,
    sum(total_exec_time) / 1000 as seconds,
    sum(total_exec_time) / sum(calls) as milliseconds,
    sum(rows)::bigint as rows
from {}.pg_stat_statements
where
    dbid = (select oid from pg_database where datname = current_database())
    and userid = {}::regrole
    and query ~ '/[*] \w+[.]\w+ [*]/'
    and query !~ '/[*] search[.]get_languages [*]/'
    and calls > 0
group by name
order by seconds desc
limit %s
"""
_INSTALLED = "select exists (select from pg_available_extensions where name = 'pg_stat_statements')"
_NOT_INSTALLED = (
    "this PostgreSQL has no pg_stat_statements to load: install its contrib modules. The embedded one has none; GET "
    "/health/queries shows what a process has measured itself"
)
_NOT_THERE = (
    "the database has no pg_stat_statements: set shared_preload_libraries = 'pg_stat_statements' (or the like of your "
    "provider), restart PostgreSQL, and run: create extension pg_stat_statements"
)


def reload(dsn: str, timeout: float) -> tuple[int, list[Report]]:
    """Asks every process of the service to reload its queries, and collects their reports for `timeout` seconds.

    Returns the number of processes that listen on the database, and the reports that arrived in time, sorted by
    process. Raises OperatorError.
    """
    request, reports, signatures = uuid.uuid4().hex, list[Report](), Signatures()
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"listen {CHANNEL}")
            [expected] = connection.execute(_LISTENERS, (LISTENER,)).fetchone() or (0,)
            connection.execute(SQL("set role {}").format(Identifier(ROLE)))
            signatures.renew(*connection.execute(KEYS).fetchone() or (b"", b"", 0.0))
            connection.execute("select public.announce(%s)", (f"{RELOAD} {request}",))
            deadline = time.monotonic() + timeout
            while len(reports) < expected and (left := deadline - time.monotonic()) > 0:
                for notification in connection.notifies(timeout=left, stop_after=1):
                    report = read(signatures.verified(notification.payload) or "")
                    if report is not None and report.request == request:
                        reports.append(report)
            return expected, sorted(reports, key=lambda report: report.process)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise OperatorError("the database's schema is behind, run: amplifier-api migrate") from error
    except psycopg.Error as error:
        raise OperatorError(f"the database cannot be reached: {one_line(error)}") from error


def top(dsn: str, limit: int) -> list[tuple[Any, ...]]:
    """Returns the `limit` queries with the longest total execution time, from pg_stat_statements, without checks.

    A row has the name, calls, seconds, milliseconds per call, and rows. Raises OperatorError.
    """
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5, options=f"-c role={ROLE}") as connection:
            where = connection.execute(_SCHEMA).fetchone()
            if where is None:
                [installed] = connection.execute(_INSTALLED).fetchone() or (False,)
                raise OperatorError(_NOT_THERE if installed else _NOT_INSTALLED)
            return connection.execute(SQL(_TOP).format(Identifier(where[0]), ROLE), (limit,)).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise OperatorError(_NOT_THERE) from error
    except psycopg.Error as error:
        raise OperatorError(f"the database cannot be asked: {one_line(error)}") from error
