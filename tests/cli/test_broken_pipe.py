"""A program that reads the output of a command may end at any time: no traceback, and the status of other programs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from amplifier import paths
from tests.support.service import _environment, free_port, wait_until

pytestmark = pytest.mark.slow

BROKEN = 141


def status_of(*arguments: str, stderr: bool = False, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Returns the exit status and the errors of a command whose output nobody reads, with `stderr` neither."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "amplifier", *arguments],
            env=_environment(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer if stderr else subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_command_without_reader_exits_like_other_programs(dsn: str, unbuffered: str) -> None:
    environ = {"DATABASE_URL": dsn, "PYTHONUNBUFFERED": unbuffered}
    document = str(paths.folder("openapi") / "openapi.json")
    assert status_of("openapi", "--against", document, environ=environ) == (BROKEN, "")
    assert status_of("migrate", environ=environ) == (BROKEN, "")


def test_help_without_reader_is_no_error() -> None:
    for arguments in (("--help",), ("--version",), ("queries", "check", "--help")):
        status, errors = status_of(*arguments)
        assert (status in (0, BROKEN), errors) == (True, "")


def test_error_without_reader_keeps_its_status_or_is_a_broken_pipe(tmp_path: Path) -> None:
    status, errors = status_of("queries", "check", "--queries", str(tmp_path))
    assert (status, errors.count("\n")) == (2, 1), "nothing was written to stdout"
    assert status_of("queries", "check", "--queries", str(tmp_path), stderr=True)[0] in (2, BROKEN)


def test_output_on_a_full_disk_is_an_error(dsn: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "amplifier", "migrate"],
            env=_environment({"DATABASE_URL": dsn, "PYTHONUNBUFFERED": ""}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "amplifier-api: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(("stderr", "workers"), [(False, "1"), (True, "1"), (False, "2")])
def test_service_outlives_the_reader_of_its_log(dsn: str, stderr: bool, workers: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    port = free_port()
    settings = {"DATABASE_URL": dsn, "SERVICE_PORT": str(port), "LOG_LEVEL": "debug", "SERVICE_WORKERS": workers}
    process = subprocess.Popen(
        [sys.executable, "-m", "amplifier", "serve"],
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer if stderr else subprocess.PIPE,
    )
    os.close(writer)
    try:
        wait_until(lambda: _answers(port) or process.poll() is not None)
        assert all(_answers(port) for _ in range(5)), "each request is logged"
        process.terminate()
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait(30)
    assert process.returncode in (0, BROKEN)
    assert b"Traceback" not in (errors or b"")
    assert b"Logging error" not in (errors or b"")


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/version", timeout=5).is_success
    except httpx.TransportError:
        return False
