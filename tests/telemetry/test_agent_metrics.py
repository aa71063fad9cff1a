"""Metrics of agents: runs, models, tools and leases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.metrics import figures

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application with metrics, whose agents may ask the stub."""
    async with serving(settings(dsn, stub, metrics_port=9464)) as api:
        yield api


async def test_turn_counts_run_model_tokens_and_tool(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}])
    stub.when("weather", Reply(calls=[Call("say", {"text": "rain"})]), Reply("It rains."))
    await here.say("The weather?")
    now, labels = figures(api), {"provider": "openai", "model": "stub"}
    assert now("amplifier_runs_total", outcome="completed") == 1
    assert now("amplifier_run_duration_seconds_count") == 1
    assert now("amplifier_model_calls_total", **labels, outcome="answered") == 2
    assert now("amplifier_model_call_duration_seconds_count", **labels) == 2
    [run] = await here.runs()
    for type_ in ("input", "output"):
        tokens = now("amplifier_model_tokens_total", **labels, type=type_)
        assert tokens == run["usage"][f"{type_}_tokens"] > 0
    assert now("amplifier_tool_call_duration_seconds_count", tool="say") == 1


async def test_failed_call_of_a_model_is_counted(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    stub.when("fail", Reply(status=500))
    await here.say("fail", status=502)
    now = figures(api)
    assert now("amplifier_runs_total", outcome="failed") == 1
    assert now("amplifier_model_calls_total", provider="openai", model="other", outcome="failed") == 1


async def test_run_that_another_process_took_over_is_a_lost_lease(
    api: Api, alice: httpx.AsyncClient, stub: Stub, sql: Sql
) -> None:
    here = await agent(alice, model(stub))
    gate = Gate()
    stub.when("slowly", Reply("At last.", gate=gate))
    async with waiting(here.client.post(f"{here.path}/messages", json={"message": "slowly"})):
        await until(lambda: figures(api)("amplifier_runs_running") == 1)
        sql("update runs set process_id = 'another'")
        api.app.state.runner.look()
        await until(lambda: figures(api)("amplifier_runs_running") == 0)
        sql("update runs set status = 'failed', finished_at = now()")
        api.app.state.hub.announce(here.session_id)
        gate.open()
    assert figures(api)("amplifier_run_leases_lost_total") == 1


async def test_run_that_ended_or_lost_its_session_is_no_lost_lease(
    api: Api, alice: httpx.AsyncClient, stub: Stub
) -> None:
    here, runner = await agent(alice, model(stub)), api.app.state.runner
    gate = Gate()
    stub.when("slowly", Reply("At last.", gate=gate))
    task = asyncio.create_task(here.client.post(f"{here.path}/messages", json={"message": "slowly"}))
    await until(lambda: runner.running == 1)
    assert (await alice.delete(here.path)).status_code == 200
    runner.look()
    await until(lambda: runner.running == 0)
    gate.open()
    await task
    other = await agent(alice, echo())
    for _ in range(3):
        runner.look()
        await other.say("Hello")
    assert figures(api)("amplifier_run_leases_lost_total") == 0


@pytest.mark.slow
async def test_run_of_a_dead_process_is_counted_as_taken_over(api: Api, alice: httpx.AsyncClient, sql: Sql) -> None:
    here = await agent(alice, echo())
    sql(
        "insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id,"
        f" lease_expires_at) values ('{here.session_id}', 'dead', 'running', '{{\"role\": \"user\"}}', 'alice', 'app',"
        " now(), 'dead', now() - interval '1 minute')"
    )
    async with asyncio.timeout(20):
        await here.run("failed")
    assert figures(api)("amplifier_runs_taken_over_total") == 1
    assert figures(api)("amplifier_runs_total", outcome="failed") == 1


async def test_no_label_names_a_user_a_session_or_what_was_said(api: Api, alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}])
    stub.when("canary", Reply(calls=[Call("say", {"text": "canary"})]), Reply("canary"))
    await here.say("canary")
    await alice.get("/search?q=canary")
    labels = {
        value for family in figures(api).families for sample in family.samples for value in sample.labels.values()
    }
    assert not any(secret in label for label in labels for secret in ("canary", "alice", here.session_id))
