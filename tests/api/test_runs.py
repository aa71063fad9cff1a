"""The list of runs, how many there may be at once, and what becomes of them when the session or the service ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.api.runs import ModelUsage, RunTiming, RunUsage
from amplifier.runtime import metering
from tests.conftest import Api, assert_problem, serving
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Gate, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def test_pages_newest_first(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    here, other = await agent(alice, echo()), await agent(alice, echo())
    ids = [(await here.say(f"message {number}"))["metadata"]["run_id"] for number in range(5)]
    assert (await other.runs(), (await alice.get(f"{other.path}/runs")).json()) == ([], {"items": [], "next": None})
    found, after = [], None
    while True:
        page = (await alice.get(f"{here.path}/runs", params={"limit": 2} | ({"after": after} if after else {}))).json()
        found += [run["run_id"] for run in page["items"]]
        if (after := page["next"]) is None:
            break
    assert found == ids[::-1]
    assert_problem(await bob.get(f"{here.path}/runs"), 404, "Session not found")
    assert_problem(await bob.get(f"{here.path}/runs/{ids[0]}"), 404, "Session not found")
    assert_problem(await alice.get(f"{other.path}/runs/{ids[0]}"), 404, "Run not found")
    assert_problem(await alice.get(f"{here.path}/runs", params={"after": "x"}), 422)
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
    assert (await bob.get(f"{here.path}/runs/{ids[0]}")).json()["response"] == "You said: message 0"


async def test_stored_run_is_shown_with_detail_and_unknown_members(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    here = await agent(alice, echo())
    message = '{"role": "user"}'
    error, usage = '{"type": "timeout", "message": "Too slow", "code": "E"}', '{"model_calls": 1, "seconds": 2}'
    columns = "session_id, run_id, status, message, user_id, app_id, started_at, finished_at, error, usage"
    values = f"'{here.session_id}', 'old', 'failed', '{message}', 'alice', 'app', now(), now(), '{error}', '{usage}'"
    sql(f"insert into runs ({columns}) values ({values})")
    shown = {"type": "timeout", "code": "E", "detail": "Too slow"}
    [run] = await here.runs()
    assert (run["error"], run["usage"]) == (shown, {"model_calls": 1, "seconds": 2})
    assert (await alice.get(f"{here.path}/runs/old")).json() == run


async def test_every_number_of_usage_is_described(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    await here.say("Hi")
    [run] = await here.runs()
    assert set(RunUsage.__struct_fields__) == {
        *("model_calls", "tool_calls", "messages_left_out", "models"),
        *metering._COUNTED,
    }
    assert set(ModelUsage.__struct_fields__) == {"model_calls", "seconds", *metering._COUNTED}
    [(name, counted)] = run["usage"]["models"].items()
    assert (name, counted.keys() - {"seconds"}) == ("stub", run["usage"].keys() - {"models"})
    assert counted["seconds"] == pytest.approx(run["timing"]["model"], rel=0.5)
    assert set(run["usage"]) <= set(RunUsage.__struct_fields__)
    assert set(run["timing"]) == set(RunTiming.__struct_fields__)


async def test_process_with_little_room(dsn: str, stub: Stub, installed: None) -> None:
    """A waiting message begins as soon as there is room, not at the next look of the process."""
    async with serving(settings(dsn, stub, max_runs_per_process=1, run_lease=600)) as api:
        alice = await api.as_user("alice")
        agents = [await agent(alice, model(stub)) for _ in range(4)]
        gate = Gate()
        stub.when("first", Reply("1", gate=gate))
        async with waiting(agents[0].say("first")):
            await until(lambda: stub.requests)
            sent = [asyncio.create_task(one.say("Hi")) for one in agents[1:]]
            for one in agents[1:]:
                await one.run("queued")
            assert len(stub.requests) == 1
            gate.open()
        async with asyncio.timeout(10):
            assert [answer["response"] for answer in await asyncio.gather(*sent)] == ["You said: Hi"] * 3
        assert [(await one.runs())[0]["status"] for one in agents] == ["completed"] * 4


async def test_session_that_ends_meanwhile(alice: httpx.AsyncClient, stub: Stub) -> None:
    """The run that goes on, and the one that waits."""
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("1", gate=gate))
    async with waiting(here.say("first", 409)) as going:
        await until(lambda: stub.requests)
        async with waiting(here.say("second", 409)) as queued:
            await here.run("queued")
            assert (await alice.patch(here.path, json={"status": "completed"})).status_code == 200
            gate.open()
    assert "not active" in going.result()["detail"]
    assert "not active" in queued.result()["detail"]
    assert [(run["status"], run["error"]["type"]) for run in await here.runs()] == [("failed", "refused")] * 2
    assert [role for role, _ in await here.said()] == ["user", "assistant"]
    await alice.post(f"{here.path}/resume")
    assert (await here.say("on"))["response"] == "You said: on"


async def test_service_stops(dsn: str, stub: Stub, installed: None) -> None:
    """A run gets the rest of the grace, and no more; what waits is left to others."""
    async with serving(settings(dsn, stub, shutdown_grace=2)) as api:
        alice = await api.as_user("alice")
        quick, slow, late = [await agent(alice, model(stub)) for _ in range(3)]
        gate = Gate()
        stub.when("quick", Reply("Made it", gate=gate))
        stub.when("slow", Reply("Too slow", stall_after=1))
        async with waiting(quick.say("quick")) as made, waiting(slow.say("slow", 503)) as missed:
            await until(lambda: len(stub.requests) == 2)
            api.app.state.runner.drain()
            async with waiting(late.say("late", 503)) as left:
                await late.run("queued")
                gate.open()
        assert made.result()["response"] == "Made it"
        assert "was stopped" in missed.result()["detail"]
        assert "the message waits" in left.result()["detail"]
        [run] = await slow.runs()
        assert (run["status"], run["error"]["type"]) == ("failed", "interrupted")
        assert [role for role, _ in await slow.said()] == ["user", "assistant"]
        await api.app.state.runner.finish()
    async with serving(settings(dsn, stub)) as again:
        there = Agent(await again.as_user("alice", "again"), late.session_id)
        assert (await there.run("completed"))["response"] == "You said: late"


async def test_rights_by_themselves(alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub) -> None:
    """An editor may be kept from sending, and a viewer may be let cancel."""
    here = await agent(alice, model(stub))
    theirs = Agent(bob, here.session_id)
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
    await alice.patch(f"{here.path}/participants/bob", json={"permissions": {"send": False, "cancel": False}})
    await theirs.say("Hi", 403)
    stub.when("long", Reply("One", stall_after=0))
    async with waiting(here.say("long", 409)):
        await until(lambda: stub.requests)
        await theirs.cancel(403)
        await alice.patch(f"{here.path}/participants/bob", json={"permissions": {"send": True, "cancel": False}})
        assert "may interrupt" in (await theirs.say("Hi", 403, on_busy="interrupt"))["detail"]
        await alice.patch(f"{here.path}/participants/bob", json={"role": "viewer", "permissions": {"cancel": True}})
        await theirs.cancel()
    assert (await here.runs())[-1]["cancelled_by_user_id"] == "bob"
