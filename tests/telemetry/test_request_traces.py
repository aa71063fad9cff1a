"""Traces of requests: their statements, what clients send along, and the delivery to followers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.live.notifications import read
from amplifier.telemetry import tracing
from amplifier.telemetry.origins import Origins
from amplifier.telemetry.sampling import Limited, Ratio
from amplifier.telemetry.served import Served
from amplifier.telemetry.trace_context import TraceContext
from amplifier.telemetry.tracing import Span
from tests.conftest import Api, settings_for
from tests.support.live import Live, live, until
from tests.support.spans import Spans, attributes

PARENT = TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True)
MESSAGE = {"messages": [{"role": "user", "content": "Hi"}]}


async def test_request_has_a_span_with_its_statements(alice: httpx.AsyncClient, session_id: str, spans: Spans) -> None:
    spans.clear()
    await alice.get(f"/sessions/{session_id}", headers={"X-Request-ID": "of-the-client"})
    request = await spans.one("GET /sessions/{session_id}")
    assert request.kind == "server"
    assert request.parent_id == 0
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": "/sessions/{session_id}",
        "http.response.status_code": 200,
        "amplifier.app_id": "app",
        "amplifier.request_id": "of-the-client",
    }
    statement = spans.inside(request)["sessions.get"]
    assert statement.kind == "client"
    assert statement.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "get",
        "db.query.summary": "sessions.get",
    }
    assert request.started <= statement.started <= statement.ended <= request.ended


async def test_span_of_the_client_is_the_parent(alice: httpx.AsyncClient, spans: Spans) -> None:
    await alice.get("/version", headers={"traceparent": PARENT.traceparent, "tracestate": "a=1"})
    await alice.get("/version", headers={"traceparent": "00-not-valid-01"})
    ours, without = spans.named("GET /version")
    assert (ours.context.trace_id, ours.parent_id) == (PARENT.trace_id, PARENT.span_id)
    assert ours.context.headers["tracestate"] == "a=1"
    assert without.parent_id == 0
    assert without.context.trace_id != PARENT.trace_id


async def test_unrecorded_request_passes_the_clients_trace_on(
    alice: httpx.AsyncClient, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    end = tracing.end_request

    def ended(span: Span, served: Served) -> None:
        seen.append((tracing.ids(), tracing.headers()))
        end(span, served)

    monkeypatch.setattr(tracing, "end_request", ended)
    monkeypatch.setattr(tracing, "tracer", spans.tracer(Ratio(0, follows_parent=False)))
    await alice.get("/version", headers={"traceparent": PARENT.traceparent})
    [(ids, headers)] = seen
    assert ids[0] == f"{PARENT.trace_id:032x}"
    assert headers["traceparent"] == f"00-{ids[0]}-{ids[1]}-00"
    assert tracing.ids() is None
    assert spans == []


async def test_failures_are_recorded_by_type(
    alice: httpx.AsyncClient, session_id: str, spans: Spans, sql: Callable[..., list[Any]]
) -> None:
    sql("alter table messages add constraint canary_check check (message ->> 'content' <> 'canary')")
    body = {"messages": [{"role": "user", "content": "canary"}]}
    spans.clear()
    assert (await alice.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 500
    request = await spans.one("POST /sessions/{session_id}/transcript")
    statement = spans.inside(request)["messages.append"]
    assert (request.error, statement.error) == ("500", "23514")
    assert statement.attributes["db.response.status_code"] == "23514"
    assert "canary" not in repr([span.attributes for span in spans])
    assert (await alice.get("/sessions/unknown")).status_code == 404
    assert (await spans.one("GET /sessions/{session_id}")).error is None


async def test_route_in_place_of_a_path_that_none_has(api: Api, spans: Spans) -> None:
    await api.client().get("/canary/of/a/path")
    [span] = spans
    assert span.name == "GET none"


async def test_probes_have_no_spans(api: Api, spans: Spans) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert (await api.client().get(path)).status_code in (200, 503)
    assert spans.named("GET /health") == spans.named("GET /health/live") == spans.named("GET /health/ready") == []


async def test_requests_beyond_the_limit_have_no_spans(
    alice: httpx.AsyncClient, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "tracer", spans.tracer(Limited(1, lambda: 5.0)))
    for _ in range(10):
        await alice.get("/version", headers={"traceparent": PARENT.traceparent})
        await alice.get("/version")
    assert len(spans.named("GET /version")) == 4


@pytest.fixture
async def over_network(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


async def test_delivery_is_in_the_trace_of_the_append(over_network: Live, spans: Spans) -> None:
    alice = await over_network.as_user("alice")
    config = (await alice.post("/configs", json={"name": "x", "config_data": {"bundle": {"name": "x"}}})).json()
    session_id = (await alice.post("/sessions", json={"config_id": config["config_id"]})).json()["session_id"]
    async with over_network.stream(alice, f"/sessions/{session_id}/events") as stream:
        opened = await spans.one("GET /sessions/{session_id}/events")
        assert opened.attributes["http.response.status_code"] == 200
        notifier = over_network.app.state.hub._notifier
        await until(lambda: not notifier._wanted.is_set())  # else one NOTIFY tells of earlier requests, too
        spans.clear()
        await alice.post(f"/sessions/{session_id}/transcript", json=MESSAGE)
        assert await stream.next()
        append = await spans.one("POST /sessions/{session_id}/transcript")
        await until(lambda: spans.inside(append).keys() >= {"messages.append", "deliver", "notify"})
        delivery, notify = spans.inside(append)["deliver"], spans.inside(append)["notify"]
    assert attributes(delivery, "amplifier.events", "amplifier.followers") == [1, 1]
    assert spans.inside(delivery).keys() == {"events.list"}
    assert spans.inside(notify).keys() == {"events.notify"}
    assert opened not in spans, "the stream has no span for as long as it lasts"


async def test_notice_to_other_processes_names_the_trace(
    api: Api, alice: httpx.AsyncClient, session_id: str, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    async def notify(payload: str) -> None:
        sent.append(payload)

    monkeypatch.setattr(api.app.state.queries.events, "notify", notify)
    await until(lambda: not api.app.state.hub._notifier._wanted.is_set())
    sent.clear()
    spans.clear()
    await alice.post(f"/sessions/{session_id}/transcript", json=MESSAGE)
    request = await spans.one("POST /sessions/{session_id}/transcript")
    await until(lambda: sent)
    notice = read(sent[0])
    assert notice is not None
    assert notice.changed == [session_id]
    assert notice.traces == {session_id: request.context.traceparent}


async def test_notice_without_room_names_no_trace(api: Api, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = api.app.state.hub._notifier
    sessions = [f"{number:036}" for number in range(195)]
    for session_id in sessions:
        notifier.changed(session_id)
        notifier.origins.add(session_id, PARENT)
    sent: list[str] = []

    async def notify(payload: str) -> None:
        sent.append(payload)

    monkeypatch.setattr(api.app.state.queries.events, "notify", notify)
    await notifier.flush()
    notice = read(sent[0])
    assert notice is not None
    assert (sorted(notice.changed), notice.traces) == (sessions, {})
    assert len((await spans.one("notify")).links) == 15


def test_span_that_changes_a_session_again_is_linked_once() -> None:
    origins, other = Origins(), PARENT._replace(span_id=7)
    for origin in (PARENT, PARENT, other):
        origins.add("session", origin)
    assert origins.take("session") == [PARENT, other]
    assert origins.take("session") == []
