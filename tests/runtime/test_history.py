"""An agent reads the newest turns of a transcript and all messages of the system, and the run says what is missing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from amplifier.runtime.modules.core_messages import Writer
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, model, settings
from tests.support.llm import Stub

SYSTEM = {"role": "system", "content": "Speak of cats only."}
LIMITS = {"run_history_messages": 10, "run_history_bytes": 65_536}


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None, limits: dict[str, int]) -> AsyncIterator[Api]:
    async with serving(settings(dsn, stub, **limits)) as api:
        yield api


@pytest.fixture
def limits() -> dict[str, int]:
    return LIMITS


def said(role: str, *texts: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for text in texts]


def turns(first: int, last: int, padding: str = "") -> list[dict[str, Any]]:
    """Returns turns of a question and an answer."""
    return [
        {"role": role, "content": f"{role} {n}{padding}"}
        for n in range(first, last + 1)
        for role in ("user", "assistant")
    ]


async def session(alice: httpx.AsyncClient, stub: Stub, messages: list[dict[str, Any]], **config: Any) -> Agent:
    """Returns a session with these messages and an agent that asks the stub."""
    here = await agent(alice, model(stub), **config)
    size = 5 if len(json.dumps(messages)) > 1_000_000 else 1000
    for start in range(0, len(messages), size):
        answer = await alice.post(f"{here.path}/transcript", json={"messages": messages[start : start + size]})
        assert answer.status_code == 201, answer.text
    return here


def sent(stub: Stub) -> list[Any]:
    """Returns what the model was sent, each content cut to 12 characters."""
    return [(one["content"] or "")[:12] for one in stub.requests[-1].body["messages"]]


async def left_out(here: Agent) -> Any:
    return (await here.runs())[-1]["usage"].get("messages_left_out")


async def test_whole_transcript_is_read_up_to_limits(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await session(alice, stub, [SYSTEM, *turns(1, 4), *said("user", "Hm")])
    await here.say("Well")
    assert sent(stub) == ["Speak of cat", *(one["content"] for one in turns(1, 4)), "Hm", "Well"]
    assert await left_out(here) is None


async def test_newest_turns_are_read_after_system_messages(alice: httpx.AsyncClient, stub: Stub) -> None:
    middle = {"role": "developer", "content": "And of dogs."}
    here = await session(alice, stub, [SYSTEM, *turns(1, 3), middle, *turns(4, 7), *said("user", "Hm")])
    await here.say("Well")
    rest = [one["content"] for one in turns(4, 7)]
    assert sent(stub) == ["Speak of cat", "And of dogs.", *rest, "Hm", "Well"]
    assert await left_out(here) == 6


async def test_cut_begins_with_a_turn_and_keeps_its_system_messages(alice: httpx.AsyncClient, stub: Stub) -> None:
    middle = {"role": "system", "content": "And of dogs."}
    here = await session(
        alice, stub, [*turns(1, 3), *turns(4, 4)[:1], *said("assistant", "a", "b"), middle, *turns(5, 8)]
    )
    await here.say("Well")
    assert sent(stub) == ["And of dogs.", *(one["content"] for one in turns(5, 8)), "Well"]
    assert await left_out(here) == 9


async def test_long_turn_is_read_from_its_end_after_its_question(alice: httpx.AsyncClient, stub: Stub) -> None:
    steps = []
    for n in range(12):
        call = {"id": f"c{n}", "tool": "look", "arguments": {}}
        steps += [{"role": "assistant", "content": "", "tool_calls": [call]}]
        steps += [{"role": "tool", "tool_call_id": f"c{n}", "name": "look", "content": f"seen {n}"}]
    here = await session(alice, stub, [*turns(1, 2), *said("user", "Look twelve times"), *steps])
    await here.say("Well")
    seen = [text for n in range(7, 12) for text in ("", f"seen {n}")]
    assert sent(stub)[:11] == ["Look twelve ", *seen]
    assert sent(stub)[-1] == "Well"
    assert await left_out(here) == 18


async def test_too_large_message_is_named(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await session(alice, stub, [*turns(1, 2), *said("assistant", "x" * 70_000)])
    problem = await here.say("Well", 400)
    assert "RUN_HISTORY_BYTES" in problem["detail"]
    assert "65536" in problem["detail"]
    assert (await here.runs())[-1]["error"]["type"] == "config"


async def test_too_large_system_messages_are_named(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await session(alice, stub, [*said("system", "x" * 40_000, "y" * 40_000), *turns(1, 8)])
    assert "system and developer messages of the transcript have 800" in (await here.say("Well", 400))["detail"]


async def test_message_that_cannot_be_sent_is_named(
    alice: httpx.AsyncClient, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = {"role": "critic", "content": "Strange"}
    here = await session(alice, stub, [*turns(1, 8), strange, *said("assistant", "So?")])
    monkeypatch.setattr(Writer, "write", lambda self, message: [{"role": "nobody", "content": "x"}])
    problem = await here.say("Well", 400)
    assert problem["detail"].startswith("Message 17 of the transcript cannot be sent to a model: 0.role: ")
    assert (await here.runs())[-1]["error"]["type"] == "config"


async def test_stream_tells_of_a_cut(alice: httpx.AsyncClient, stub: Stub) -> None:
    context = {"module": "context-simple", "config": {"max_tokens": 8}}
    here = await session(alice, stub, turns(1, 8), session={"context": context})
    answer = await alice.post(f"{here.path}/stream", json={"message": "Well"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    cuts = [event["data"] for event in events if event["type"] == "context:compaction"]
    for cut in cuts:
        cut.pop("run_id")
    assert cuts == [
        {"messages": 10, "left_out": 6, "limit": "RUN_HISTORY_MESSAGES"},
        {"messages": 3, "left_out": 8, "limit": "max_tokens"},
    ]
    assert await left_out(here) == 14


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{}])
async def test_default_limits(alice: httpx.AsyncClient, stub: Stub) -> None:
    many = await session(alice, stub, [SYSTEM, *turns(1, 1001)])
    await many.say("Well")
    assert sent(stub)[:2] == ["Speak of cat", "user 2"]
    assert (len(sent(stub)), await left_out(many)) == (2002, 2)
    large = await session(alice, stub, [SYSTEM, *turns(1, 9, "x" * 500_000)])
    await large.say("Well")
    assert sent(stub)[:2] == ["Speak of cat", "user 2xxxxxx"]
    assert (len(sent(stub)), await left_out(large)) == (18, 2)
