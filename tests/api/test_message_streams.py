"""Streams of an agent's answer: as they are made, joined again, and for everybody who follows the session."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import assert_problem
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import LIMIT, Live, live, until
from tests.support.llm import Call, Gate, Reply, Stub

DELTA = "llm:stream_block_delta"


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    """The application over the network, whose agents may ask the stub."""
    async with live(settings(dsn, stub)) as api:
        yield api


class Answer:
    """A stream of an answer; each wait has a limit."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def next(self, *types: str) -> Any:
        """Returns the next event, of one of these types where any are given; None at the end."""
        async with asyncio.timeout(LIMIT):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last_id = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    event = json.loads(line.removeprefix("data: "))
                    if not types or event["type"] in types:
                        return event
        return None

    async def rest(self) -> list[Any]:
        """All events until the end."""
        events = []
        while event := await self.next():
            events.append(event)
        return events


@contextlib.asynccontextmanager
async def answer(here: Agent, text: str, headers: dict[str, str] | None = None) -> AsyncIterator[Answer]:
    """The stream of the answer to a message."""
    body = {"message": text}
    async with here.client.stream("POST", f"{here.path}/stream", json=body, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream"
        yield Answer(response)


def text_of(events: list[Any]) -> str:
    return "".join(event["data"]["text"] for event in events if event["type"] == DELTA)


async def test_answer_as_it_is_made(alice: httpx.AsyncClient, stub: Stub) -> None:
    """Each part before the model says the next one."""
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("count", Reply(deltas=["one", " two", " three"], gate=gate))
    async with answer(here, "count") as stream:
        assert await stream.next() == {"type": "connected", "session_id": here.session_id}
        for part in ("one", " two", " three"):
            gate.let()
            assert (await stream.next(DELTA))["data"]["text"] == part
        events = await stream.rest()
    assert events[-2:] == [{"type": "response", "content": "one two three", "finish_reason": "stop"}, {"type": "done"}]
    [run] = await here.runs()
    assert {event["data"]["run_id"] for event in events if event["type"] == "run.completed"} == {run["run_id"]}


async def test_turn_with_a_tool(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub, "anthropic"), tools=[{"module": "tool-some"}])
    stub.when("weather", Reply(calls=[Call("say", {"text": "rain"})]), Reply("It rains."))
    async with answer(here, "weather") as stream:
        events = await stream.rest()
    types = [event["type"] for event in events]
    assert types.index("tool:pre") < types.index("tool:post") < types.index("response")
    [before] = [event["data"] for event in events if event["type"] == "tool:pre"]
    assert (before["tool_name"], before["tool_input"]) == ("say", {"text": "rain"})
    texts = [event["data"]["text"] for event in events if event["type"] == DELTA]
    assert "".join(texts).endswith("It rains.")


