"""Runs PgBouncer in front of a PostgreSQL server: the installed one, or one of a container image."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import docker

from amplifier.postgres.os_user import account_of
from tests.support.databases import engine_answers
from tests.support.service import LIMIT, free_port, wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
IMAGE = os.environ.get("TEST_PGBOUNCER_IMAGE")  # with a PgBouncer of 1.21 or newer, for the container engine
_VERSION = re.compile(r"PgBouncer (\d+)\.(\d+)")
_PREPARES = (1, 21)  # the first release that prepares the statements of clients on each of its connections


@cache
def program_version() -> tuple[int, int]:
    """Returns the version of the installed PgBouncer; (0, 0) if there is none."""
    if PROGRAM is None:
        return (0, 0)
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    found = _VERSION.match(said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def has_old() -> bool:
    """Returns whether a PgBouncer is installed that does not know prepared statements."""
    return (0, 0) < program_version() < _PREPARES


@cache
def has_new() -> bool:
    """Returns whether a PgBouncer that knows prepared statements is installed or in an image."""
    return program_version() >= _PREPARES or (IMAGE is not None and engine_answers())


class Pooler:
    """A PgBouncer on a port of this machine. It can be stopped and started again."""

    def __init__(self, folder: Path, server_port: int, new: bool = False, **options: object) -> None:
        """Takes options of pgbouncer.ini. `users` are the logins that it lets in; without them it lets in everybody."""
        self.port, self._folder = free_port(), folder
        self._in_container = new and program_version() < _PREPARES
        users = str(options.pop("users", ""))
        server = f"host=127.0.0.1 port={server_port}"
        access = {"auth_type": "trust", "auth_file": folder / "users.txt"} if users else {"auth_type": "any"}
        given = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", **access, **options}
        lines = [f"{name} = {value}" for name, value in given.items()]
        databases = f"* = {server}" if users else f"postgres = user=amplifier {server}"
        (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users.split()))
        (folder / "pgbouncer.ini").write_text("\n".join(["[databases]", databases, "[pgbouncer]", *lines, ""]))
        for file in ("users.txt", "pgbouncer.ini"):
            (folder / file).chmod(0o644)
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"amplifier-test-pgbouncer-{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        """Starts it, and returns when it accepts connections."""
        if self._in_container:
            with contextlib.closing(docker.from_env(timeout=60)) as engine:
                engine.containers.run(
                    IMAGE,
                    ["pgbouncer", str(self._folder / "pgbouncer.ini")],
                    name=self._name,
                    user="65534",
                    network_mode="host",
                    volumes={str(self._folder): {"bind": str(self._folder), "mode": "ro"}},
                    detach=True,
                )
        else:
            account = account_of("amplifier-api")
            assert PROGRAM is not None
            with (self._folder / "pgbouncer.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [PROGRAM, str(self._folder / "pgbouncer.ini")],
                    stdout=log,
                    stderr=log,
                    user=account.pw_uid if account else None,
                    cwd="/",
                )
        wait_until(self._answers, explain=lambda: self.log)

    def stop(self) -> None:
        """Ends it at once, with the connections through it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT)
            self._process = None
        elif self._in_container:
            engine = docker.from_env(timeout=60)
            with contextlib.closing(engine), contextlib.suppress(docker.errors.NotFound):
                engine.containers.get(self._name).remove(force=True)

    @property
    def log(self) -> str:
        """The lines that it printed."""
        if not self._in_container:
            return (self._folder / "pgbouncer.log").read_text()
        with contextlib.closing(docker.from_env(timeout=60)) as engine:
            return engine.containers.get(self._name).logs().decode()  # type: ignore[no-any-return]

    def _answers(self) -> bool:
        assert self._process is None or self._process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running(folder: Path, server_port: int, new: bool = False, **options: object) -> Iterator[Pooler]:
    """Runs a PgBouncer in transaction mode during the context. `new` runs one that knows prepared statements."""
    pooler = Pooler(folder, server_port, new, **{"pool_mode": "transaction", **options})
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()


@contextlib.contextmanager
def pooling(folder: Path, server_port: int, mode: str, ignored: str = "") -> Iterator[int]:
    """Yields the port of a pooler that lets everybody in. `ignored` are parameters of a start that it must ignore."""
    with running(folder, server_port, pool_mode=mode, ignore_startup_parameters=ignored) as pooler:
        yield pooler.port
