"""Secrets that a model sends in pieces: in no stream, in no partial answer, and the rest is shown at once."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.test_approvals import asking, decide, question
from tests.api.test_message_streams import DELTA, answer
from tests.support.agents import agent, model, settings, waiting
from tests.support.live import Live, live, until
from tests.support.llm import Call, Gate, Reply, Stub

SECRET = "canary-of-the-config"
TEXT = f"It is {SECRET}, sir"


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    async with live(settings(dsn, stub)) as api:
        yield api


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def said(events: list[Any], kind: str) -> str:
    """The deltas of a kind; of a stream's events, or of followers'."""
    deltas = [event["data"] for event in events if event["type"] == DELTA]
    return "".join(data["text"] for data in deltas if data["block_type"] == kind)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("size", [1, 7, 13])
async def test_secret_in_pieces_is_in_no_stream(
    api: Live, alice: httpx.AsyncClient, stub: Stub, kind: str, size: int
) -> None:
    """Wherever the answer, the thoughts and the arguments of calls are parted; followers see as little."""
    here = await agent(alice, model(stub, kind, api_key=SECRET), tools=[{"module": "tool-some"}])
    first = Reply(deltas=cut(TEXT, size), thinking=cut(TEXT, size), calls=[Call("say", {"text": SECRET})])
    stub.when("tell", first, Reply(deltas=cut(TEXT, size)))
    async with api.stream(alice, f"{here.path}/events") as stream, answer(here, "tell me") as own:
        seen = [await own.rest()]
        followed = []
        while (event := await stream.next(DELTA, "run.completed")) and event.type != "run.completed":
            followed.append({"type": event.type, "data": event.data})
        seen.append(followed)
    for events in seen:
        assert said(events, "text") == "It is ***, sir" * 2
        assert said(events, "thinking") == "It is ***, sir"
        assert json.loads(said(events, "tool_call")) == {"text": "***"}
    assert (await here.runs())[0]["response"] == "It is ***, sir"


async def test_text_without_secret_is_shown_at_once(alice: httpx.AsyncClient, stub: Stub) -> None:
    """Only an end that may be the beginning of a secret waits for the next piece."""
    here, gate = await agent(alice, model(stub, api_key=SECRET)), Gate()
    stub.when("go", Reply(deltas=["A", " cat", "; can", "ary-of", " course", " c"], gate=gate))
    async with answer(here, "go") as stream:
        for count, text in ((1, "A"), (1, " cat"), (1, "; "), (2, "canary-of course"), (1, " ")):
            gate.let(count)
            assert (await stream.next(DELTA))["data"]["text"] == text
        events = await stream.rest()
    assert said(events, "text") == "c"
    assert events[-2] == {"type": "response", "content": "A cat; canary-of course c", "finish_reason": "stop"}


@pytest.mark.parametrize("size", [3, 12])
async def test_partial_answer_shows_no_most_of_a_secret(
    api: Live, alice: httpx.AsyncClient, stub: Stub, size: int
) -> None:
    """Neither to those who join, nor in the transcript when the run is cancelled."""
    here = await agent(alice, model(stub, api_key=SECRET))
    stub.when("long", Reply(deltas=["It is ", SECRET[:size], SECRET[size:]], stall_after=2))
    async with waiting(here.say("long", 409)):
        run_id = (await here.run("running"))["run_id"]
        feed = api.app.state.runner.find(run_id).feed
        await until(lambda: feed._open and next(iter(feed._open.values()))[0]._held == SECRET[:size])
        assert feed.partial == "It is "
        await here.cancel()
    assert (await here.said())[-1] == ("assistant", "It is can" if size == 3 else "It is ***")


async def test_secret_in_options_of_question_is_hidden(alice: httpx.AsyncClient, stub: Stub) -> None:
    """As in its text."""
    here = await asking(alice, stub, approval_options=["Allow", f"Allow {SECRET}", "Deny"], api_key=SECRET)
    async with waiting(here.say("go")):
        asked = await question(here)
        assert asked["options"] == ["Allow", "Allow ***", "Deny"]
        await decide(here, asked["approval_id"], "Deny")
