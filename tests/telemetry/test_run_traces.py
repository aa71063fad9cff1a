"""Traces of runs: model calls and tool calls, through the queue and to the provider, without what is said."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.telemetry import tracing
from amplifier.telemetry.sampling import Limited, Ratio
from amplifier.telemetry.trace_context import TraceContext, parse
from tests.api.test_agent import TOOLS
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.spans import Spans

CLIENT = TraceContext(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True, "a=1")


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_run_has_spans_for_models_and_tools(
    alice: httpx.AsyncClient, stub: Stub, spans: Spans, kind: str
) -> None:
    here = await agent(alice, model(stub, kind), tools=TOOLS)
    stub.when("weather", Reply(calls=[Call("say", {"text": "canary"})]), Reply("canary of the answer"))
    await here.say("weather and canary")
    run = await spans.one("invoke_agent")
    [stored] = await here.runs()
    assert run.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": here.session_id,
        "amplifier.run_id": stored["run_id"],
        "amplifier.run_status": "completed",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 10,
    }
    request = await spans.one("POST /sessions/{session_id}/messages")
    assert spans.inside(request)["invoke_agent"] is run
    first, second = spans.named("chat stub")
    assert first.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": here.session_id,
        "gen_ai.provider.name": kind,
        "gen_ai.request.model": "stub",
        "gen_ai.response.model": "stub",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.response.finish_reasons": ["tool_calls"],
    }
    assert (first.kind, first.parent_id, second.parent_id) == ("client", *[run.context.span_id] * 2)
    assert second.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    tool = await spans.one("execute_tool say")
    call = (await here.transcript())[1]["tool_calls"][0]["id"]
    assert tool.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.conversation.id": here.session_id,
        "gen_ai.tool.name": "say",
        "gen_ai.tool.call.id": call,
    }
    assert "runs.append" in spans.inside(run)
    assert "canary" not in repr([(span.name, span.attributes, span.error) for span in spans])


async def test_provider_gets_the_trace(api: Api, alice: httpx.AsyncClient, stub: Stub, spans: Spans) -> None:
    await until(lambda: api.app.state.runner._has_room)  # a message that waits for the process keeps no tracestate
    here = await agent(alice, model(stub))
    await here.client.post(f"{here.path}/messages", json={"message": "Hi"}, headers=CLIENT.headers)
    sent = {name.lower(): value for name, value in stub.requests[-1].headers}
    chat = await spans.one("chat stub")
    assert parse(sent["traceparent"].encode()) == chat.context._replace(state="")
    assert (chat.context.trace_id, sent["tracestate"]) == (CLIENT.trace_id, "a=1")


async def test_provider_gets_no_trace_without_tracing(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    await here.client.post(f"{here.path}/messages", json={"message": "Hi"}, headers=CLIENT.headers)
    assert "trace" not in str(stub.requests[-1].headers)


async def test_failures_are_recorded_by_type(alice: httpx.AsyncClient, stub: Stub, spans: Spans) -> None:
    here = await agent(alice, model(stub), tools=[*TOOLS, {"module": "tool-odd"}])
    stub.when("limit", Reply(status=429, error="canary of the provider"))
    await here.say("limit", 502)
    assert (await spans.one("chat stub")).error == "RateLimitError"
    assert (await spans.one("invoke_agent")).error == "provider"
    stub.when("odd names", Reply(calls=[Call("canary tool", {})]), Reply("Well"))
    await here.say("odd names")
    assert not [span for span in spans if span.name.startswith("execute_tool")]
    assert "canary" not in repr([(span.name, span.attributes, span.error) for span in spans])


async def test_odd_names_of_models_are_left_out(alice: httpx.AsyncClient, stub: Stub, spans: Spans) -> None:
    here = await agent(alice, model(stub, model="canary, which says something"))
    await here.say("Hi")
    assert "gen_ai.request.model" not in (await spans.one("chat")).attributes


async def test_queued_run_is_in_the_trace_of_its_request(
    alice: httpx.AsyncClient, stub: Stub, spans: Spans, sql: Callable[..., list[Any]]
) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("1", gate=gate))
    async with waiting(here.say("first")):
        await until(lambda: stub.requests)
        async with waiting(
            here.client.post(f"{here.path}/messages", json={"message": "second"}, headers=CLIENT.headers)
        ):
            await here.run("queued")
            [(traceparent,)] = sql("select traceparent from runs where status = 'queued'")
            gate.open()
    first, second = spans.named("invoke_agent")
    request = next(one for one in spans.named("POST /sessions/{session_id}/messages") if one.parent_id)
    assert traceparent == request.context.traceparent
    assert (second.context.trace_id, second.parent_id) == (CLIENT.trace_id, request.context.span_id)
    assert first.context.trace_id != CLIENT.trace_id


async def test_streamed_run_is_in_the_trace_of_its_request(alice: httpx.AsyncClient, spans: Spans) -> None:
    here = await agent(alice, echo())
    answer = await alice.post(f"{here.path}/stream", json={"message": "Hi"})
    assert '{"type":"done"}' in answer.text
    request = await spans.one("POST /sessions/{session_id}/stream")
    run = await spans.one("invoke_agent")
    assert spans.inside(request)["invoke_agent"] is run
    assert request.attributes["http.response.status_code"] == 200


async def test_runs_are_recorded_when_their_requests_are_not(
    alice: httpx.AsyncClient, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await agent(alice, echo())
    limited = Limited(1, lambda: 5.0)
    monkeypatch.setattr(tracing, "tracer", spans.tracer(limited))
    while limited.request(None, 1):
        pass
    await here.say("Hi")
    assert (await spans.one("invoke_agent")).parent_id == 0
    assert not spans.named("POST /sessions/{session_id}/messages")
    monkeypatch.setattr(tracing, "tracer", spans.tracer(Ratio(0.0, follows_parent=True)))
    spans.clear()
    await here.say("Hi")
    assert {span.name for span in spans}.isdisjoint({"invoke_agent", "POST /sessions/{session_id}/messages"})


async def test_runs_without_tracing_store_no_trace(here_busy: Agent, sql: Callable[..., list[Any]]) -> None:
    assert sql("select traceparent from runs") == [(None,), (None,)]


@pytest.fixture
async def here_busy(alice: httpx.AsyncClient, stub: Stub) -> AsyncIterator[Agent]:
    """A session with a running and a queued run."""
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("1", gate=gate))
    async with waiting(here.say("first")):
        await until(lambda: stub.requests)
        async with waiting(here.say("second")):
            await here.run("queued")
            yield here
            gate.open()
