"""The log of real processes: whole lines of several workers, and a service that does not wait for its log's reader."""

import contextlib
import fcntl
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.service import LIMIT, _environment, command, free_port, wait_until

pytestmark = pytest.mark.slow

REQUESTS = 600  # whose lines take more than a pipe does


@contextlib.contextmanager
def serving(environ: dict[str, str]) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    """Starts a service whose stderr is a pipe. Yields its process and a client."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "amplifier", "serve"],
        env=_environment({"SERVICE_PORT": str(port), "LOG_FORMAT": "json", **environ}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as client:
            wait_until(lambda: _answers(client))
            yield process, client
    finally:
        process.kill()
        process.wait(LIMIT)


def _answers(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/health/ready").is_success
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_lines_are_whole_and_none_is_lost(dsn: str, workers: str) -> None:
    read: list[bytes] = []
    with serving({"DATABASE_URL": dsn, "SERVICE_WORKERS": workers}) as (process, client):
        assert process.stderr is not None
        reader = threading.Thread(target=lambda stderr=process.stderr: read.extend(stderr))
        reader.start()
        for number in range(REQUESTS):
            client.get("/sessions", headers={"X-Request-ID": f"r{number}", "Connection": "close"}).raise_for_status()
        process.terminate()
        assert process.wait(LIMIT) == 0
        reader.join(LIMIT)
    lines: list[dict[str, Any]] = [json.loads(line) for line in read]
    ids = [line["request_id"] for line in lines if line.get("route") == "/sessions"]
    assert sorted(ids) == sorted(f"r{number}" for number in range(REQUESTS))
    assert {line["message"] for line in lines} >= {"Application shutdown complete.", "GET /sessions 200"}


def test_service_answers_and_stops_while_nobody_reads_its_log(dsn: str) -> None:
    with serving({"DATABASE_URL": dsn}) as (process, client):
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        for _ in range(REQUESTS):
            client.get("/sessions").raise_for_status()
        process.terminate()
        assert process.wait(LIMIT) == 0
        lines = process.stderr.read().splitlines()
    assert len(lines) < REQUESTS
    assert json.loads(lines[0])["level"] in ("info", "warning")


def test_errors_of_commands_are_lines_of_json_where_the_log_is() -> None:
    for environ in ({}, {"SERVICE_PORT": "nonsense"}):
        done = command({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "LOG_FORMAT": "json", **environ}, "serve")
        [line] = done.stderr.splitlines()
        assert json.loads(line)["level"] == "critical"
        assert done.returncode == 1
