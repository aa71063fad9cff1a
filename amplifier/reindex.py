"""Brings the search of a database up to date: another language, or a changed extraction, while the service goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

from amplifier.settings import OperatorError

_ROWS = 1000  # in a transaction
_PASSES = 20  # over rows that somebody else holds


class ReindexError(OperatorError):
    """The search cannot be brought up to date; the message says why."""


def adopt(dsn: str, language: str) -> None:
    """Makes `language` the default of a database that has no session yet; leaves others as they are.

    Raises ReindexError for a language that PostgreSQL does not know.
    """
    with _connected(dsn) as connection:
        current, wanted = _languages(connection, language)
        if wanted != current and connection.execute("select from sessions limit 1").fetchone() is None:
            _set_default(connection, wanted)


def reindex(dsn: str, language: str, report: Callable[[str, int, int], None]) -> int:
    """Makes `language` the default and indexes again whatever was indexed otherwise; gives the number of rows.

    `report` gets the table, the rows seen so far and about how many there are. An interrupted run goes on where it
    stopped, as far as rows need it. Raises ReindexError.
    """
    with _connected(dsn) as connection:
        current, wanted = _languages(connection, language)
        if wanted != current:
            _set_default(connection, wanted)
        return sum(
            _refresh(connection, table, start, report) for table, start in (("sessions", ("",)), ("messages", ("", 0)))
        )


def _refresh(
    connection: psycopg.Connection[Any],
    table: str,
    start: tuple[str | int, ...],
    report: Callable[[str, int, int], None],
) -> int:
    total, refreshed = _estimate(connection, table), 0
    for _ in range(_PASSES):
        seen = skipped = 0
        for batch in _batches(connection, table, start):
            seen += batch[0]
            refreshed += batch[1]
            skipped += batch[2]
            report(table, seen, max(total, seen))
        if skipped == 0:
            return refreshed
    raise ReindexError(f"{skipped} rows of {table} stayed locked by others: run it again later")


def _batches(
    connection: psycopg.Connection[Any], table: str, start: tuple[str | int, ...]
) -> Iterator[tuple[int, int, int]]:
    """Goes once through a table; each batch is a transaction: rows seen, refreshed, and skipped."""
    position: tuple[Any, ...] = start
    function = SQL("select * from {}({}, {})").format(
        SQL(f"{table}_refresh_search"),
        SQL(", ").join(SQL("%s") for _ in start),
        Literal(_ROWS),
    )
    while position[0] is not None:
        row = connection.execute(function, position).fetchone()
        assert row is not None  # noqa: S101
        position, counts = row[: len(start)], row[len(start) :]
        yield counts


def _languages(connection: psycopg.Connection[Any], language: str) -> tuple[str, str]:
    """The default in the database, and the one that `language` means."""
    row = connection.execute("select search_default_language(), search_language(%s)", (language,)).fetchone()
    current, wanted = row or ("", None)
    if wanted is None:
        known = connection.execute("select string_agg(cfgname, ', ' order by cfgname) from pg_ts_config").fetchone()
        raise ReindexError(f"SEARCH_LANGUAGE is {language!r}, PostgreSQL knows: {known[0] if known else ''}")
    return current, wanted


def _set_default(connection: psycopg.Connection[Any], language: str) -> None:
    connection.execute(
        SQL(
            "create or replace function search_default_language() returns text "
            "language sql immutable parallel safe return {}"
        ).format(Literal(language))
    )


def _estimate(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute("select reltuples::bigint from pg_class where oid = %s::regclass", (table,)).fetchone()
    return max(0, row[0]) if row else 0


def _connected(dsn: str) -> psycopg.Connection[Any]:
    """A connection as whoever migrates: the service's role can change no message."""
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=5)
    except psycopg.Error as error:
        raise ReindexError(f"the database cannot be reached: {error}") from error
