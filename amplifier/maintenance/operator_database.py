"""The database connection of the commands that delete, archive and erase, and their entries in the audit log.

These commands use the owner's login: the service's role may not delete runs, messages or entries of the audit log.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from amplifier import libpq
from amplifier.errors import OperatorError, one_line

ACTOR = "amplifier-api"  # user_id and app_id of the commands in the audit log
_LOCK = "select pg_try_advisory_lock(hashtextextended('amplifier retention', 0))"
_LOCK_LIMIT, _LOCK_PAUSE = 5.0, 0.05  # seconds: until a command that has ended or was killed is gone; between two tries
_IS_OWNER = "select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = 'sessions'::regclass"

Connection = psycopg.Connection[Any]


class MaintenanceError(OperatorError):
    """Raised when a command cannot delete, archive or erase. The message says why."""


@contextlib.contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """Yields a connection in autocommit mode, with times in UTC.

    Raises MaintenanceError for every error of PostgreSQL in the context.
    """
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute("set timezone to 'UTC'")
            connection.execute("set lock_timeout to '10s'")
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise MaintenanceError("the database's schema is behind: run amplifier-api migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MaintenanceError(f"{one_line(error)}: {_LOGIN}") from error
    except psycopg.errors.LockNotAvailable as error:
        raise MaintenanceError("others kept a row locked for 10 s: run it again later") from error
    except psycopg.OperationalError as error:
        raise MaintenanceError(f"the database cannot be reached: {one_line(error)}") from error
    except psycopg.Error as error:
        raise MaintenanceError(f"the database refused: {one_line(error)}") from error


_LOGIN = "run it with the login that migrates, which owns the tables (Roles in migrations/README.md)"


def take_over(connection: Connection) -> None:
    """Refuses a login that does not own the tables, and a second command that deletes at the same time.

    The lock ends with the connection. Raises MaintenanceError.
    """
    if not value(connection, _IS_OWNER):
        raise MaintenanceError(f"this login may not delete what the command deletes: {_LOGIN}")
    deadline = time.monotonic() + _LOCK_LIMIT
    while not value(connection, _LOCK):  # the server notices after a moment that the connection of a command has ended
        if time.monotonic() > deadline:
            raise MaintenanceError("another retention or erasure is running on this database: wait until it has ended")
        time.sleep(_LOCK_PAUSE)


def value(connection: Connection, statement: LiteralString, *arguments: Any) -> Any:
    """Returns the only value that a statement returns, or None."""
    row = connection.execute(statement, arguments).fetchone()
    return row[0] if row else None


def note(connection: Connection, action: str, target_type: str, target_id: str | None, details: dict[str, Any]) -> int:
    """Adds an entry to the audit log and returns its audit_id."""
    return int(
        value(
            connection,
            "insert into audit_log (user_id, app_id, action, target_type, target_id, details)"
            " values (%s, %s, %s, %s, %s, %s) returning audit_id",
            ACTOR,
            ACTOR,
            action,
            target_type,
            target_id,
            Jsonb(details),
        )
    )
