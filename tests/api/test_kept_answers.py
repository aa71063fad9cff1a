"""The transcript keeps all that models send besides texts and calls as it came, for the requests after it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, serving
from tests.runtime.test_provider_recordings import recorded
from tests.support.agents import agent, model, settings
from tests.support.llm import Reply, Stub

TOOLS = [{"module": "tool-some"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


def replies(*names: str) -> list[Reply]:
    """Returns recorded answers, and a last one."""
    return [*(Reply(raw=recorded(name)[0]) for name in names), Reply("Done.")]


@pytest.mark.parametrize("name", ["anthropic/web_search_paused", "anthropic/call_of_api_paused"])
async def test_paused_answer_is_kept_and_goes_back_as_it_came(alice: httpx.AsyncClient, stub: Stub, name: str) -> None:
    here = await agent(alice, model(stub, "anthropic"))
    stub.when("search", *replies(name))
    assert (await here.say("search"))["response"] == "I search.Done."
    said, done = (await here.transcript())[1:]
    _, expected = recorded(name)
    blocks = [{"type": "text", "text": "I search."}, *expected["other"]]
    assert (said["content"], said["metadata"]) == (blocks, {"finish_reason": "pause_turn"})
    assert done["content"] == "Done."
    asked, continued = stub.requests[-1].body["messages"]
    assert (asked["role"], continued) == ("user", {"role": "assistant", "content": blocks})


async def test_citations_are_kept_with_their_text(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub, "anthropic"))
    stub.when("cite", *replies("anthropic/citations"))
    assert (await here.say("cite"))["response"] == "Bern is a city."
    _, expected = recorded("anthropic/citations")
    assert (await here.transcript())[-1]["content"] == [
        {"type": "text", "text": "Bern is a city.", "citations": expected["citations"]}
    ]


THOUGHTS = [
    ("openai", "deepseek/reasoning_call", {"type": "thinking", "thinking": "I need the date."}),
    ("openai", "mistral/thinking", {"type": "thinking", "thinking": "Let me see."}),
    (
        "anthropic",
        "anthropic/thinking_call",
        {"type": "thinking", "thinking": "The user asks.", "signature": "EqQBCgIYAhIM"},
    ),
]


@pytest.mark.parametrize(("kind", "name", "thought"), THOUGHTS)
async def test_thoughts_are_kept_with_their_calls(
    alice: httpx.AsyncClient, stub: Stub, kind: str, name: str, thought: dict[str, Any]
) -> None:
    here = await agent(alice, model(stub, kind), tools=TOOLS)
    stub.when("think", *replies(name))
    await here.say("think")
    said = (await here.transcript())[1]
    _, expected = recorded(name)
    assert said["content"][0] == thought
    calls = [(call["id"], call["tool"], call["arguments"]) for call in said.get("tool_calls", [])]
    assert calls == [tuple(call) for call in expected.get("calls", [])]


@pytest.mark.parametrize("demanded", [True, None])
async def test_signature_of_call_goes_back_where_it_is_demanded(
    alice: httpx.AsyncClient, stub: Stub, demanded: bool | None
) -> None:
    here = await agent(alice, model(stub, send_reasoning=demanded), tools=TOOLS)
    stub.strict = not demanded  # its rules are those of OpenAI, which takes neither thoughts nor signatures
    stub.when("call", *replies("gemini/calls"))
    signatures = [{"google": {"thought_signature": "EjQKMgEM"}}, None]
    await here.say("call")
    await here.say("more")
    kept = (await here.transcript())[1]["tool_calls"]
    assert [call.get("extra_content") for call in kept] == signatures
    for seen in stub.requests[1:]:
        sent = next(message for message in seen.body["messages"] if "tool_calls" in message)["tool_calls"]
        assert [call.get("extra_content") for call in sent] == (signatures if demanded else [None, None])


ODD = ("nulls", "counts", "counts_that_are_a_list", "emoji_in_halves", "bytes_that_are_no_text")


@pytest.mark.parametrize("name", ODD)
async def test_odd_answer_completes_the_run(alice: httpx.AsyncClient, stub: Stub, name: str) -> None:
    here = await agent(alice, model(stub))
    stub.when("odd", *replies(f"deviating/{name}"))
    _, expected = recorded(f"deviating/{name}")
    assert (await here.say("odd"))["response"] == expected["text"]
    assert (await here.transcript())[-1]["content"] == expected["text"]
