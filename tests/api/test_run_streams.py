"""Streams of runs out of the ordinary: cancelled, misconfigured, joined by others, with long results."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.test_message_streams import DELTA, answer, text_of
from tests.conftest import assert_problem
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import Live, live, until
from tests.support.llm import Call, Gate, Reply, Stub

ODD = [{"module": "tool-odd"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    """The application over the network, whose agents may ask the stub."""
    async with live(settings(dsn, stub)) as api:
        yield api


async def test_run_that_is_cancelled(alice: httpx.AsyncClient, stub: Stub) -> None:
    """The one that goes on, and the one that waits: each stream ends with one error."""
    here = await agent(alice, model(stub))
    stub.when("long", Reply("One two three", stall_after=1))
    async with answer(here, "long") as going:
        await going.next(DELTA)
        async with answer(here, "second") as queued:
            await queued.next("connected")
            second = (await here.run("queued"))["run_id"]
            await here.cancel(run_id=second)
            waited = await queued.rest()
        await here.cancel()
        went = await going.rest()
    for events in (went, waited):
        said = "The run was cancelled"
        assert events[-1] == {"type": "error", "message": said, "detail": said}
        assert [event["type"] for event in events].count("error") == 1
    assert went[-2]["type"] == "run.cancelled"
    # a stream that begins to listen after the end of its run has nothing but the error
    assert [event["type"] for event in waited][-2:] in (["run.cancelled", "error"], ["error"])
    assert [run["status"] for run in await here.runs()] == ["cancelled", "cancelled"]


async def test_config_that_cannot_be_run(alice: httpx.AsyncClient) -> None:
    here = await agent(alice, {"module": "provider-none"})
    async with answer(here, "Hi") as stream:
        events = await stream.rest()
    assert [event["type"] for event in events if "." not in event["type"]] == ["connected", "error"]
    assert "RUNTIME_MODULES" in events[-1]["message"]
    assert events[-1]["detail"] == events[-1]["message"] == (await here.runs())[0]["error"]["detail"]
    [failed] = [event for event in events if event["type"] == "run.failed"]
    assert failed["data"]["error"] == (await here.runs())[0]["error"]


async def test_viewer_joins(alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub) -> None:
    """Participants, and only they, may follow a run that another participant began."""
    here, gate = await agent(alice, model(stub)), Gate()
    theirs = Agent(bob, here.session_id)
    stub.when("count", Reply(deltas=["one", " two", " three"], gate=gate))
    async with answer(here, "count") as stream:
        gate.let()
        await stream.next(DELTA)
        place = {"Last-Event-ID": stream.last_id}
        path, body = f"{here.path}/stream", {"message": "count"}
        assert_problem(await bob.post(path, json=body, headers=place), 404, f"Session not found: {here.session_id}")
        await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
        assert_problem(await bob.post(path, json=body), 403)
        async with answer(theirs, "count", place) as joined:
            assert (await joined.next(DELTA))["data"]["text"] == "one"
            gate.open()
            assert text_of(await joined.rest()) == " two three"
        assert (await stream.rest())[-1] == {"type": "done"}
    async with answer(theirs, "count", place) as joined:
        assert (await joined.rest())[-2:] == [
            {"type": "response", "content": "one two three", "finish_reason": "stop"},
            {"type": "done"},
        ]
    assert len(await here.runs()) == 1


async def test_long_results_are_shown_in_short(api: Live, alice: httpx.AsyncClient, stub: Stub) -> None:
    """To followers; the stream of the run has them whole."""
    here = await agent(alice, model(stub), tools=ODD)
    stub.when("long", Reply(calls=[Call("long")]), Reply("Long.", pieces=1))
    async with api.stream(alice, f"{here.path}/events") as follower:
        async with answer(here, "long") as stream:
            [whole] = [event["data"] for event in await stream.rest() if event["type"] == "tool:post"]
        shown = await follower.next("tool:post")
    assert whole["result"]["output"] == "long " * 2000
    assert shown is not None
    assert (shown.data["tool_name"], shown.data["truncated"]) == ("long", True)
    assert "result" not in shown.data


@pytest.mark.slow
async def test_result_larger_than_what_an_agent_may_see(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=ODD)
    stub.when("flood", Reply(calls=[Call("flood")]), Reply("Wet."))
    async with answer(here, "flood") as stream:
        events = await stream.rest()
    assert events[-2:] == [{"type": "response", "content": "Wet.", "finish_reason": "stop"}, {"type": "done"}]
    assert (await here.say("on"))["response"] == "You said: on"


async def test_many_follow_one_run(api: Live, alice: httpx.AsyncClient, stub: Stub) -> None:
    """All of them see the same, whenever they came."""
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("count", Reply(deltas=[f"{number} " for number in range(20)], gate=gate))
    texts: list[str] = []
    begun: list[str] = []

    async def follow(place: dict[str, str]) -> None:
        async with answer(here, "count", place) as stream:
            begun.append((await stream.next(DELTA))["data"]["text"])
            first = begun[-1]
            events = await stream.rest()
            assert events[-1] == {"type": "done"}
            texts.append(first + text_of(events))

    async with answer(here, "count") as stream:
        await stream.next("connected")
        place = {"Last-Event-ID": stream.last_id}
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(follow(place))
                if number == 19:
                    await until(lambda: len(begun) == 20)
                gate.let()
    assert texts == ["".join(f"{number} " for number in range(20))] * 20


async def test_client_leaves_before_its_message_is_answered(alice: httpx.AsyncClient, stub: Stub) -> None:
    """The run goes on, also of one who waits for a whole answer."""
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("count", Reply("one two", gate=gate))
    sent = asyncio.create_task(here.say("count"))
    await until(lambda: stub.requests)
    sent.cancel()
    await asyncio.wait({sent})
    gate.open()
    assert (await here.run("completed"))["response"] == "one two"
    async with waiting(here.say("on")) as last:
        pass
    assert last.result()["response"] == "You said: on"


async def test_echo_streams_words(alice: httpx.AsyncClient) -> None:
    here = await agent(alice, echo())
    async with answer(here, "a b c") as stream:
        events = await stream.rest()
    parts = [event["data"]["text"] for event in events if event["type"] == DELTA]
    assert parts == ["You", " said:", " a", " b", " c"]
