"""The stub of the model APIs, on which other tests rely, behaves like them."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support import llm
from tests.support.live import until
from tests.support.llm import Call, Reply

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


async def post(client: httpx.AsyncClient, api: str, *messages: dict[str, Any], **more: Any) -> httpx.Response:
    """Returns the response to a request."""
    body = {"model": "m", "max_tokens": 5, "messages": messages} | more
    return await client.post(PATHS[api], json=body)


def user(text: str) -> dict[str, Any]:
    """Returns a user's message."""
    return {"role": "user", "content": text}


@pytest.mark.parametrize("api", PATHS)
async def test_stub_answers_by_rule_then_queue_then_echo(api: str) -> None:
    async with llm.running() as stub, httpx.AsyncClient(base_url=stub.url) as client:
        stub.when("weather", Reply("rain"))
        stub.queue(Reply("first"), Reply(status=500, error="second"))
        answers = [await post(client, api, user(text)) for text in ("the weather?", "a", "b", "c")]
    assert ["rain" in answers[0].text, "first" in answers[1].text] == [True, True]
    assert (answers[2].status_code, "second" in answers[2].text) == (500, True)
    assert "You said: c" in answers[3].text


async def test_rule_answers_each_step_of_turn() -> None:
    async with llm.running() as stub, httpx.AsyncClient(base_url=stub.url) as client:
        stub.when("weather", Reply(calls=[Call("look", {"a": 1}, "c1")]), Reply("rain"))
        first = (await post(client, "openai", user("weather"))).json()["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": "c1", "content": "wet"}
        second = await post(client, "openai", user("weather"), first, result)
    assert first["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a": 1}'}
    assert second.json()["choices"][0]["message"]["content"] == "rain"
    assert [(seen.asked, seen.step) for seen in stub.requests] == [("weather", 0), ("weather", 1)]


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "wet"}
REFUSED: list[tuple[str, list[dict[str, Any]]]] = [
    ("openai", [user("a"), {"role": "assistant", "content": None, "tool_calls": [CALL]}]),
    ("openai", [user("a"), {"role": "assistant", "content": None, "tool_calls": [CALL]}, user("b")]),
    ("openai", [user("a"), {"role": "tool", "tool_call_id": "c1", "content": "wet"}]),
    ("anthropic", [user("a"), user("b")]),
    ("anthropic", [{"role": "assistant", "content": "a"}]),
    ("anthropic", [user("a"), {"role": "assistant", "content": [USE]}]),
    ("anthropic", [user("a"), {"role": "assistant", "content": [USE]}, user("b")]),
    ("anthropic", [user("a"), {"role": "assistant", "content": "b"}, {"role": "user", "content": [RESULT]}]),
    ("anthropic", [user("")]),
    ("anthropic", [{"role": "user", "content": [{"type": "text", "text": " "}]}]),
]


@pytest.mark.parametrize(("api", "messages"), REFUSED)
async def test_stub_refuses_messages_that_apis_refuse(api: str, messages: list[dict[str, Any]]) -> None:
    async with llm.running() as stub, httpx.AsyncClient(base_url=stub.url) as client:
        assert (await post(client, api, *messages)).status_code == 400
        stub.strict = False
        assert (await post(client, api, *messages)).status_code == 200


async def test_stub_notices_disconnected_client() -> None:
    async with llm.running() as stub, httpx.AsyncClient(base_url=stub.url) as client:
        stub.queue(Reply(deltas=["a", "b"], stall_after=1))
        asking = asyncio.create_task(post(client, "openai", user("a"), stream=True))
        await until(lambda: stub.requests and stub.requests[0].sent)
        assert not stub.requests[0].disconnected
        asking.cancel()
        await until(lambda: stub.requests[0].disconnected)
        assert not stub.requests[0].done


async def test_gate_is_opened_from_another_thread() -> None:
    with llm.in_thread() as stub:
        gate = llm.Gate()
        stub.queue(Reply(deltas=["a", "b", "c"], gate=gate))
        async with httpx.AsyncClient(base_url=stub.url) as client:
            asking = asyncio.create_task(post(client, "anthropic", user("a"), stream=True))
            await until(lambda: stub.requests)
            gate.let(2)
            await until(lambda: len(stub.requests[0].sent) == 2)
            assert not asking.done()
            gate.open()
            assert (await asking).text.count("text_delta") == 3
            await until(lambda: stub.requests[0].done)
