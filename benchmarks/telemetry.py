"""Measures what telemetry costs a request: the service with it beside the service without, in turns in one run.

The first table has the CPU time of the serving process per request over HTTP, and its throughput. The second has the
CPU time of a request inside this process, without uvicorn, where other programs on the machine change little: the tenth
part of the rounds that was fastest. Arguments select the kinds of telemetry of the first table. Spans and lines of the
log go to a receiver that keeps nothing.
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import uvloop

from amplifier.postgres import embedded
from amplifier.schema import migrate
from amplifier.secret import Secret
from amplifier.server.app import create_app
from amplifier.settings import Settings
from amplifier.telemetry import tracing
from amplifier.telemetry.access_log import AccessLog
from amplifier.telemetry.log_lines import renderer
from amplifier.telemetry.sampling import Ratio
from amplifier.telemetry.served import Observer
from benchmarks import requests
from benchmarks.floors import USER

ROUNDS, SECONDS, CONNECTIONS = 31, 1, 32
INSIDE_ROUNDS, IN_A_ROUND = 1500, 10
_TRACES = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
KINDS = {  # the settings of each kind of telemetry
    "metrics": {"METRICS_PORT": "19464"},
    "traces": _TRACES,
    "every request traced": _TRACES | {"OTEL_TRACES_SAMPLER": "always_on"},
    "access log": {"ACCESS_LOG": "true", "LOG_FORMAT": "json", "LOG_LEVEL": "info"},
}
KINDS["everything"] = KINDS["access log"] | {"METRICS_PORT": "19466"}  # and to a collector
_TICKS = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """The work of a server under load."""

    microseconds: float  # of CPU per request
    per_second: float


def main(only: list[str]) -> None:
    """Prints the tables."""
    if shutil.which("wrk") is None:
        sys.exit("the benchmarks need wrk: apt-get install wrk")
    kinds = {name: settings for name, settings in KINDS.items() if not only or name in only}
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp")))
        dsn = stack.enter_context(embedded.running(home, "amplifier-api"))
        migrate.migrate(dsn)
        key, sessions, _, _ = asyncio.run(requests._seed(dsn))
        token = jwt.encode({"sub": USER, "exp": int(time.time()) + 36000}, requests.SECRET, "HS256")
        headers = {"X-API-Key": key, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        environ = {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": requests.SECRET}
        environ |= {"DATABASE_POOL_MIN_SIZE": "10", "LOG_LEVEL": "warning", "ACCESS_LOG": "false"}
        off = stack.enter_context(requests._server(None, environ))
        paths = [f"/sessions/{one}" for one in sessions]
        sent = {"messages": [requests.MESSAGE]}
        scripts = {
            "get a session": requests._script(home, "get", headers, paths, None),
            "append": requests._script(home, "append", headers, [f"{path}/transcript" for path in paths], sent),
        }
        print(f"{'':34}{'µs of CPU':>10}{'beside':>10}{'ratio':>8}   {'spread':14}a second, ratio")
        receiver = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.enter_context(_receiver())}
        for kind, settings in kinds.items():
            more = settings | (receiver if kind != "metrics" else {})
            on = stack.enter_context(requests._server(None, environ | more))
            for name, script in scripts.items():
                _compare(f"{name}, {kind} / off", lambda s=script, p=on: _load(p, s), lambda s=script: _load(off, s))
        os.environ.update(_TRACES | receiver)
        uvloop.run(_inside(dsn, headers, paths))


def _compare(title: str, ours: Callable[[], Load], theirs: Callable[[], Load]) -> None:
    ours(), theirs()  # warm
    pairs = [(ours(), theirs()) if turn % 2 else tuple(reversed((theirs(), ours()))) for turn in range(ROUNDS)]
    ratios = sorted(a.microseconds / b.microseconds for a, b in pairs)
    first, second = (statistics.median(one.microseconds for one in column) for column in zip(*pairs, strict=True))
    throughput = statistics.median(a.per_second / b.per_second for a, b in pairs)
    spread = f"{ratios[0]:.2f}..{ratios[-1]:.2f}"
    ratio = statistics.median(ratios)
    print(f"{title:34}{first:>10.0f}{second:>10.0f}{ratio:>8.3f}   {spread:14}{throughput:.2f}", flush=True)


def _load(port: int, script: Path) -> Load:
    """Loads a server for some seconds. Fails if any response is not a success."""
    before = _cpu(port)
    output = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), f"http://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the server refused requests of {script.name}:\n{output}")
    count, per_second = re.search(r"(\d+) requests in", output), re.search(r"Requests/sec:\s+([\d.]+)", output)
    return Load((_cpu(port) - before) / int(count[1]) * 1e6, float(per_second[1]))  # type: ignore[index]


def _cpu(port: int) -> float:
    """Returns the CPU time of the server's process in seconds."""
    fields = Path(f"/proc/{requests._processes[port]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def _inside(dsn: str, headers: dict[str, str], paths: list[str]) -> None:
    """Prints the CPU time of reading a session inside this process, for each kind of telemetry beside none."""
    settings = Settings(
        database_url=Secret(dsn), auth_required=True, secret_key=Secret(requests.SECRET), metrics_port=19465
    )
    app = create_app(settings, dsn, checked=True)
    metrics, access_log = app.observers, AccessLog(lambda _: None, renderer("json", sys.stderr), logging.INFO)
    given = [(b"host", b"localhost"), *((name.lower().encode(), value.encode()) for name, value in headers.items())]
    async with app.lifespan():
        tracer = tracing.tracer
        assert tracer is not None
        kinds: dict[str, tuple[tuple[Observer, ...], tracing.Tracer | None]] = {
            "off": ((), None),
            "record of the request": ((lambda _: None,), None),
            "metrics": (metrics, None),
            "access log": ((access_log,), None),
            "traces": ((), tracer),
            "everything": ((*metrics, access_log), tracer),
            "every request traced": ((), tracing.Tracer(Ratio(1, follows_parent=False), tracer.sinks)),
        }
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(INSIDE_ROUNDS):
            for kind in kinds if turn % 2 else reversed(kinds):
                app.observers, tracing.tracer = kinds[kind]
                started = time.thread_time()
                for path in paths[:IN_A_ROUND]:
                    await _get(app, path, given)
                taken[kind].append((time.thread_time() - started) / IN_A_ROUND * 1e6)
        app.observers, tracing.tracer = (), tracer
    off, *others = ((kind, statistics.quantiles(times, n=10)[0]) for kind, times in taken.items())
    for kind, time_ in others:
        title = f"get, in this process, {kind} / off"
        print(f"{title:44}{time_:>8.1f}{off[1]:>10.1f}   {time_ - off[1]:+.1f} µs")


@contextlib.contextmanager
def _receiver() -> Iterator[str]:
    """Runs a collector that takes everything, and yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def _get(app: Any, path: str, headers: list[tuple[bytes, bytes]]) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "state": {}, "scheme": "http", "root_path": ""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


if __name__ == "__main__":
    main(sys.argv[1:])
