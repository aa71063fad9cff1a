"""Real processes of `amplifier-api`, for tests that an application inside the test process cannot serve."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import httpx
import msgspec

from amplifier import secret
from amplifier.setting_sources import SECRETS
from amplifier.settings import Settings
from tests.support import log_leaks

LIMIT = 30.0  # seconds for any step of another process
_SETTINGS = {field.encode_name for field in msgspec.structs.fields(Settings)}


class Service:
    """A server process: its address, the process, and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes], host: str = "127.0.0.1") -> None:
        self.process = process
        self.url = f"http://{host}:{port}"
        self._log = log

    @property
    def output(self) -> str:
        """Everything on stdout and stderr so far."""
        return Path(self._log.name).read_text(errors="replace")

    def wait_until_healthy(self, limit: float = LIMIT) -> None:
        """Returns when /health says so; fails with the output when the process ends, or after `limit` seconds."""

        def healthy() -> bool:
            assert self.process.poll() is None, f"status {self.process.returncode}\n{self.output}"
            try:
                return client.get(f"{self.url}/health").json()["status"] == "healthy"
            except httpx.TransportError:
                return False

        with httpx.Client(timeout=5, verify=False) as client:  # otherwise it reads all certificates first
            wait_until(healthy, limit, lambda: self.output)

    def interrupt(self) -> int:
        """Sends SIGINT to the process group, as Ctrl-C does, and returns the exit status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(LIMIT)

    def stop(self) -> int:
        """Sends SIGTERM and returns the exit status."""
        self.process.terminate()
        return self.process.wait(LIMIT)


@contextlib.contextmanager
def running_service(environ: Mapping[str, str], limit: float = LIMIT, prefix: Sequence[str] = ()) -> Iterator[Service]:
    """Starts a service with the settings `environ` only, on a free port unless SERVICE_PORT is given.

    `prefix` is the beginning of its command, such as `ip netns exec`. It is stopped at the end if it still runs, and
    must exit with 0 then.
    """
    port = int(environ.get("SERVICE_PORT") or free_port())
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "amplifier", "serve"],
            env=_environment({"SERVICE_PORT": str(port), **environ}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        service = Service(process, port, log, environ.get("SERVICE_HOST", "127.0.0.1"))
        try:
            service.wait_until_healthy(limit)
            yield service
            if process.poll() is None:
                assert service.stop() == 0, service.output
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)
        check_output(environ, service.output)


def check_output(environ: Mapping[str, str], output: str) -> None:
    """Fails if a service with these settings wrote one of its secrets, or what has the form of one."""
    held = [environ[name.upper()] for name in SECRETS if name.upper() in environ]
    held = [text for text in held if not text.startswith(("file:", "keyvault:"))]
    known = {part for text in held for part in secret._parts(text) if len(part) >= log_leaks.SHORTEST}
    log_leaks.check([output], known)


def command(environ: Mapping[str, str], *arguments: str, limit: float = LIMIT) -> subprocess.CompletedProcess[str]:
    """Runs `amplifier-api` with these arguments and settings."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, "-m", "amplifier", *arguments],
            env=_environment(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
        )


def free_port() -> int:
    """Returns a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def postgres_servers(folder: Path) -> list[int]:
    """Returns the process ids of PostgreSQL servers with their data below `folder`."""
    lines = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, timeout=LIMIT).stdout
    return [int(line.split()[0]) for line in lines.splitlines() if "postgres -D" in line and f" {folder}/" in line]


def wait_until(condition: Callable[[], bool], limit: float = LIMIT, explain: Callable[[], str] = str) -> None:
    """Returns when the condition holds; fails after `limit` seconds with the explanation."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns this process's environment without settings, extended by `environ`."""
    inherited = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    return {**inherited, "AMPLIFIER_CACHE": "none", **environ}
