"""Applies migrations with yoyo. An advisory lock makes that safe from several processes at once."""

import contextlib
import logging
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from amplifier import libpq, paths
from amplifier.errors import OperatorError, one_line

logger = logging.getLogger(__name__)

_ADVISORY_LOCK = 6_571_482_913  # an arbitrary number, the same in every process
_LOCK_LIMIT = 120.0  # seconds to wait for another process that migrates


class SchemaError(OperatorError):
    """Raised when the schema cannot be brought up to date. The message says why."""


def migrate(dsn: str, folder: Path | None = None, level: int = logging.INFO) -> list[str]:
    """Applies the missing migrations, after a message of this level in the log, and returns their ids.

    Processes that call this at the same time wait for each other. Raises SchemaError.
    """
    try:
        with exclusively(dsn), yoyo_backend(dsn) as backend:
            backend.break_lock()  # a process that died may have left it; no other process holds the advisory lock now
            with backend.lock():
                missing = backend.to_apply(known(folder))
                if missing:
                    logger.log(level, "applying %d migrations", len(missing))
                backend.apply_migrations(missing)
                return [migration.id for migration in missing]
    except psycopg.Error as error:
        raise SchemaError(f"the migrations could not be applied: {one_line(error)}") from error


@cache
def known(folder: Path | None = None) -> Any:
    """Returns the parsed migrations of a folder.

    Parsing takes a third of the time that a first start spends on migrations. It needs no database, so that a first
    start can parse while PostgreSQL creates its files.
    """
    import yoyo  # takes a third of a second, and a start on a migrated database does not need it

    migrations = yoyo.read_migrations(str(folder or paths.folder("migrations")))
    for migration in migrations:
        migration.load()
    return migrations


def pending(dsn: str, folder: Path | None = None) -> list[str]:
    """Returns the ids of the migrations that the database lacks, without applying them. Raises SchemaError."""
    known = paths.migrations(folder)
    try:
        with libpq.connect(dsn, connect_timeout=5) as connection:
            if connection.execute("select to_regclass('_yoyo_migration')").fetchone() == (None,):
                return known
            applied = {row[0] for row in connection.execute("select migration_id from _yoyo_migration")}
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"{error}: let the login work as the service's role with: grant amplifier_app to ..."
        ) from error
    except psycopg.Error as error:
        raise SchemaError(f"the database cannot be reached: {one_line(error)}; run: amplifier-api doctor") from error
    return [identifier for identifier in known if identifier not in applied]


@contextlib.contextmanager
def exclusively(dsn: str) -> Iterator[None]:
    """Holds the advisory lock for changes of the schema during the context.

    Raises SchemaError if another process holds it for two minutes.
    """
    deadline = time.monotonic() + _LOCK_LIMIT
    with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        # polls, because a waiting statement keeps its snapshot, and `create index concurrently` waits for snapshots
        while connection.execute("select pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise SchemaError(f"another process migrates for more than {_LOCK_LIMIT:.0f} s: try again later")
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def yoyo_backend(dsn: str) -> Iterator[Any]:
    """Yields yoyo's backend for a database, which applies migrations and rolls them back."""
    import yoyo

    # everything as query parameters: yoyo's parser handles neither %20 in a database's name nor several hosts
    backend = yoyo.get_backend(f"postgresql+psycopg://?{urlencode(libpq.parameters(dsn))}")
    with backend:
        yield backend
