"""Real processes of the service for tests: one with authentication off, one with it on."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import jwt

ROOT = Path(__file__).parents[3]
PROGRAM = Path(os.environ.get("AMPLIFIER_API", ROOT / ".venv/bin/amplifier-api"))
SECRET = "a secret for tests that is long enough for HS256"
LIMIT = 60.0  # seconds for any step of a process
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class Service:
    """A running service: its address, its settings, and the keys of its applications."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self.url = url
        self.environ = environ

    def application(self, name: str, *options: str) -> str:
        """Creates an application and returns its key."""
        return re.findall(r"app_\S+", self.command("applications", "create", name, *options))[-1]

    def command(self, *arguments: str) -> str:
        """Runs `amplifier-api` with the service's settings and returns what it prints."""
        done = subprocess.run(
            [PROGRAM, *arguments], env=self.environ, capture_output=True, text=True, timeout=LIMIT, check=True
        )
        return done.stdout


def token(user_id: str) -> str:
    """Returns a token of a user, for a service with authentication on."""
    return jwt.encode({"sub": user_id, "exp": int(time.time()) + 3600}, SECRET, "HS256")


@contextlib.contextmanager
def running(settings: Mapping[str, str]) -> Iterator[Service]:
    """Serves this checkout with an embedded PostgreSQL in a folder of its own."""
    # in /tmp, where PostgreSQL's own user can reach it, also if root runs the tests
    folder = Path(tempfile.mkdtemp(prefix="amplifier-client-", dir="/tmp"))
    folder.chmod(0o755)
    port = free_port()
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environ = {**inherited, "AMPLIFIER_HOME": f"{folder}/home", "SERVICE_PORT": str(port), **settings}
    try:
        with process(environ, folder / "log"):
            yield Service(f"http://127.0.0.1:{port}", environ)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def process(environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `amplifier-api serve` until the end of the block. Fails with its output unless it becomes healthy."""
    with log.open("ab") as output:
        serving = subprocess.Popen([PROGRAM, "serve"], env=environ, cwd=log.parent, stdout=output, stderr=output)
    try:
        _wait(serving, f"http://127.0.0.1:{environ['SERVICE_PORT']}/health", log)
        yield serving
    finally:
        serving.terminate()
        serving.wait(LIMIT)


def free_port() -> int:
    """Returns a port on which no process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait(serving: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + LIMIT
    while serving.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).json()["status"] == "healthy":
                return
        time.sleep(0.05)
    sys.exit(f"the service does not become healthy:\n{log.read_text(errors='replace')}")
