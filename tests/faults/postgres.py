"""A PostgreSQL server of a test, which can be killed, suspended and started again, with PostgreSQL's own durability."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from amplifier.postgres import embedded
from amplifier.postgres.os_user import account_of, reachable_install
from amplifier.postgres.server_process import is_ready, stop
from amplifier.schema import migrate, service_login
from amplifier.web.authentication import generate_key

USER = "amplifier-api"  # the account of the server if root runs the tests
KEY = generate_key()  # of the application of all worlds
_APPLICATION = """
    insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings, key_managers, act_as)
    values ('faults', 'faults', %s, %s, true, '{}', '{}', false)
"""


class Postgres:
    """A server with its data in `home`, reached through a socket there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dsn = embedded.address(home)  # of the owner
        self.service_dsn = embedded.service_address(self.dsn)  # of the service's own login
        self._account = account_of(USER)
        self._install = reachable_install(embedded.wheel_install(), home, self._account)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def pids(self) -> list[int]:
        """Returns the process ids of the postmaster and its children."""
        return [self.pid, *_children(self.pid)]

    async def start(self, limit: float = 30.0) -> None:
        """Starts the server and returns when it takes connections."""
        async with asyncio.timeout(limit):
            while True:
                # in the main thread: Linux ends the server when the thread ends that started it
                process = self._process = embedded._start(self.home, self._install, self._account, lambda: None)
                if await asyncio.to_thread(is_ready, self.dsn, self.home, lambda one=process: one.poll() is not None):
                    return
                await asyncio.sleep(0.02)  # killed backends still hold the shared memory

    def kill(self) -> None:
        """Kills the postmaster and its children, as a crash of the machine does; what the kernel has stays."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def pause(self) -> None:
        """Suspends the postmaster and its children."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets all of them continue."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the postmaster, then to its children: a stopped one forks no more."""
        os.kill(self.pid, number if number is not signal.SIGKILL else signal.SIGSTOP)
        children = _children(self.pid)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Shuts the server down if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            stop(self._process)


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def prototype() -> Iterator[Path]:
    """Yields the home of a migrated server that does not run, with the service's login and an application."""
    with short_folder() as home:
        with embedded.running(home, USER) as dsn:
            migrate.migrate(dsn)
            service_login.ensure(dsn, embedded.SERVICE)
            add_application(dsn)
        yield home


def add_application(dsn: str) -> None:
    """Creates the application of all worlds."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_APPLICATION, (KEY.hash, KEY.prefix))  # type: ignore[arg-type]


def copied(original: Path, home: Path) -> Postgres:
    """Copies the files of a server that does not run into `home`, with their owners."""
    subprocess.run(["cp", "-a", f"{original}/.", str(home)], check=True, timeout=60)
    return Postgres(home)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Creates a folder in /tmp: the path of a socket has a limit. PostgreSQL's own user can reach it."""
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
