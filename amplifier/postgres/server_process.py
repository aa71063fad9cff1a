"""The process of a PostgreSQL server: starts it as a child of this process, waits until it is ready, and stops it.

`amplifier.postgres.embedded` makes the data folder, and decides whether to start a server or to join a running one.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from amplifier.postgres.os_user import EmbeddedError

_START_LIMIT = 30.0  # seconds until a server must answer at all; recovery after a crash may take longer
_STOP_LIMIT = 60.0  # seconds for a fast shutdown before an immediate one
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, because between fork and exec the loader's lock may be held by another thread


def popen(command: list[str], account: pwd.struct_passwd | None, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts a program of PostgreSQL as `account`, or as the current user if that is None, with its output in `log`.

    The child has a session of its own, because Ctrl-C must not reach it before the service has finished its requests.
    On Linux it is shut down when this process is killed.
    """
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
    """Asks Linux to send SIGINT, a fast shutdown for PostgreSQL, when the parent dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def stop_orphan(data: Path) -> None:
    """Stops the server of a process that was killed. Raises EmbeddedError if it does not stop.

    The caller holds the lock of the home, so that no other process uses this server.
    """
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + _STOP_LIMIT
    while (pid := postmaster(pid_file)) is not None:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the PostgreSQL server {pid} of {data} does not stop: end it and start again")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(0.05)


def postmaster(pid_file: Path) -> int | None:
    """Returns the process id in `postmaster.pid`, or None if no such process serves this folder.

    Checks the command line, because the system reuses process ids.
    """
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


def is_ready(dsn: str, home: Path, hopeless: Callable[[], bool]) -> bool:
    """Waits for the server. Returns True when it takes connections, False when `hopeless()` returns true.

    Waits without limit while the server reports that it is starting up or recovering. Raises EmbeddedError if it does
    not answer for 30 seconds.
    """
    import psycopg  # imported late, so that initdb runs meanwhile

    deadline = time.monotonic() + _START_LIMIT
    while not hopeless():
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "starting up" in str(error) or "not yet accepting" in str(error):
                deadline = time.monotonic() + _START_LIMIT
            elif time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL does not answer: {error}\n{tail(home / 'postgresql.log')}") from error
            time.sleep(0.01)
        else:
            return True
    return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stops a server with a fast shutdown, or an immediate one if that takes more than a minute."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait(_STOP_LIMIT)


def tail(log: Path, lines: int = 15) -> str:
    """Returns the last lines of a log, or an empty string if it is missing."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
