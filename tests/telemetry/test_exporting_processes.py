"""Telemetry of real processes: what is loaded, one trace through two processes, and that nothing said is sent."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from amplifier.telemetry.trace_context import TraceContext
from tests.support import llm
from tests.support.agents import ALLOWED, MODULES, Agent, agent, model, waiting
from tests.support.collector import Collector, collecting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.service import command, running_service
from tests.support.soak import client, services
from tests.support.streams import open_stream

pytestmark = pytest.mark.slow

SDK = {"opentelemetry.sdk", "opentelemetry.exporter", "azure", "azure.monitor", "requests", "google.protobuf"}
CLIENT = TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True)


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A stub of the models' APIs in a thread."""
    with llm.in_thread() as stub:
        yield stub


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector."""
    with collecting() as collector:
        yield collector


def imported(output: str) -> set[str]:
    """Returns the packages that a process imported, up to the second name, from PYTHONPROFILEIMPORTTIME."""
    return set(re.findall(r"\| +([A-Za-z_]\w*(?:\.\w+)?)", output))


def test_service_without_a_target_imports_nothing_of_opentelemetry(dsn: str, collector: Collector) -> None:
    environ = {"DATABASE_URL": dsn, "PYTHONPROFILEIMPORTTIME": "1", "OTEL_SERVICE_NAME": "x"}
    with running_service(environ) as service:
        assert httpx.get(f"{service.url}/sessions").status_code == 200
        loaded = imported(service.output)
    assert "litestar" in loaded
    assert loaded & SDK == set()  # Litestar loads some constants of opentelemetry.semconv
    with running_service(environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as service:
        assert "opentelemetry.sdk" in imported(service.output)


def test_wrong_variable_ends_the_command(dsn: str) -> None:
    ended = command({"DATABASE_URL": dsn, "APP_INSIGHTS_CONNECTION_STRING": "canary"}, "serve")
    assert ended.returncode == 1
    assert ended.stderr.startswith("amplifier-api: APP_INSIGHTS_CONNECTION_STRING must be the connection string")
    assert "canary" not in ended.stderr


def test_each_worker_sends_and_flushes_at_its_end(dsn: str, collector: Collector) -> None:
    environ = {
        "DATABASE_URL": dsn,
        "SERVICE_WORKERS": "2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    with running_service(environ) as service:
        for number in range(40):
            httpx.get(f"{service.url}/version", headers={"X-Request-ID": f"number-{number}"})
        assert collector.spans() == []
    text = collector.everything
    assert [number for number in range(40) if f'"number-{number}"' not in text] == []
    assert len({one["service.instance.id"] for one in collector.resources()}) == 2


async def test_trace_leads_through_two_processes(dsn: str, collector: Collector, stub: Stub) -> None:
    """A run that waited in one process is executed and delivered by another, all in the trace of its request."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_TRACES_SAMPLER": "always_on",
        "RUNTIME_MODULES": ALLOWED.replace("provider-anthropic,", ""),
        "RUNTIME_BASE_URLS": stub.url,
        "PYTHONPATH": str(MODULES),
        "RUN_LEASE": "2",
    }
    gate = Gate()
    stub.when("first", Reply("1", gate=gate))
    wanted = {"POST /sessions/{session_id}/messages", "runs.enqueue", "invoke_agent", "chat stub", "deliver"}
    with services(2, dsn, **environ, MAX_RUNS_PER_PROCESS="1") as [one, other]:
        async with client(one) as here_client, client(other) as there_client:
            here = await agent(here_client, model(stub))
            there = Agent(there_client, here.session_id)
            async with open_stream(other.url, f"{here.path}/events"):
                async with waiting(there.say("first")):
                    await until(lambda: stub.requests)
                    asked = here_client.post(
                        f"{here.path}/messages", json={"message": "second"}, headers=CLIENT.headers
                    )
                    async with waiting(asked):
                        await here.run("queued")
                        gate.open()
                await until(lambda: in_trace(collector).keys() >= wanted)
    spans = in_trace(collector)
    [(sender, request)] = spans["POST /sessions/{session_id}/messages"]
    [(_, run)] = spans["invoke_agent"]
    assert run.parent_span_id == request.span_id
    sent = {name.lower(): value for name, value in stub.requests[-1].headers}
    [(_, chat)] = spans["chat stub"]
    assert sent["traceparent"] == f"00-{CLIENT.trace_id:032x}-{chat.span_id.hex()}-01"
    delivering = {process for process, _ in spans["deliver"]}
    assert len(delivering) == 1, "one process has a follower"
    assert delivering != {sender}


