"""Rebuilds the search index after a change of language or of text extraction, while the service runs.

The functions that index a row are in the database, see `migrations/`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from amplifier import libpq
from amplifier.errors import OperatorError, one_line
from amplifier.schema import migrate

_ROWS = 1000  # per transaction
_PATIENCE = 60.0  # seconds to wait for earlier transactions, and for rows that others have locked

_OUTDATED = SQL(
    "select true from {} where search_revision is distinct from search_revision(split_part(search_revision, '/', 1))"
    " limit 1"
)

Connection = psycopg.Connection[Any]
Report = Callable[[str, int, int], None]


class ReindexError(OperatorError):
    """Raised when the search index cannot be brought up to date. The message says why."""


def adopt(dsn: str, language: str) -> None:
    """Makes `language` the default if the database has no session yet; otherwise changes nothing.

    Raises ReindexError, also for a language that PostgreSQL does not know.
    """
    with _connected(dsn) as connection:
        current, wanted = _languages(connection, language)
        if wanted != current and connection.execute("select from sessions limit 1").fetchone() is None:
            _set_default(connection, dsn, language)


def reindex(dsn: str, language: str, report: Report) -> int:
    """Makes `language` the default, indexes all outdated rows again, and returns their number.

    Calls `report` with the table, the rows scanned so far and their estimated total. Commits every batch, so that a run
    after an interrupted one indexes only the remaining rows. Raises ReindexError.
    """
    with _connected(dsn) as connection:
        _set_default(connection, dsn, language)
        return _refresh_twice(connection, report)


def is_outdated(dsn: str) -> bool:
    """Returns whether a row was indexed by the functions of an earlier release. Reads up to all rows.

    Raises ReindexError.
    """
    with _connected(dsn) as connection:
        return any(connection.execute(_OUTDATED.format(SQL(table))).fetchone() for table in ("sessions", "messages"))


def catch_up(dsn: str) -> int:
    """Indexes all outdated rows again, in their languages, and returns their number. Raises ReindexError."""
    with _connected(dsn) as connection:
        return _refresh_twice(connection, lambda *_: None)


def _refresh_twice(connection: Connection, report: Report) -> int:
    """Indexes all outdated rows again, also those of transactions that are writing when it begins."""
    older = _writers(connection)
    refreshed = _refresh_all(connection, report)
    if older:  # they used the former language, and their rows were not visible before they committed
        _wait_for(connection, older)
        refreshed += _refresh_all(connection, report)
    return refreshed


def _refresh_all(connection: Connection, report: Report) -> int:
    return _refresh(connection, "sessions", ("",), report) + _refresh(connection, "messages", ("", 0), report)


def _refresh(connection: Connection, table: str, start: tuple[str | int, ...], report: Report) -> int:
    """Scans a table until no outdated row is skipped because of another transaction's lock.

    Returns the number of rows indexed again. Raises ReindexError after a minute without progress.
    """
    total, refreshed = _estimate(connection, table), 0
    deadline = time.monotonic() + _PATIENCE
    while True:
        seen = skipped = 0
        for scanned, done, locked in _batches(connection, table, start):
            seen, refreshed, skipped = seen + scanned, refreshed + done, skipped + locked
            report(table, seen, max(total, seen))
            if done:
                deadline = time.monotonic() + _PATIENCE
        if skipped == 0:
            return refreshed
        if time.monotonic() > deadline:
            raise ReindexError(f"{skipped} rows of {table} stay locked by others: run it again later")
        time.sleep(0.1)


def _batches(connection: Connection, table: str, start: tuple[str | int, ...]) -> Iterator[tuple[int, int, int]]:
    """Scans a table once, a transaction per batch. Yields the numbers of rows scanned, refreshed and skipped."""
    position: tuple[Any, ...] = start
    function = SQL("select * from {}({}, {})").format(
        SQL(f"{table}_refresh_search"), SQL(", ").join(SQL("%s") for _ in start), Literal(_ROWS)
    )
    while position[0] is not None:
        row = connection.execute(function, position).fetchone()
        assert row is not None  # noqa: S101
        position, counts = row[: len(start)], row[len(start) :]
        yield counts


def _languages(connection: Connection, language: str) -> tuple[str, str]:
    """Returns the text search configuration of the database, and the one that `language` names. Raises ReindexError."""
    row = connection.execute("select search_default_language(), search_language(%s)", (language,)).fetchone()
    current, wanted = row or ("", None)
    if wanted is None:
        known = connection.execute("select string_agg(cfgname, ', ' order by cfgname) from pg_ts_config").fetchone()
        raise ReindexError(f"SEARCH_LANGUAGE is {language!r}, PostgreSQL knows: {known[0] if known else ''}")
    return current, wanted


def _set_default(connection: Connection, dsn: str, language: str) -> None:
    with migrate.exclusively(dsn):
        current, wanted = _languages(connection, language)
        if wanted != current:
            connection.execute(
                SQL(
                    "create or replace function search_default_language() returns text "
                    "language sql immutable parallel safe return {}"
                ).format(Literal(wanted))
            )


def _writers(connection: Connection) -> list[str]:
    """Returns the virtual ids of the transactions that currently write sessions or messages."""
    rows = connection.execute(
        "select distinct virtualtransaction from pg_locks where mode = 'RowExclusiveLock' and pid <> pg_backend_pid()"
        " and database = (select oid from pg_database where datname = current_database())"
        " and relation in ('sessions'::regclass, 'messages'::regclass)"
    )
    return [row[0] for row in rows]


def _wait_for(connection: Connection, writers: list[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while set(writers) & set(_writers(connection)):
        if time.monotonic() > deadline:
            raise ReindexError(f"a transaction has been writing for more than {_PATIENCE:.0f} s: run it again later")
        time.sleep(0.1)


def _estimate(connection: Connection, table: str) -> int:
    row = connection.execute("select reltuples::bigint from pg_class where oid = %s::regclass", (table,)).fetchone()
    return max(0, row[0]) if row else 0


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    """Yields a connection with the login that migrates, because the service's role may not update messages.

    Raises ReindexError for every error of PostgreSQL in the context.
    """
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            yield connection
    except psycopg.errors.UndefinedFunction as error:
        raise ReindexError("the database's schema is behind: run amplifier-api migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ReindexError(f"{error}: run it with the login that migrates") from error
    except psycopg.OperationalError as error:
        raise ReindexError(f"the database cannot be reached: {one_line(error)}") from error
    except psycopg.Error as error:
        raise ReindexError(f"the database refused: {error}") from error
