"""Traces, metrics and logs at their targets, through the SDKs; targets that are away or refuse them."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from amplifier.errors import OperatorError
from amplifier.masking import mask
from amplifier.secret import Secret
from amplifier.settings import Settings
from amplifier.telemetry import exporting, tracing
from tests.conftest import serving, settings_for
from tests.support.collector import KEY, Collector, collecting
from tests.support.live import until
from tests.support.log_leaks import leaks
from tests.support.service import free_port

logger = logging.getLogger("amplifier.test")


@pytest.fixture(scope="module")
def running() -> Iterator[Collector]:
    """A collector for all tests of the module."""
    with collecting() as collector:
        yield collector


@pytest.fixture
def collector(running: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector to which the variables point, without what former tests sent."""
    running.received.clear()
    running.status, running.attempts = 200, 0
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
    return running


def settings(collector: Collector) -> Settings:
    """Returns settings that send to Application Insights, too."""
    return Settings(app_insights_connection_string=Secret(collector.connection_string))


def attributes(record: Any) -> dict[str, Any]:
    """Returns the attributes of something that was decoded."""
    return {one.key: one.value.string_value or one.value.int_value for one in record.attributes}


async def test_requests_reach_both_targets(dsn: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-service")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    changes = {"app_insights_connection_string": Secret(collector.connection_string)}
    async with serving(settings_for(dsn, **changes)) as api:
        alice = await api.as_user("alice")
        await alice.get("/sessions/unknown")
        process_id = api.app.state.hub.process_id
    spans = {span.name: span for span in collector.spans()}
    request, statement = spans["GET /sessions/{session_id}"], spans["sessions.get"]
    assert statement.parent_span_id == request.span_id
    assert attributes(request)["http.response.status_code"] == 404
    [resource, *_] = collector.resources()
    assert (resource["service.name"], resource["service.instance.id"]) == ("our-service", process_id)
    assert resource["deployment.environment.name"] == "test"
    [seen] = [item for item in collector.items("RequestData") if "unknown" not in item["data"]["baseData"]["name"]]
    assert seen["tags"]["ai.operation.id"] == request.trace_id.hex()
    assert seen["tags"]["ai.cloud.role"] == "our-service"
    assert (seen["data"]["baseData"]["name"], seen["iKey"]) == ("GET /sessions/{session_id}", KEY)
    [query] = [
        item for item in collector.items("RemoteDependencyData") if item["data"]["baseData"]["name"] == "sessions.get"
    ]
    assert query["tags"]["ai.operation.parentId"] == request.span_id.hex()
    assert tracing.tracer is None


async def test_application_sends_its_metrics_without_a_port(dsn: str, collector: Collector) -> None:
    async with serving(settings_for(dsn)) as api:
        await (await api.as_user("alice")).get("/sessions/unknown")
    sent = {metric.name for metric in collector.metrics()}
    assert {"amplifier_http_requests", "amplifier_query_calls", "amplifier_workers"} <= sent


async def test_metrics_and_logs_reach_both_targets(collector: Collector) -> None:
    registry = CollectorRegistry()
    Counter("amplifier_things", "Things.", ["kind"], registry=registry).labels("x").inc(3)
    async with exporting.exported(settings(collector), "process", registry.collect):
        assert tracing.tracer is not None
        with tracing.entered(tracing.tracer.run(None)) as span:
            logger.warning("a line about %r", ValueError("canary"))
            try:
                raise ValueError("canary")
            except ValueError:
                logger.exception("a failure")
        logging.getLogger("library").error("canary")
    assert span is not None
    [metric] = collector.metrics()
    assert (metric.name, metric.sum.data_points[0].as_double) == ("amplifier_things", 3)
    [sent] = [item["data"]["baseData"]["metrics"][0] for item in collector.items("MetricData")]
    assert (sent["name"], sent["value"]) == ("amplifier_things", 3)
    line, failure = collector.logs()
    assert line.body.string_value == "a line about 'ValueError'"
    assert (line.trace_id.hex(), line.span_id.hex()) == (
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    )
    assert attributes(failure)["exception.type"] == "ValueError"
    [item] = collector.items("MessageData")
    assert item["data"]["baseData"]["message"] == "a line about 'ValueError'"
    assert item["tags"]["ai.operation.id"] == line.trace_id.hex()
    assert len(collector.items("ExceptionData")) == 1
    assert "canary" not in collector.everything


async def test_application_insights_counts_requests_that_were_left_out(collector: Collector) -> None:
    async with exporting.exported(settings(collector), "process"):
        assert tracing.tracer is not None
        span = tracing.tracer.run(None)
        assert span is not None
        span.name, span.share = "half", 0.5
        span.end()
    [item] = collector.items("RemoteDependencyData")
    assert item["sampleRate"] == 50


async def test_headers_reach_the_collector_and_are_masked(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a-key-of-the-vendor")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    async with exporting.exported(Settings(), "process"):
        logger.warning("the key is a-key-of-the-vendor")
        assert mask("a-key-of-the-vendor") == "***"
    [request] = [one for one in collector.received if one.path == "/v1/logs"]
    assert request.headers["x-key"] == "a-key-of-the-vendor"
    assert [record.body.string_value for record in collector.logs()] == ["the key is ***"]
    leaks.begin()  # the key was logged to be masked


async def test_turned_off_signal_is_not_sent(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    async with exporting.exported(settings(collector), "process"):
        assert tracing.tracer is None
        logger.warning("a line")
    assert {request.path for request in collector.received} == {"/v1/logs", "/v2.1/track"}


async def test_wrong_variable_stops_the_start(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(OperatorError, match="http/protobuf"):
        async with exporting.exported(Settings(), "process"):
            pass


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_refusal_is_reported_once_without_keys(
    collector: Collector, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a-key-of-the-vendor")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setattr(exporting, "_LAST", 0.5)
    collector.status = status
    async with exporting.exported(Settings(), "process"):
        for attempts in (1, 2):
            add_span()
            await until(lambda attempts=attempts: collector.attempts >= attempts)
        await until(lambda: "not delivered" in caplog.text)
        collector.status = 200
        add_span()
        await until(lambda: "again" in caplog.text)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"telemetry is not delivered to {collector.url} and dropped: traces, status {status}",
        f"telemetry is delivered to {collector.url} again",
    ]
    assert "a-key-of-the-vendor" not in caplog.text


async def test_refusal_of_application_insights_is_reported_without_the_key(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    collector.status = 400
    async with exporting.exported(settings(collector), "process"):
        add_span()
        await until(lambda: "not delivered" in caplog.text)
    assert f"telemetry is not delivered to {collector.url} and dropped: traces, Bad Request" in caplog.text
    assert KEY not in caplog.text


async def test_hanging_target_stops_neither_requests_nor_the_end(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_LAST", 0.2)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    with collecting() as collector:
        collector.hang.set()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with serving(settings_for(dsn)) as api:
            client: httpx.AsyncClient = api.client()
            await client.get("/version")
            await until(lambda: collector.attempts)
            for _ in range(20):
                assert (await client.get("/version")).status_code == 200
            assert tracing.tracer is not None
            queue = tracing.tracer.sinks[0].__self__._processor._batch_processor._queue  # type: ignore[attr-defined]
            assert len(queue) == 8, "a full queue drops the oldest"
        assert collector.received == []


async def test_missing_target_stops_neither_requests_nor_the_end(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_LAST", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    async with serving(settings_for(dsn)) as api:
        async with asyncio.timeout(20):
            assert (await api.client().get("/version")).status_code == 200


def add_span() -> None:
    """Ends a span."""
    assert tracing.tracer is not None
    span = tracing.tracer.run(None)
    assert span is not None
    span.name = "a span"
    span.end()


async def test_metrics_of_the_service_are_sent_without_a_port(dsn: str, collector: Collector) -> None:
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        for _ in range(3):
            await alice.get("/sessions/unknown")
    sent = {metric.name: metric for metric in collector.metrics()}
    [requests] = [
        point.as_double
        for point in sent["amplifier_http_requests"].sum.data_points
        if attributes(point) == {"method": "GET", "route": "/sessions/{session_id}", "status": "404"}
    ]
    assert requests == 3
    calls = sent["amplifier_query_calls"].sum.data_points
    assert [point.as_double for point in calls if attributes(point) == {"query": "sessions.get"}] == [3]
    assert sent["amplifier_pool_connections"].gauge.data_points[0].as_double >= 1
