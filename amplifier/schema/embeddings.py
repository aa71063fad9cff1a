"""Prepares a database for the embeddings of a model, and takes that back. Functions of the database do it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

from amplifier import libpq
from amplifier.errors import OperatorError, one_line

_ROWS = 1000  # per transaction
_STATE = """
select
    model,
    is_indexed,
    (select count(*) from message_embeddings where embedding is not null) as embedded,
    (select count(*) from message_embeddings where due_at is not null) as waiting
from embedding_models
"""

Connection = psycopg.Connection[Any]
Report = Callable[[int, int], None]


class EmbeddingsError(OperatorError):
    """Raised when the database cannot be prepared. The message says why."""


def enable(dsn: str, model: str, dimensions: int, report: Report) -> tuple[bool, int]:
    """Prepares the database for a model, and has all messages embedded that are not.

    Returns whether pgvector keeps the vectors, and the number of messages that wait now. Removes the vectors of another
    model. Calls `report` with the messages scanned so far and their estimated total. Can be run again after an
    interruption. Raises EmbeddingsError.
    """
    with _connected(dsn) as connection:
        [is_indexed] = _row(connection, "select message_embeddings_enable(%s, %s)", model, dimensions)
        [total] = _row(connection, "select reltuples::bigint from pg_class where oid = 'messages'::regclass")
        session_id, seq, seen, added = "", 0, 0, 0
        while session_id is not None:
            fill = "select * from message_embeddings_fill(%s, %s, %s)"
            session_id, seq, scanned, new = _row(connection, fill, session_id, seq, _ROWS)
            seen, added = seen + scanned, added + new
            report(seen, max(total, seen))
        return is_indexed, added


def disable(dsn: str) -> None:
    """Removes all embeddings. Raises EmbeddingsError."""
    with _connected(dsn) as connection:
        connection.execute("select message_embeddings_disable()")


def state(dsn: str) -> tuple[str, bool, int, int] | None:
    """Returns the model, whether pgvector keeps its vectors, and how many messages have one and wait for one.

    None if the search by meaning is off. Raises EmbeddingsError.
    """
    with _connected(dsn) as connection:
        return connection.execute(_STATE).fetchone()


def _row(connection: Connection, statement: str, *arguments: Any) -> Any:
    row = connection.execute(statement, arguments).fetchone()
    assert row is not None  # noqa: S101
    return row


@contextlib.contextmanager
def _connected(dsn: str) -> Iterator[Connection]:
    """Yields a connection with the login that migrates. Raises EmbeddingsError for every error of PostgreSQL."""
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            yield connection
    except psycopg.errors.UndefinedFunction as error:
        raise EmbeddingsError("the database's schema is behind: run amplifier-api migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise EmbeddingsError(
            f"{one_line(error)}: run it with the login that migrates. If that may not create extensions, "
            "have an administrator run: create extension vector"
        ) from error
    except psycopg.OperationalError as error:
        raise EmbeddingsError(f"the database cannot be reached: {one_line(error)}") from error
    except psycopg.Error as error:
        raise EmbeddingsError(f"the database refused: {one_line(error)}") from error
