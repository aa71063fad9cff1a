"""An agent is stopped: wherever its turn is, it ends, and the next one goes on from a valid transcript."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import agent, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub

TOOLS = [{"module": "tool-some"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_in_the_middle_of_an_answer(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind))
    stub.when("long", Reply(deltas=["One", " two", " three"], stall_after=2))
    async with waiting(here.say("long", 409)) as answer:
        await until(lambda: stub.requests and len(stub.requests[0].sent) == 2)
        assert await here.cancel() == {"message": "Cancellation requested"}
    assert answer.result()["detail"] == "The run was cancelled"
    await until(lambda: stub.requests[0].disconnected)
    [run] = await here.runs()
    assert (run["status"], run["cancelled_by_user_id"], run["error"]["type"]) == ("cancelled", "alice", "cancelled")
    assert (await here.transcript())[-1]["metadata"] == {"interrupted": "cancelled"}
    assert "One two".startswith((await here.transcript())[-1]["content"])
    assert (await here.say("on"))["response"] == "You said: on"
    await here.cancel(409)


async def test_in_the_middle_of_tools(alice: httpx.AsyncClient, stub: Stub) -> None:
    """Each call has a result afterwards; the stub refuses a transcript with a call that has none."""
    here = await agent(alice, model(stub), tools=TOOLS)
    stub.when("hang", Reply(calls=[Call("say", {"text": "x"}), Call("hang")]))
    async with waiting(here.say("hang", 409)):
        while len(await messages(here)) < 2:
            await asyncio.sleep(0.01)
        await here.cancel()
    tools = [message for message in await here.transcript() if message["role"] == "tool"]
    assert [json.loads(message["content"])["cancelled"] for message in tools] == [True, True]
    assert (await here.say("on"))["response"] == "You said: on"


async def messages(here: Any) -> Any:
    return (await here.client.get(f"{here.path}/transcript")).json()["messages"]


async def test_while_it_asks(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=TOOLS, hooks=[{"module": "hooks-asking"}])
    stub.when("ask", Reply(calls=[Call("say")]))
    async with waiting(here.say("ask", 409)):
        while not (await alice.get(f"{here.path}/approvals")).json()["items"]:
            await asyncio.sleep(0.01)
        await here.cancel()
    assert (await alice.get(f"{here.path}/approvals")).json()["items"] == []
    assert [role for role, _ in await here.said()] == ["user", "assistant", "tool"]


async def test_waiting_message_is_taken_back(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("1", gate=gate))
    async with waiting(here.say("first")):
        await until(lambda: stub.requests)
        async with waiting(here.say("second", 409)):
            queued = await here.run("queued")
            await here.cancel(run_id=queued["run_id"])
            assert (await here.run("cancelled"))["run_id"] == queued["run_id"]
            ended = await here.cancel(409, run_id=queued["run_id"])
            assert ended["detail"] == "The run has ended, as cancelled: there is nothing to cancel"
            assert (await here.cancel(404, run_id="none"))["detail"] == "Run not found"
            gate.open()
    assert [content for _, content in await here.said()] == ["first", "1"]


async def test_twice_and_too_late(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    stub.when("long", Reply("One", stall_after=0))
    async with waiting(here.say("long", 409)):
        await until(lambda: stub.requests)
        answers = await asyncio.gather(*(alice.post(f"{here.path}/cancel") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert [role for role, _ in await here.said()] == ["user"]
    assert (await here.cancel(409))["detail"] == "No run is going on or waiting: there is nothing to cancel"
    assert [run["status"] for run in await here.runs()] == ["cancelled"]


async def test_before_it_has_really_begun(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    await here.say("on")  # until the process can run agents, messages wait, and cancelling takes them back
    stub.when("never", Reply("One", stall_after=0))
    for _ in range(20):
        async with waiting(alice.post(f"{here.path}/messages", json={"message": "never"})) as sent:
            while (await alice.post(f"{here.path}/cancel")).status_code == 409:
                await asyncio.sleep(0)
        assert sent.result().status_code == 409
    assert [role for role, _ in await here.said()] == ["user", "assistant"] + ["user"] * 20
    assert (await here.say("on"))["response"] == "You said: on"


@pytest.mark.slow
async def test_deleted_session_ends_its_run(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    stub.when("long", Reply("One two", stall_after=1))
    async with waiting(here.say("long", 404)):
        await until(lambda: stub.requests)
        assert (await alice.delete(here.path)).status_code == 200
    await until(lambda: stub.requests[0].disconnected)
