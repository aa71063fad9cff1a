"""Runs whose modules do what nobody expects: the turn ends, its transcript is valid, the service goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Reply, Stub

ODD = [{"module": "tool-odd"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


def hooks(**answers: Any) -> list[dict[str, Any]]:
    """Hooks of events, whose names have a colon for the underscore."""
    return [{"module": "hooks-odd", "config": {name.replace("_", ":"): one for name, one in answers.items()}}]


@pytest.mark.parametrize("role", ["user", "system"])
async def test_hook_says_something_before_the_user(alice: httpx.AsyncClient, stub: Stub, role: str) -> None:
    """The user's message is stored once; a hook's message as a user comes after it."""
    said = {"action": "inject_context", "context_injection": "It is noon.", "context_injection_role": role}
    here = await agent(alice, model(stub), hooks=hooks(prompt_submit=said))
    await here.say("one")
    await here.say("two")
    users = [content for role, content in await here.said() if role == "user" and content in ("one", "two")]
    assert users == ["one", "two"]
    assert any("noon" in str(message["content"]) for message in stub.requests[0].body["messages"])


async def test_hook_refuses_the_prompt(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), hooks=hooks(prompt_submit={"action": "deny", "reason": "Not today."}))
    assert (await here.say("Hi"))["response"] == "Not today."
    assert await here.said() == [("user", "Hi"), ("assistant", "Not today.")]
    assert stub.requests == []


@pytest.mark.parametrize("kind", ["error", "cancelled"])
async def test_hook_that_raises(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    raising = {"raises": kind}
    here = await agent(
        alice, model(stub), tools=[{"module": "tool-some"}], hooks=hooks(prompt_submit=raising, tool_pre=raising)
    )
    stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
    await here.client.post(f"{here.path}/messages", json={"message": "go"})
    [run] = await here.runs()
    assert run["status"] in ("completed", "failed")
    assert (await here.transcript())[-1]["role"] == "assistant"


async def test_tool_that_ends_the_process(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=ODD)
    stub.when("exit", Reply(calls=[Call("exit")]), Reply("It wanted to."))
    assert (await here.say("exit"))["response"] == "It wanted to."
    assert "end the process" in (await here.transcript())[2]["content"]


async def test_tool_that_reads_what_is_no_text(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=ODD)
    stub.when("read", Reply(calls=[Call("garbled")]), Reply("Odd."))
    assert (await here.say("read"))["response"] == "Odd."
    assert (await here.transcript())[2]["content"] == "half ? and NUL ."


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_model_that_says_what_is_no_text(api: Api, alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    """Also of an answer that is cut off the database gets only what it takes."""
    here = await agent(alice, model(stub, kind))
    stub.when("odd", Reply(deltas=["half", " and NUL \0."]))
    assert (await here.say("odd"))["response"] == "half and NUL ."
    stub.when("long", Reply(deltas=["half", " and NUL \0.", " more"], stall_after=2))
    async with waiting(here.say("long", 409)):
        run_id = (await here.run("running"))["run_id"]
        await until(lambda: (run := api.app.state.runner.find(run_id)) and "NUL" in run.feed.partial)
        await here.cancel()
    assert (await here.said())[-1] == ("assistant", "half and NUL .")
    assert (await here.say("on"))["response"] == "You said: on"


async def test_modules_that_do_not_care_that_they_are_cancelled(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=ODD)
    stub.when("go", Reply(calls=[Call("stubborn")]), Reply("Well."))
    async with waiting(here.say("go", 409)):
        await until(lambda: stub.requests)
        while len((await alice.get(f"{here.path}/transcript")).json()["messages"]) < 2:
            await asyncio.sleep(0.01)
        await here.cancel()
    there = await agent(alice, {"module": "provider-stubborn"}, tools=ODD)
    async with waiting(there.say("go", 409)):
        await there.run("running")
        await there.cancel()
    for one in (here, there):
        assert [run["status"] for run in await one.runs()] == ["cancelled"]
        assert (await one.transcript())[-1]["role"] in ("user", "tool")


@pytest.mark.parametrize("orphan", [False, True])
async def test_orchestrator_of_somebody_else(alice: httpx.AsyncClient, stub: Stub, orphan: bool) -> None:
    theirs = {"orchestrator": {"module": "loop-theirs", "config": {"orphan": orphan}}}
    here = await agent(alice, model(stub), session=theirs)
    for text in ("one", "two"):
        assert (await here.say(text))["response"] == f"You said: {text}"
    roles = [role for role, _ in await here.said()]
    assert roles == (["user", "assistant", "tool", "assistant"] if orphan else ["user", "assistant"]) * 2
    assert (await alice.get(here.path)).json()["message_count"] == 2
    assert [run["usage"]["model_calls"] for run in await here.runs()] == [1, 1]


async def test_context_that_is_nested_deeply(alice: httpx.AsyncClient) -> None:
    here = await agent(alice, echo())
    nested: Any = 1
    for _ in range(70):
        nested = {"a": nested}
    await here.say("Hi", 422, context={"deep": nested})
    assert await here.runs() == []


@pytest.mark.parametrize("role", ["assistant", "tool"])
async def test_cancelled_when_a_message_is_written_and_nobody_knows_yet(
    api: Api, alice: httpx.AsyncClient, stub: Stub, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """The stored transcript counts: the turn's end continues from there."""
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}])
    stub.when("go", Reply("Let me see.", calls=[Call("say", {"text": "done"})]), Reply("Well."))
    runs = api.app.state.queries.runs
    append, written, known = runs.append, asyncio.Event(), asyncio.Event()

    async def slow(**arguments: Any) -> Any:
        row = await append(**arguments)
        if f'"role":"{role}"'.encode() in arguments["messages"]:
            written.set()
            await known.wait()
        return row

    monkeypatch.setitem(runs.__dict__, "append", slow)
    async with waiting(here.say("go", 409)):
        await written.wait()
        await here.cancel()
        conductor = api.app.state.runner.find((await here.run("running"))["run_id"])._conductor
        await until(conductor.task.cancelling)
        known.set()
    assert [role for role, _ in await here.said()] == ["user", "assistant", "tool"]
    assert (await here.say("on"))["response"] == "You said: on"