async def test_failure_is_sent_once_and_last(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    stub.when("broken", Reply(status=500, error="out of order"))
    async with answer(here, "broken") as stream:
        events = await stream.rest()
    assert [event for event in events if event["type"] in ("error", "response", "done")] == events[-1:]
    assert events[-1]["type"] == "error"
    assert "out of order" in events[-1]["message"]
    assert [role for role, _ in await here.said()] == ["user"]


async def test_client_that_leaves_stops_nothing_and_joins_again(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("count", Reply(deltas=["one", " two", " three"], gate=gate))
    async with answer(here, "count") as stream:
        gate.let()
        await stream.next(DELTA)
        place = {"Last-Event-ID": stream.last_id}
    async with answer(here, "count", place) as stream:
        await stream.next("connected")
        gate.open()
        events = await stream.rest()
    assert text_of(events) == "one two three"  # what the model had said comes again
    assert events[-2:] == [{"type": "response", "content": "one two three", "finish_reason": "stop"}, {"type": "done"}]
    assert await here.said() == [("user", "count"), ("assistant", "one two three")]
    async with answer(here, "count", place) as stream:  # it is over
        assert [event["type"] for event in await stream.rest()] == ["connected", "response", "done"]
    assert len(await here.runs()) == 1


async def test_turn_completes_without_listeners(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("count", Reply("one two", gate=gate))
    async with answer(here, "count") as stream:
        await stream.next("connected")
    gate.open()
    assert (await here.run("completed"))["response"] == "one two"
    assert await here.said() == [("user", "count"), ("assistant", "one two")]


async def test_stream_that_waits_shows_nothing_of_the_turn_before(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("first", Reply("one", gate=gate))
    async with waiting(here.say("first")):
        await until(lambda: stub.requests)
        async with answer(here, "second") as stream:
            await stream.next("connected")
            place = {"Last-Event-ID": stream.last_id}
            async with answer(here, "second", place) as joined:
                await joined.next("connected")
                gate.open()
                both = [await stream.rest(), await joined.rest()]
    for events in both:
        assert text_of(events) == "You said: second"
        assert [event["data"]["message"]["content"] for event in events if event["type"] == "message.created"] == [
            "second",
            "You said: second",
        ]
        assert events[-1] == {"type": "done"}


async def test_place_that_is_none(alice: httpx.AsyncClient) -> None:
    here, there = await agent(alice, echo()), await agent(alice, echo())
    run_id = (await here.say("Hi"))["metadata"]["run_id"]
    unknown = str(uuid.uuid4())
    for place, status in (("x", 422), ("1", 422), (f"{run_id}:99", 422), (f"{unknown}:1", 404)):
        refused = await alice.post(f"{here.path}/stream", json={"message": "x"}, headers={"Last-Event-ID": place})
        assert_problem(refused, status)
    elsewhere = await alice.post(
        f"{there.path}/stream", json={"message": "x"}, headers={"Last-Event-ID": f"{run_id}:1"}
    )
    assert_problem(elsewhere, 404)
    assert len(await here.runs()) == 1


async def test_same_key_joins_the_same_run(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate, key = await agent(alice, model(stub)), Gate(), {"Idempotency-Key": "once"}
    stub.when("count", Reply("one two", gate=gate))
    async with answer(here, "count", key) as first:
        await first.next("connected")
        async with answer(here, "count", key) as second:
            await second.next("connected")
            gate.open()
            ends = [(await stream.rest())[-2] for stream in (first, second)]
    assert ends == [{"type": "response", "content": "one two", "finish_reason": "stop"}] * 2
    assert len(await here.runs()) == 1


async def test_everybody_follows(api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}])
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
    stub.when("weather", Reply(calls=[Call("say", {"text": "rain"})]), Reply("It rains in Geneva.", pieces=8))
    async with api.stream(bob, f"{here.path}/events") as stream, api.socket(bob, f"{here.path}/ws") as socket:
        await here.say("weather")
        for follower in (stream, socket):
            seen = [await follower.next("run.started", "message.created", "tool:pre")]
            while seen[-1] is not None and seen[-1].type != "run.completed":
                seen.append(await follower.next("message.created", "tool:pre", "tool:post", DELTA, "run.completed"))
            types = [event.type for event in seen if event is not None]
            assert types.count("message.created") == 4
            assert {"tool:pre", "tool:post"} <= set(types)
            deltas = [event for event in seen if event is not None and event.type == DELTA]
            assert len(deltas) < 8, "in batches"
            assert "".join(event.data["text"] for event in deltas).endswith("It rains in Geneva.")
            assert {event.id for event in deltas} == {None}


async def test_removed_participant_sees_no_more(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub
) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
    stub.when("count", Reply(deltas=["one", " two"], gate=gate))
    async with answer(Agent(bob, here.session_id), "count") as stream:
        gate.let()
        await stream.next(DELTA)
        await alice.delete(f"{here.path}/participants/bob")
        events = await stream.rest()
        gate.open()
    said = "You do not take part in the session any more"
    assert events[-1] == {"type": "error", "message": said, "detail": said}
    assert (await here.run("failed"))["error"]["type"] == "refused"
    assert (await here.said())[-1] == ("assistant", "one two")