def in_trace(collector: Collector) -> dict[str, list[tuple[str, Any]]]:
    """Returns the spans of the client's trace by name, each with its process."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for request in collector._decoded("/v1/traces"):
        for resource in request.resource_spans:
            known = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if span.trace_id.hex() == f"{CLIENT.trace_id:032x}":
                        found.setdefault(span.name, []).append((known["service.instance.id"], span))
    return found


def test_nothing_said_is_sent(dsn: str, collector: Collector, stub: Stub, sql: Callable[..., list[Any]]) -> None:
    """Uses what people, models, tools and databases say as canaries, and looks for them in everything that is sent."""
    sql("alter table messages add constraint of_an_operator_check check (message ->> 'content' <> 'canary row')")
    environ = {
        "DATABASE_URL": dsn,
        "LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_TRACES_SAMPLER": "always_on",
        "APP_INSIGHTS_CONNECTION_STRING": collector.connection_string,
        "RUNTIME_MODULES": ALLOWED,
        "RUNTIME_BASE_URLS": stub.url,
        "PYTHONPATH": str(MODULES),
        "CONFIG_ENCRYPTION_KEY": "canary-of-the-encryption-key-that-is-long",
    }
    stub.when("tools", Reply(calls=[Call("say", {"text": "canary"}), Call("canary", {"canary": 1})]), Reply("canary"))
    stub.when("refused", Reply(status=400, error="canary"))
    stub.when("limited", Reply(status=429, error="canary"))
    with running_service(environ) as service, httpx.Client(base_url=service.url, timeout=60) as http:
        use(http, stub)
    kinds = {span.name for span in collector.spans()}
    assert kinds >= {"invoke_agent", "chat stub", "chat", "execute_tool say", "messages.append"}
    assert collector.items("RequestData")
    assert [one for one in collector.logs() if "exception.type" in str(one)], "the error of the database"
    assert "canary" not in collector.everything


def use(http: httpx.Client, stub: Stub) -> None:
    """Says canaries in every way."""
    for named in ("stub", "canary, no name"):
        provider = model(stub, model=named, api_key="canary-of-the-provider")
        config = {"bundle": {"name": "canary", "system_prompt": "canary"}, "providers": [provider]}
        body = {"name": "canary", "config_data": config | {"tools": [{"module": "tool-some"}]}}
        config_id = http.post("/configs", json=body).json()["config_id"]
        made = http.post("/sessions", json={"config_id": config_id, "tags": {"canary": "canary"}}, params=None)
        path = f"/sessions/{made.json()['session_id']}"
        for text in ("tools canary", "refused canary", "limited canary", "canary"):
            http.post(f"{path}/messages", json={"message": text, "context": {"canary": "canary"}})
        assert "canary" in http.post(f"{path}/stream", json={"message": "canary"}).text
        for message in ({"role": "user", "content": "canary"}, {"role": 5, "canary": "canary"}):
            http.post(f"{path}/transcript", json={"messages": [message]}, headers={"Idempotency-Key": "canary-key"})
        failing = {"messages": [{"role": "user", "content": "canary row"}]}
        assert http.post(f"{path}/transcript", json=failing).status_code == 500
        for where in ("/search", f"{path}/search", "/sessions"):
            http.get(where, params={"q": "canary"})
        http.get("/canary", params={"canary": "canary"})
        http.get("/search", params={"q": "x", "cursor": "canary"})
        http.patch(path, json={"title": "canary"})
        http.request("CANARY", path)
        http.post(f"{path}/transcript", content=json.dumps({"canary": "canary"}))


def test_silent_target_delays_the_end_by_seconds_only(dsn: str) -> None:
    with collecting() as collector:
        collector.hang.set()
        environ = {
            "DATABASE_URL": dsn,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "APP_INSIGHTS_CONNECTION_STRING": collector.connection_string,
        }
        with running_service(environ) as service:
            for _ in range(5):
                assert httpx.get(f"{service.url}/version").status_code == 200
            service.process.terminate()
            assert service.process.wait(15) == 0
            assert "Traceback" not in service.output
