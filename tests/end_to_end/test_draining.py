"""SIGTERM: a process that proxies still send requests serves them for SHUTDOWN_DELAY, and says that it is not ready."""

import http.client
import json
import signal
import socket
import time

import httpx
import pytest

from tests.support.service import LIMIT, running_service, wait_until

pytestmark = pytest.mark.slow

DELAY = 2  # seconds


@pytest.mark.parametrize("workers", ["1", "2"])
def test_stopping_process_serves_until_delay_ends(dsn: str, workers: str) -> None:
    environ = {"DATABASE_URL": dsn, "SHUTDOWN_DELAY": str(DELAY), "SERVICE_WORKERS": workers}
    with running_service(environ) as service, httpx.Client(base_url=service.url, timeout=LIMIT) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        started = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready", headers={"Connection": "close"}).status_code == 503, DELAY)
        while time.monotonic() < started + DELAY - 0.5:
            assert httpx.get(f"{service.url}/sessions").status_code == 200
        assert service.process.wait(LIMIT) == 0
        assert time.monotonic() - started >= DELAY


def test_second_signal_ends_delay(dsn: str) -> None:
    with running_service({"DATABASE_URL": dsn, "SHUTDOWN_DELAY": "600"}) as service:
        wait_until(lambda: httpx.get(f"{service.url}/health/ready").status_code == 200)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{service.url}/health/ready").status_code == 503)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(LIMIT) == 0


def test_idle_connection_stays_open_for_keep_alive(dsn: str) -> None:
    """Also one on which no request has come: proxies open connections ahead. It ends without an answer."""
    with running_service({"DATABASE_URL": dsn, "KEEP_ALIVE": "2"}) as service:
        port = int(service.url.rpartition(":")[2])
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
            assert connection.recv(100) == b""
        assert time.monotonic() - started >= 1.9
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        for _ in range(2):
            client.request("GET", "/health/live")
            assert json.load(client.getresponse()) == {"status": "alive"}
        answered = time.monotonic()
        assert client.sock.recv(100) == b""
        client.close()
        assert 1.9 <= time.monotonic() - answered < LIMIT
