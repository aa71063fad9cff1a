"""PostgreSQL clusters that a test may kill, freeze, fill up and promote, each on a port of 127.0.0.1.

A cluster comes to life as a copy of a migrated one, because initdb and all migrations take seconds. The small file
systems for them are in `small_disks.py`.
"""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of, make_private, reachable_install
from amplifier.schema import migrate, service_login
from amplifier.settings import SERVICE_LOGIN
from tests.support.service import LIMIT, free_port, wait_until

USER = "amplifier-api"
_DEBIAN = Path("/usr/lib/postgresql/15")
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "log_min_error_statement": "panic",
    "max_wal_senders": "4",
    "wal_keep_size": "64MB",  # a standby that was away for some seconds follows again
    "wal_retrieve_retry_interval": "200ms",
}


def install(folder: Path) -> Path:
    """Returns the folder of PostgreSQL's programs: Debian's 15, else the wheel's 18, copied where USER may not read."""
    if (_DEBIAN / "bin/pg_rewind").exists():
        return _DEBIAN
    return reachable_install(embedded.wheel_install(), folder, account_of(USER))


class Cluster:
    """A data folder and the server on it, which runs or does not."""

    def __init__(self, folder: Path, programs: Path, port: int | None = None) -> None:
        self.folder, self.programs, self.port = folder, programs, port or free_port()
        self.data = folder / "data"
        self.account: pwd.struct_passwd | None = account_of(USER)
        self._server: subprocess.Popen[bytes] | None = None
        make_private(folder, self.account)

    @property
    def dsn(self) -> str:
        """The address for the owner of the database, a superuser."""
        return self.address(embedded.ROLE)

    @property
    def service_dsn(self) -> str:
        """The address for the login of the service, which no reserved connection is kept for."""
        return self.address(SERVICE_LOGIN)

    def address(self, role: str) -> str:
        """Returns the address for a role."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{embedded.DATABASE}?sslmode=disable"

    def initialise(self) -> None:
        """Makes the data folder. Segments of WAL are small, so that they fit into small file systems."""
        options = ["-U", embedded.ROLE, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        self.program("initdb", "-D", self.data, *options, "--data-checksums", "--wal-segsize=1")

    def start(self, **options: Any) -> None:
        """Starts the server with these settings, and returns when it takes connections."""
        self.launch(**options)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Returns when the server takes connections."""
        assert server_process.is_ready(self.dsn, self.folder, self.has_ended), self.log

    async def started(self, **options: Any) -> None:
        """Starts the server as `start` does, while other tasks run."""
        self.launch(**options)  # in this thread: Linux ends the server when the thread ends that started it
        await asyncio.to_thread(self.wait_until_ready)

    def launch(self, **options: Any) -> None:
        """Starts the server with these settings, and does not wait for it."""
        assert self.has_ended(), "the server runs already"
        options = _OPTIONS | {"unix_socket_directories": self.folder, **options}
        command = [str(self.programs / "bin/postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "postgresql.log").open("ab") as log:
            self._server = server_process.popen(command, self.account, log)

    def has_ended(self) -> bool:
        """Returns whether no server runs."""
        return self._server is None or self._server.poll() is not None

    def wait_for_end(self) -> int:
        """Returns the exit status of a server that ends by itself."""
        assert self._server is not None
        return self._server.wait(LIMIT)

    def stop(self) -> None:
        """Stops the server as an operator does, if it runs."""
        if self._server is not None:
            server_process.stop(self._server)

    def kill(self) -> None:
        """Kills all processes of the server at once, as the end of its machine would."""
        assert self._server is not None
        with contextlib.suppress(ProcessLookupError):
            self._server.send_signal(signal.SIGSTOP)  # it must not fork meanwhile
            processes = self._processes()
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._server.wait(LIMIT)
            wait_until(lambda: not _running(processes))  # until then they hold the shared memory of the data folder

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stops all processes of the server for as long as the context lasts."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        processes = self._processes()
        try:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in reversed(processes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def run(self, statement: str, *args: Any) -> list[Any]:
        """Runs a statement as a DBA and returns its rows."""
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement, args or None)
            return cursor.fetchall() if cursor.description else []

    def program(self, name: str, *arguments: object) -> None:
        """Runs a program of PostgreSQL to its end."""
        with (self.folder / f"{name}.log").open("w+b") as log:
            command = [str(self.programs / "bin" / name), *map(str, arguments)]
            status = server_process.popen(command, self.account, log).wait(LIMIT)
            assert status == 0, Path(log.name).read_text(errors="replace")

    def write(self, name: str, text: str) -> None:
        """Writes a file of the data folder."""
        (self.data / name).write_text(text)
        if self.account is not None:
            os.chown(self.data / name, self.account.pw_uid, self.account.pw_gid)

    @property
    def log(self) -> str:
        """The server's log, without statements."""
        return (self.folder / "postgresql.log").read_text(errors="replace")

    def _processes(self) -> list[int]:
        assert self._server is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._server.pid)], capture_output=True, text=True, timeout=LIMIT
        )
        return [self._server.pid, *map(int, listed.stdout.split())]


def _running(processes: list[int]) -> bool:
    """Returns whether one of the processes has not ended. Zombies of a careless parent have."""
    command = ["ps", "-o", "stat=", "-p", ",".join(map(str, processes))]
    states = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT).stdout.split()
    return any(not state.startswith("Z") for state in states)


def make_template(folder: Path, fill: Callable[[str], object] = lambda _: None) -> Path:
    """Makes a migrated cluster with the login of the service in `folder`, stops it, and returns its data folder.

    `fill` gets its address.
    """
    cluster = Cluster(folder, install(folder.parent))
    cluster.initialise()
    cluster.start(fsync="off", synchronous_commit="off", full_page_writes="off")
    try:
        migrate.migrate(cluster.dsn)
        service_login.ensure(cluster.dsn, SERVICE_LOGIN)
        fill(cluster.dsn)
    finally:
        cluster.stop()
    return cluster.data


@contextlib.contextmanager
def copied(template: Path, folder: Path, wal: Path | None = None) -> Iterator[Cluster]:
    """Yields a cluster in `folder` with the data of `template`, not started; with its WAL in the folder `wal`."""
    cluster = Cluster(folder, install(template.parent.parent))
    cluster.data.mkdir(exist_ok=True)  # or a file system is mounted there
    subprocess.run(["cp", "--archive", f"{template}/.", cluster.data], check=True, timeout=LIMIT)
    if wal is not None:
        make_private(wal, cluster.account)
        subprocess.run(["cp", "--archive", cluster.data / "pg_wal", wal / "pg_wal"], check=True, timeout=LIMIT)
        shutil.rmtree(cluster.data / "pg_wal")
        (cluster.data / "pg_wal").symlink_to(wal / "pg_wal")
    try:
        yield cluster
    finally:
        cluster.stop()
