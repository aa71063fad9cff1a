"""A receiver of telemetry on 127.0.0.1: an OpenTelemetry collector, and the ingestion endpoint of Application Insights.

It answers what a test tells it to, and keeps what arrives: `requests` of OTLP, decoded, and `items` of Application
Insights.
"""

import contextlib
import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.service import wait_until

KEY = "11111111-2222-3333-4444-555555555555"
_DECODED = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Received(NamedTuple):
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Collector:
    """The receiver. `status` answers the next requests; while `hang` is set, requests get no answer."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[Received] = []
        self.hang = threading.Event()
        self.attempts = 0
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def connection_string(self) -> str:
        """That of Application Insights."""
        return f"InstrumentationKey={KEY};IngestionEndpoint={self.url}/"

    @property
    def everything(self) -> str:
        """The text of everything that arrived, with names and values."""
        return "\n".join(str(one) for one in [*self.spans(), *self.metrics(), *self.logs(), *self.items()])

    def spans(self) -> list[Any]:
        """The spans of OTLP."""
        return [
            span
            for request in self._decoded("/v1/traces")
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> list[Any]:
        """The metrics of OTLP."""
        return [
            metric
            for request in self._decoded("/v1/metrics")
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def logs(self) -> list[Any]:
        """The lines of OTLP."""
        return [
            record
            for request in self._decoded("/v1/logs")
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def resources(self) -> list[dict[str, str]]:
        """The resources of spans."""
        return [
            {one.key: one.value.string_value for one in resource.resource.attributes}
            for request in self._decoded("/v1/traces")
            for resource in request.resource_spans
        ]

    def items(self, kind: str = "") -> list[Any]:
        """The items of Application Insights, of one kind such as `RequestData`."""
        found = [
            item
            for one in list(self.received)
            if one.path.endswith("/track")
            for item in (json.loads(line) for line in one.body.splitlines() or [b"[]"])
        ]
        flat = [item for one in found for item in (one if isinstance(one, list) else [one])]
        return [item for item in flat if kind in ("", item["data"]["baseType"])]

    def wait(self, condition: Callable[[], Any]) -> None:
        """Waits for what is to arrive."""
        wait_until(lambda: bool(condition()), explain=lambda: self.everything[-5000:])

    def release(self) -> None:
        """Lets requests that hang end."""
        self._released.set()

    def _decoded(self, path: str) -> list[Any]:
        return [_DECODED[path].FromString(one.body) for one in list(self.received) if one.path == path]  # type: ignore[attr-defined]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Runs a collector in a thread."""
    collector = Collector()
    server = collector._server
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.release()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            collector.attempts += 1
            if collector.hang.is_set():
                collector._released.wait(60)
                self.close_connection = True
                return
            if collector.status == 200:
                headers = {name.lower(): value for name, value in self.headers.items()}
                encoding = headers.get("content-encoding")
                body = gzip.decompress(body) if encoding == "gzip" else body
                body = zlib.decompress(body) if encoding == "deflate" else body
                collector.received.append(Received(self.path, headers, body))
            answer = b""
            if self.path.endswith("/track"):
                answer = json.dumps({"itemsReceived": 1, "itemsAccepted": 1, "errors": []}).encode()
            self.send_response(collector.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    return Handler
