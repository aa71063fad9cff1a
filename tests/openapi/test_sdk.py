"""Clients that are generated from the OpenAPI document do the main job on a running service, fully typed."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import SECRET, private_folder, token
from tests.support.paths import ROOT
from tests.support.service import command, running_service

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "openapi/examples"
LIMIT = 300  # seconds; the first run downloads packages
SAID = [
    "appended up to 1",
    "shared with noor as editor",
    "event message.created",
    "said Is there a direct flight to Geneva?",
    "event participant.added",
    "appended up to 3",
    "missing 404 Session not found",
]

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")


@pytest.fixture(scope="module")
def environ() -> Iterator[dict[str, str]]:
    """A service with authentication, and its address and credentials as variables for the examples."""
    with private_folder() as home:
        settings = {"AMPLIFIER_HOME": str(home), "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
        with running_service(settings) as service:
            key = command(settings, "applications", "create", "travel-desk").stdout.strip()
            yield {"AMPLIFIER_URL": service.url, "AMPLIFIER_KEY": key, "AMPLIFIER_TOKEN": token(sub="mia", exp=2**32)}


def test_python_client_does_main_job(environ: dict[str, str]) -> None:
    make("sdk-python")
    client = str(ROOT / "build/sdk/python")
    example = str(EXAMPLES / "main_job.py")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental"]
    run(*mypy, example, environ={"MYPYPATH": client})
    lines = run(sys.executable, example, environ=environ | {"PYTHONPATH": client})
    assert [line for line in lines if not line.startswith(("read", "found", "stale"))] == SAID
    assert "read [(1, 'user', 'Is there a direct flight to Geneva?')]" in lines
    assert "found ['Is there a <mark>direct</mark> <mark>flight</mark> to Geneva?']" in lines
    assert "stale [1]" in lines


@needs_npm
def test_typescript_client_does_main_job(environ: dict[str, str]) -> None:
    make("sdk-typescript")
    run("node_modules/.bin/tsc", "--project", str(EXAMPLES))
    lines = run("node", "build/examples/main_job.js", environ=environ)
    assert [line for line in lines if not line.startswith(("read", "found", "stale"))] == SAID
    assert 'read [[1,"user","Is there a direct flight to Geneva?"]]' in lines
    assert 'found ["Is there a <mark>direct</mark> <mark>flight</mark> to Geneva?"]' in lines
    assert "stale [1]" in lines


@pytest.mark.parametrize("folder", [".", "clients/typescript"])
def test_lock_file_names_no_registry(folder: str) -> None:
    assert '"resolved"' not in (ROOT / folder / "package-lock.json").read_text()


def make(target: str) -> None:
    """Runs make under a lock: two workers at once would remove each other's packages."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("make", target)


def run(*arguments: str, environ: dict[str, str] | None = None) -> list[str]:
    """Returns the lines that a command prints. It must succeed."""
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
