"""The port of the metrics: its formats, and the sum over several worker processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from amplifier.errors import OperatorError
from amplifier.settings import Settings, SettingsError
from amplifier.telemetry import metrics_server
from tests.support.metrics import Figures, parsed
from tests.support.service import Service, free_port, running_service, wait_until


def test_port_serves_both_formats_and_refuses_to_be_changed() -> None:
    registry = CollectorRegistry()
    Counter("amplifier_tests", "Tests", registry=registry).inc()
    settings = Settings(metrics_port=free_port())
    url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
    with metrics_server.serving(settings, registry):
        plain = httpx.get(url)
        other = httpx.get(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert other.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert "amplifier_tests_total 1.0" in plain.text
        assert other.text.endswith("# EOF\n")
        assert httpx.post(url).status_code == 405
        with pytest.raises(OperatorError, match=r"METRICS_PORT=.* already in use"):
            metrics_server.serving(settings, registry).__enter__()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_metrics_need_a_port_of_their_own() -> None:
    with pytest.raises(SettingsError, match="METRICS_PORT must be another port than SERVICE_PORT"):
        Settings(metrics_port=8765)


def test_metrics_are_served_where_the_service_is_unless_told_otherwise() -> None:
    assert Settings(service_host="10.0.0.1").metrics_address == "10.0.0.1"
    assert Settings(service_host="10.0.0.1", metrics_host="127.0.0.1").metrics_address == "127.0.0.1"


def scraped(port: int) -> Figures:
    """Returns the metrics that a service serves."""
    return parsed(httpx.get(f"http://127.0.0.1:{port}/metrics").text)


def workers(service: Service) -> list[int]:
    """Returns the process ids of the workers that uvicorn spawned."""
    command = ["ps", "--ppid", str(service.process.pid), "-ww", "-o", "pid=,args="]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "spawn_main" in line]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_port_shows_the_sum_over_the_workers(dsn: str, tmp_path: Path, count: int) -> None:
    port = free_port()
    environ = {"DATABASE_URL": dsn, "METRICS_PORT": str(port), "SERVICE_WORKERS": str(count), "TMPDIR": str(tmp_path)}
    labels = {"method": "GET", "route": "/version", "status": "200"}
    with running_service(environ) as service:
        wait_until(lambda: scraped(port)("amplifier_workers") == count)
        for _ in range(20):  # on connections of their own, so that both workers get some
            assert httpx.get(f"{service.url}/version").status_code == 200
        wait_until(lambda: scraped(port)("amplifier_http_requests_total", **labels) == 20)
        now = scraped(port)
        assert now("amplifier_listener_connected") == count
        assert now("amplifier_pool_connections_max") == 10 * count
        wait_until(lambda: scraped(port)("amplifier_schema_version") > 80)
        memory = now("process_resident_memory_bytes")
        assert 40_000_000 * count < memory < 400_000_000 * count
        assert httpx.get(f"{service.url}/metrics").status_code == 404, "strangers see nothing"
        if count > 1:
            os.kill(workers(service)[0], signal.SIGKILL)
            wait_until(lambda: scraped(port)("amplifier_workers") == 1)
            assert scraped(port)("amplifier_http_requests_total", **labels) == 20, "what was counted stays"
            wait_until(lambda: scraped(port)("amplifier_workers") == count)
            assert list(tmp_path.glob("amplifier-metrics-*/*.db"))
    assert list(tmp_path.glob("amplifier-metrics-*")) == []


@pytest.mark.slow
def test_service_without_metrics_imports_no_client_of_prometheus() -> None:
    code = (
        "import sys, amplifier.cli.serve, amplifier.server.app as app\n"
        "from amplifier.settings import Settings\n"
        "app.create_app(Settings(), 'postgresql://localhost/none')\n"
        "assert not [name for name in sys.modules if name.startswith('prometheus')]\n"
        "app.create_app(Settings(metrics_port=9464), 'postgresql://localhost/none')\n"
        "assert 'prometheus_client' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
