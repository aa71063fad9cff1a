"""Brings the search of a database up to date: another language, or a changed extraction, while the service goes on."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from amplifier.errors import OperatorError
from amplifier.schema import migrate

_ROWS = 1000  # in a transaction
_PATIENCE = 60.0  # seconds to wait for transactions that began before, or hold rows

Connection = psycopg.Connection[Any]
Report = Callable[[str, int, int], None]


class ReindexError(OperatorError):
    """The search cannot be brought up to date; the message says why."""


def adopt(dsn: str, language: str) -> None:
    """Makes `language` the default of a database that has no session yet; leaves others as they are.

    Raises ReindexError for a language that PostgreSQL does not know.
    """
    with _connected(dsn) as connection:
        current, wanted = _languages(connection, language)
        if wanted != current and connection.execute("select from sessions limit 1").fetchone() is None:
            _set_default(connection, dsn, language)


def reindex(dsn: str, language: str, report: Report) -> int:
    """Makes `language` the default and indexes again whatever was indexed otherwise; gives the number of rows.

    `report` gets the table, the rows seen so far and about how many there are. An interrupted run goes on where it
    stopped, as far as rows need it. Raises ReindexError.
    """
    with _connected(dsn) as connection:
        _set_default(connection, dsn, language)
        older = _writers(connection)
        refreshed = _refresh_all(connection, report)
        if older:  # what they wrote is in the language of before, and could not be seen
            _wait_for(connection, older)
            refreshed += _refresh_all(connection, report)
        return refreshed


def _refresh_all(connection: Connection, report: Report) -> int:
    return _refresh(connection, "sessions", ("",), report) + _refresh(connection, "messages", ("", 0), report)


def _refresh(connection: Connection, table: str, start: tuple[str | int, ...], report: Report) -> int:
    """Goes through a table until no row that needs it was skipped because somebody else held it."""
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
    """Goes once through a table; each batch is a transaction: rows seen, refreshed, and skipped."""
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
    """The default in the database, and the one that `language` means."""
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
    """The transactions that write sessions or messages at the moment."""
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
    """A connection as whoever migrates: the service's role can change no message. Raises ReindexError."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            yield connection
    except psycopg.errors.UndefinedFunction as error:
        raise ReindexError("the database's schema is behind: run amplifier-api migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ReindexError(f"{error}: run it with the login that migrates") from error
    except psycopg.OperationalError as error:
        raise ReindexError(f"the database cannot be reached: {error}") from error
    except psycopg.Error as error:
        raise ReindexError(f"the database refused: {error}") from error
