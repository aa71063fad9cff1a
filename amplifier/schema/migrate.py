"""Brings a database's schema up to date with yoyo, safely from many processes at once."""

import contextlib
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from amplifier import paths
from amplifier.errors import OperatorError

_ADVISORY_LOCK = 6_571_482_913  # any number; every process that migrates takes this one
_LOCK_LIMIT = 120.0  # seconds to wait for another process's migrating


class SchemaError(OperatorError):
    """The schema cannot be brought up to date; the message says why."""


def migrate(dsn: str, folder: Path | None = None) -> list[str]:
    """Applies what is missing and returns the ids applied.

    Processes that call this together wait for each other. Raises SchemaError.
    """
    try:
        with exclusively(dsn), yoyo_backend(dsn) as backend:
            backend.break_lock()  # left by a process that died: nobody else holds the advisory lock
            with backend.lock():
                missing = backend.to_apply(known(folder))
                backend.apply_migrations(missing)
                return [migration.id for migration in missing]
    except psycopg.Error as error:
        raise SchemaError(f"the migrations could not be applied: {error}") from error


@cache
def known(folder: Path | None = None) -> Any:
    """The migrations of `folder`, parsed, which takes a third of a first start's migrating and needs no database."""
    import yoyo  # a third of a second, which a start on a migrated database has no use for

    migrations = yoyo.read_migrations(str(folder or paths.folder("migrations")))
    for migration in migrations:
        migration.load()
    return migrations


def pending(dsn: str, folder: Path | None = None) -> list[str]:
    """The ids of migrations that the database lacks. Changes nothing. Raises SchemaError."""
    files = sorted((folder or paths.folder("migrations")).glob("*.sql"))
    known = [file.stem for file in files if not file.name.endswith(".rollback.sql")]
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            if connection.execute("select to_regclass('_yoyo_migration')").fetchone() == (None,):
                return known
            applied = {row[0] for row in connection.execute("select migration_id from _yoyo_migration")}
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"{error}: let the login work as the service's role with: grant amplifier_app to ..."
        ) from error
    except psycopg.Error as error:
        raise SchemaError(f"the database cannot be reached: {error}") from error
    return [identifier for identifier in known if identifier not in applied]


@contextlib.contextmanager
def exclusively(dsn: str) -> Iterator[None]:
    """While nobody else changes the schema. Raises SchemaError after two minutes of waiting."""
    deadline = time.monotonic() + _LOCK_LIMIT
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        # asked again and again: a waiting statement keeps its snapshot, and `create index concurrently` waits for that
        while connection.execute("select pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise SchemaError(f"another process migrates for more than {_LOCK_LIMIT:.0f} s: try again later")
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def yoyo_backend(dsn: str) -> Iterator[Any]:
    """What yoyo applies and takes back migrations with."""
    import yoyo

    # all as arguments: yoyo's own parser knows neither %20 in a database's name nor several hosts
    backend = yoyo.get_backend(f"postgresql+psycopg://?{urlencode(conninfo_to_dict(dsn))}")
    with backend:
        yield backend
