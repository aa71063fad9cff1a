"""A message that is sent twice with one Idempotency-Key is one message; a stream that cannot open sends nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.test_message_streams import answer
from tests.conftest import assert_problem
from tests.support.agents import agent, echo, model, settings, waiting
from tests.support.live import Live, live, until
from tests.support.llm import Gate, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    """The application over the network, whose agents may ask the stub."""
    async with live(settings(dsn, stub, max_streams_per_user=2)) as api:
        yield api


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


async def test_at_the_same_time(api: Live, alice: httpx.AsyncClient, stub: Stub) -> None:
    here, once = await agent(alice, model(stub)), key()
    body = {"message": "Hi"}
    answers = await asyncio.gather(
        *(alice.post(f"{here.path}/messages", json=body, headers=once, timeout=30) for _ in range(6))
    )
    good = [one.json() for one in answers if one.status_code == 200]
    assert good
    assert all(one == good[0] for one in good)
    assert {one.status_code for one in answers} <= {200, 409}
    assert await here.said() == [("user", "Hi"), ("assistant", "You said: Hi")]
    assert len(await here.runs()) == 1


async def test_after_the_run_is_over(api: Live, alice: httpx.AsyncClient, stub: Stub) -> None:
    here, good, bad = await agent(alice, model(stub)), key(), key()
    stub.when("broken", Reply(status=400, error="max_tokens is too large"))
    for _ in range(2):
        async with answer(here, "Hi", good) as stream:
            events = await stream.rest()
        assert events[0]["type"] == "connected"
        assert events[-2:] == [
            {"type": "response", "content": "You said: Hi", "finish_reason": "stop"},
            {"type": "done"},
        ]
        async with answer(here, "broken", bad) as stream:
            events = await stream.rest()
        assert [event["type"] for event in events if event["type"] in ("error", "done", "response")] == ["error"]
    assert len(stub.requests) == 2
    other = await alice.post(f"{here.path}/messages", json={"message": "Hi"}, headers=good)
    assert_problem(other, 422)


async def test_while_it_waits(api: Live, alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate, once = await agent(alice, model(stub)), Gate(), key()
    stub.when("first", Reply("1", gate=gate))
    async with waiting(here.say("first")):
        await until(lambda: stub.requests)
        async with answer(here, "second", once) as one, answer(here, "second", once) as two:
            await one.next("connected")
            await two.next("connected")
            assert [run["status"] for run in await here.runs()] == ["running", "queued"]
            gate.open()
            ends = [(await stream.rest())[-2:] for stream in (one, two)]
    assert (
        ends == [[{"type": "response", "content": "You said: second", "finish_reason": "stop"}, {"type": "done"}]] * 2
    )
    assert len(await here.runs()) == 2


async def test_one_stream_too_many(api: Live, alice: httpx.AsyncClient) -> None:
    """Nothing is sent when nobody could follow it."""
    here = await agent(alice, echo())
    async with api.stream(alice, f"{here.path}/events"), api.stream(alice, f"{here.path}/events"):
        assert_problem(await alice.post(f"{here.path}/stream", json={"message": "Hi"}), 429)
        assert await here.runs() == []
    async with asyncio.timeout(10):
        while (sent := await alice.post(f"{here.path}/stream", json={"message": "Hi"})).status_code == 429:
            await asyncio.sleep(0.02)
    assert "You said: Hi" in sent.text
    assert len(await here.runs()) == 1
