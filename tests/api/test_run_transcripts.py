"""Agents continue any transcript: other dialects, gaps, and messages added while the agent works."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, model, settings, waiting
from tests.support.live import LIMIT, until
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.paths import DATA

DIALECTS = json.loads((DATA / "transcripts.json").read_text())
BROKEN: dict[str, list[dict[str, Any]]] = {
    "a call without result": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "tool": "say", "arguments": {}}]},
    ],
    "an unanswered message": [{"role": "user", "content": "one"}],
    "a result of nothing": [
        {"role": "user", "content": "one"},
        {"role": "tool", "tool_call_id": "gone", "content": "x"},
        {"role": "assistant", "content": "two"},
    ],
    "only an answer": [{"role": "assistant", "content": "I began."}],
    "empty texts": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    "nothing": [{"role": "user", "content": None}, {"role": "assistant", "content": None}],
    "two calls, the results in the wrong order": [
        {"role": "user", "content": "one"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": name, "tool": "say", "arguments": {}} for name in ("a", "b")],
        },
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": "meanwhile"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ],
}


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def record(here: Agent, messages: list[dict[str, Any]]) -> None:
    answer = await here.client.post(f"{here.path}/transcript", json={"messages": messages})
    assert answer.status_code == 201, answer.text


async def goes_on(client: httpx.AsyncClient, stub: Stub, messages: list[dict[str, Any]]) -> None:
    """Both APIs accept what is sent of it; what was recorded stays as it is."""
    for kind in ("openai", "anthropic"):
        here = await agent(client, model(stub, kind), tools=[{"module": "tool-some"}])
        await record(here, messages)
        stub.when("use it", Reply(calls=[Call("say", {"text": "used"})]), Reply("Well."))
        await here.say("and now?")
        assert "and now?" in str(stub.requests[-1].body["messages"][-1]["content"])
        assert (await here.say("use it"))["response"] == "Well."
        kept = (await client.get(f"{here.path}/transcript?view=plain")).json()
        assert kept[: len(messages)] == messages


@pytest.mark.parametrize("transcript", DIALECTS, ids=lambda transcript: transcript["name"])
async def test_every_dialect_goes_on(alice: httpx.AsyncClient, stub: Stub, transcript: Any) -> None:
    await goes_on(alice, stub, transcript["messages"])


@pytest.mark.parametrize("messages", BROKEN.values(), ids=BROKEN)
async def test_invalid_transcript_is_repaired_for_model(
    alice: httpx.AsyncClient, stub: Stub, messages: list[dict[str, Any]]
) -> None:
    await goes_on(alice, stub, messages)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_blank_message(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind))
    for text in (" ", "\n", "Hi"):
        await here.say(text)
        assert stub.requests[-1].body["messages"][-1]["role"] == "user"
    assert (await here.said())[-2:] == [("user", "Hi"), ("assistant", "You said: Hi")]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_somebody_adds_a_message_while_a_tool_runs(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here, gate = await agent(alice, model(stub, kind), tools=[{"module": "tool-some"}]), Gate()
    stub.when("meet", Reply(calls=[Call("meet", {"text": "1", "number": 1})]), Reply("Met.", gate=gate))
    async with waiting(here.say("meet")) as answer:
        await until(lambda: len(stub.requests) == 2)
        await record(here, [{"role": "user", "content": "meanwhile"}, {"role": "assistant", "content": "I see."}])
        gate.open()
    assert answer.result()["response"] == "Met."
    assert (await here.say("on"))["response"] == "You said: on"
    contents = [message["content"] for message in (await alice.get(f"{here.path}/transcript?view=plain")).json()]
    assert contents == ["meet", "", "met 1", "meanwhile", "I see.", "Met.", "on", "You said: on"]


async def test_transcript_that_is_long(alice: httpx.AsyncClient, stub: Stub) -> None:
    """The model gets the end of it, from the beginning of a turn."""
    here = await agent(alice, model(stub))
    for part in range(3):
        turns = range(part * 450, (part + 1) * 450)
        pairs = [[("user", f"question {turn}"), ("assistant", f"answer {turn}")] for turn in turns]
        await record(here, [{"role": role, "content": text} for pair in pairs for role, text in pair])
    await here.say("last")
    sent = stub.requests[-1].body["messages"]
    assert 1000 < len(sent) <= 2001
    assert sent[-2]["content"] == "answer 1349"
    assert sent[0]["role"] == "user"


async def test_many_turns_at_once_in_many_sessions(alice: httpx.AsyncClient, stub: Stub) -> None:
    """Each session has its own, in order."""
    agents = [await agent(alice, model(stub)) for _ in range(5)]
    async with asyncio.timeout(LIMIT * 2):
        await asyncio.gather(
            *(one.say(f"{number} of {turn}") for turn in range(4) for number, one in enumerate(agents))
        )
    for number, one in enumerate(agents):
        said = await one.said()
        assert [role for role, _ in said] == ["user", "assistant"] * 4
        assert {text for _, text in said[::2]} == {f"{number} of {turn}" for turn in range(4)}
        assert [answer for _, answer in said[1::2]] == [f"You said: {text}" for _, text in said[::2]]
