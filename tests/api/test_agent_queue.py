"""Messages to an agent at work: they wait, interrupt or are refused, and queues have an end."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.api.test_agent import TOOLS
from tests.conftest import Api, assert_problem, serving
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


@pytest.mark.slow
async def test_time_limits(dsn: str, stub: Stub, installed: None) -> None:
    short = settings(dsn, stub, run_model_timeout=0.3, run_tool_timeout=0.2, run_timeout=1.5)
    async with serving(short) as api:
        here = await agent(await api.as_user("alice"), model(stub), tools=TOOLS)
        stub.when("stall", Reply("One two three", stall_after=1))
        assert "RUN_MODEL_TIMEOUT" in (await here.say("stall", 504))["detail"]
        assert (await here.transcript())[-1]["content"] == "One t"  # what the model had said
        await until(lambda: stub.requests[-1].disconnected)
        stub.when("hang", Reply(calls=[Call("hang")]), Reply("It hangs."))
        assert (await here.say("hang"))["response"] == "It hangs."
        assert "RUN_TOOL_TIMEOUT" in (await here.transcript())[-2]["content"]
        stub.when("for ever", Reply(calls=[Call("hang")]))
        assert "RUN_TIMEOUT" in (await here.say("for ever", 504))["detail"]
        assert (await here.say("Well"))["response"] == "You said: Well"


async def test_messages_wait_for_each_other(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("1", gate=gate))
    stub.when("nth", Reply("n"))
    async with waiting(here.say("first")) as first:
        await until(lambda: stub.requests)
        assert "at work" in (await here.say("nth", 409, on_busy="reject"))["detail"]
        async with waiting(here.say("nth 1")) as second:
            await here.run("queued")
            async with waiting(here.say("nth 2")) as third:
                while len(await here.runs()) < 3:
                    await asyncio.sleep(0.01)
                assert [run["status"] for run in await here.runs()] == ["running", "queued", "queued"]
                gate.open()
    assert [task.result()["response"] for task in (first, second, third)] == ["1", "n", "n"]
    said = [content for _, content in await here.said()]
    assert said == ["first", "1", "nth 1", "n", "nth 2", "n"]


async def test_queue_has_an_end(dsn: str, stub: Stub, installed: None) -> None:
    async with serving(settings(dsn, stub, max_queued_runs=1)) as api:
        here, gate = await agent(await api.as_user("alice"), model(stub)), Gate()
        stub.when("first", Reply("1", gate=gate))
        async with waiting(here.say("first")):
            await until(lambda: stub.requests)
            async with waiting(here.say("second")):
                await here.run("queued")
                refused = await here.client.post(f"{here.path}/messages", json={"message": "third"})
                assert_problem(refused, 429)
                assert refused.headers["retry-after"] == "5"
                gate.open()


async def test_message_may_interrupt(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    stub.when("long", Reply("A long story", stall_after=1))
    async with waiting(here.say("long", 409)) as first:
        await until(lambda: stub.requests and stub.requests[0].sent)
        assert (await here.say("short", on_busy="interrupt"))["response"] == "You said: short"
    assert first.result()["detail"] == "The run was cancelled"
    assert stub.requests[0].disconnected
    assert [content for _, content in await here.said()] == ["long", "A lo", "short", "You said: short"]


async def test_right_that_is_taken_away(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub) -> None:
    """Revokes it from the sender of a waiting message, and from the sender of the running one."""
    here, gate = await agent(alice, model(stub)), Gate()
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
    theirs = Agent(bob, here.session_id)
    stub.when("first", Reply("1", gate=gate))
    async with waiting(theirs.say("first", 409)) as going:
        await until(lambda: stub.requests)
        async with waiting(theirs.say("second", 409)) as queued:
            await here.run("queued")
            await alice.patch(f"{here.path}/participants/bob", json={"role": "viewer"})
            gate.open()
    assert "may not send" in going.result()["detail"]
    assert "may not send" in queued.result()["detail"]
    assert [(run["status"], run["error"]["type"]) for run in await here.runs()] == [("failed", "refused")] * 2
    assert [role for role, _ in await here.said()] == ["user", "assistant"]


@pytest.mark.slow
async def test_run_of_a_dead_process_is_ended(alice: httpx.AsyncClient, sql: Callable[..., list[Any]]) -> None:
    """Its lease has run out; the message after it is carried out."""
    here = await agent(alice, echo())
    calls = '[{"id": "c", "tool": "say", "arguments": {}}]'
    message = f'{{"role": "assistant", "content": "", "tool_calls": {calls}}}'
    insert = "insert into messages (session_id, message, author_user_id, author_app_id) values (%s, %s, 'alice', 'app')"
    sql(insert, here.session_id, '{"role": "user", "content": "lost"}')
    sql(insert, here.session_id, message)
    columns = "session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at"
    sql(
        f"insert into runs ({columns}) values (%s, %s, 'running', %s, 'alice', 'app', now(), 'dead', now())",
        *(here.session_id, str(uuid.uuid4()), '{"role": "user", "content": "lost"}'),
    )
    answer = await here.say("next")
    assert answer["response"] == "You said: next"
    dead, done = await here.runs()
    assert (dead["status"], dead["error"]["type"], done["status"]) == ("failed", "interrupted", "completed")
    assert [role for role, _ in await here.said()] == ["user", "assistant", "tool", "user", "assistant"]
