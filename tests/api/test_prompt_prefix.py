"""The next turn sends earlier messages byte by byte as the turn before did, so that prompt caches are hit."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.support.agents import agent, model, settings
from tests.support.llm import Call, Reply, Stub

# `jsonb` would return these with other keys first, and the number without its exponent
ARGUMENTS = {"text": "x", "a": {"zeta": 1, "b": [{"ccc": 1, "bb": 2}]}, "n": 1e20}


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


def without_marks(body: dict[str, Any]) -> list[str]:
    """Returns the messages as they were sent. Anthropic ignores its marks when it compares a prefix."""
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            block.pop("cache_control", None)
    return [json.dumps(message) for message in body["messages"]]


@pytest.mark.parametrize("thinking", [[], ["hm"]])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_next_turn_begins_as_the_one_before(
    alice: httpx.AsyncClient, stub: Stub, kind: str, thinking: list[str]
) -> None:
    here = await agent(alice, model(stub, kind), tools=[{"module": "tool-some"}])
    calls = [Call("say", ARGUMENTS, "call_0"), Call("say", {"text": "y"}, "call_0")]
    stub.when("use it", Reply("I look.", calls=calls, thinking=thinking), Reply("Well."))
    await here.say("use it")
    await here.say("use it", context={"zeta": 1, "b": 2})
    await here.say("thanks")
    sent = [without_marks(request.body) for request in stub.requests]
    assert len(sent) == 5
    for before, after in itertools.pairwise(sent):
        assert after[: len(before)] == before
    assert all(request.status == 200 for request in stub.requests), "ids are unique in each request"
    called = json.loads(sent[-1][1])
    given = json.loads(called["tool_calls"][0]["function"]["arguments"]) if kind == "openai" else called["content"][-2]
    assert list(given if kind == "openai" else given["input"]) == list(ARGUMENTS)
    (first, *_) = [message["tool_calls"][0] for message in await here.transcript() if message.get("tool_calls")]
    assert first["arguments"] == ARGUMENTS
