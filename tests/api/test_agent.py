"""Messages to an agent: its answers, what it is refused, what goes wrong with its provider."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub

TOOLS = [{"module": "tool-some"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def test_answer_as_clients_know_it(alice: httpx.AsyncClient) -> None:
    here = await agent(alice, echo())
    session = (await alice.get(here.path)).json()
    answer = await here.say("Hello")
    run_id = answer["metadata"].pop("run_id")
    assert answer == {
        "session_id": here.session_id,
        "response": "You said: Hello",
        "metadata": {"config_id": session["config_id"], "finish_reason": "stop"},
    }
    assert await here.said() == [("user", "Hello"), ("assistant", "You said: Hello")]
    assert (await alice.get(here.path)).json()["message_count"] == 1
    run = (await alice.get(f"{here.path}/runs/{run_id}")).json()
    assert (run["status"], run["response"], run["error"]) == ("completed", "You said: Hello", None)
    assert (run["user_id"], run["app_id"], run["message"]) == ("alice", "app", {"role": "user", "content": "Hello"})
    of_model = run["usage"].pop("models")["echo"]
    assert run["usage"] == {"model_calls": 1, "input_tokens": 1, "output_tokens": 3, "total_tokens": 4}
    assert of_model.pop("seconds") >= 0
    assert of_model == run["usage"]
    assert run["queued_at"] <= run["started_at"] <= run["finished_at"]
    assert 0 <= run["timing"]["first_delta"] <= run["timing"]["total"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_turn_with_tools(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind), tools=TOOLS)
    stub.when("weather", Reply(calls=[Call("say", {"text": "rain"}), Call("none")]), Reply("It rains."))
    assert (await here.say("The weather?"))["response"] == "It rains."
    roles = [message["role"] for message in await here.transcript()]
    assert roles == ["user", "assistant", "tool", "tool", "assistant"]
    rain, unknown = [message["content"] for message in (await here.transcript())[2:4]]
    assert (rain, "no tool 'none'" in unknown) == ("rain", True)
    [run] = await here.runs()
    assert (run["usage"]["model_calls"], run["usage"]["tool_calls"], run["usage"]["total_tokens"]) == (2, 1, 30)
    stub.when("again", Reply("Still."))
    assert (await here.say("And again?"))["response"] == "Still."  # the stub refuses what a model would


async def test_model_gets_context_and_system_prompt(alice: httpx.AsyncClient, stub: Stub) -> None:
    prompted = {"context": {"module": "context-simple", "config": {"system_prompt": "Be brief."}}}
    here = await agent(alice, model(stub), session=prompted)
    await here.say("Hi", context={"customer": "mia"})
    await here.say("More")
    sent = [(one["role"], one["content"]) for one in stub.requests[-1].body["messages"]]
    assert sent[:2] == [("system", "Be brief."), ("user", 'Hi\n\n<context>\n{"customer":"mia"}\n</context>')]
    first = (await here.transcript())[0]
    assert first == {"role": "user", "content": "Hi", "metadata": {"context": {"customer": "mia"}}}


async def test_participants_with_send_may_send_messages(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    here = await agent(alice, echo())
    for route in ("messages", "stream"):
        refused = await bob.post(f"{here.path}/{route}", json={"message": "Hi"})
        assert_problem(refused, 404, f"Session not found: {here.session_id}")
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
    theirs = Agent(bob, here.session_id)
    assert "permission send" in (await theirs.say("Hi", 403))["detail"]
    assert "permission cancel" in (await theirs.cancel(403))["detail"]
    await alice.patch(f"{here.path}/participants/bob", json={"permissions": {"send": True}})
    assert (await theirs.say("Hi"))["response"] == "You said: Hi"
    assert [entry["author_user_id"] for entry in await entries(here)] == ["bob", "bob"]
    await alice.patch(here.path, json={"status": "completed"})
    assert "resume it" in (await here.say("Hi", 409))["detail"]
    assert "nothing to cancel" in (await here.cancel(409))["detail"]


async def entries(here: Agent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await here.client.get(f"{here.path}/transcript")).json()["messages"]
    return found


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"providers": []}, "providers: there are none"),
        ({"providers": [{"module": "provider-none"}]}, "RUNTIME_MODULES"),
        ({"providers": [{"module": "provider-echo", "source": "git+https://x"}]}, "providers[0].source"),
        ({"includes": [{"bundle": "foundation"}]}, "includes"),
        ({"providers": [{"module": "provider-openai", "config": {"model": "m", "api_key": "${NONE}"}}]}, "NONE"),
        ({"providers": [{"module": "provider-openai", "config": {"model": "m"}}]}, "api_key"),
        ({"session": {"orchestrator": "loop-none"}}, "loop-none"),
        ({"tools": [{"module": "tool-broken", "config": {"api_key": "a-secret-key"}}]}, "tool-broken"),
    ],
)
async def test_config_that_cannot_be_run(alice: httpx.AsyncClient, sections: Any, told: str) -> None:
    here = await agent(alice, *sections.pop("providers", [echo()]), **sections)
    problem = await here.say("Hi", 400)
    assert told in problem["detail"]
    assert "a-secret-key" not in json.dumps([problem, await here.runs()])
    assert [role for role, _ in await here.said()] == ["user"]
    assert (await here.runs())[0]["error"]["type"] == "config"


FAILURES = [
    (Reply(status=400, error="max_tokens is too large"), 502, "max_tokens is too large", "InvalidRequestError"),
    (Reply(status=401, error="Incorrect key: sk-of-the-config"), 502, "Incorrect key: ***", "AuthenticationError"),
    (Reply(status=429, error="Rate limit reached"), 502, "Rate limit reached", "RateLimitError"),
    (Reply(status=500, error="The server had an error"), 502, "had an error", "ProviderUnavailableError"),
    (Reply("Half an answer", cut_after=1), 502, "", "StreamError"),
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("reply", "status", "told", "code"), FAILURES, ids=[one[3] for one in FAILURES])
async def test_provider_that_fails(
    alice: httpx.AsyncClient, stub: Stub, kind: str, reply: Reply, status: int, told: str, code: str
) -> None:
    here = await agent(alice, model(stub, kind))
    stub.queue(reply)
    problem = await here.say("Hi", status)
    assert (problem["code"], told in problem["detail"]) == (code, True), problem
    assert "sk-of-the-config" not in json.dumps([problem, await here.runs(), await here.transcript()])
    [_, *rest] = await here.transcript()  # nothing in the agent's name but what the model had said
    assert len(rest) == (code == "StreamError")
    for part in rest:
        assert "Half an answer".startswith(part["content"])
        assert (part["role"], part["metadata"]) == ("assistant", {"interrupted": "failed"})
    assert (await here.say("Again"))["response"] == "You said: Again"
    assert b'"Hi"' in stub.requests[-1].raw  # the turn that failed was sent, too


async def test_same_key_is_the_same_run(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate, key = await agent(alice, model(stub)), Gate(), {"Idempotency-Key": str(uuid.uuid4())}
    stub.when("once", Reply("1", gate=gate))

    def send() -> Any:
        return alice.post(f"{here.path}/messages", json={"message": "once"}, headers=key)

    async with waiting(send()) as first:
        await until(lambda: stub.requests)
        async with waiting(send()) as second:
            await asyncio.sleep(0)
            gate.open()
    later = await send()
    assert [answer.status_code for answer in (first.result(), second.result(), later)] == [200] * 3
    assert first.result().json() == second.result().json() == later.json()
    assert await here.said() == [("user", "once"), ("assistant", "1")]
    other = await alice.post(f"{here.path}/messages", json={"message": "twice"}, headers=key)
    assert_problem(other, 422)


async def test_text_that_database_cannot_hold_is_refused(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub))
    for bad in ({"message": "a\0b"}, {"message": "a", "context": {"a": "\0"}}, {"message": ""}, {"message": 1}, {}):
        answer = await alice.post(f"{here.path}/messages", json=bad)
        assert_problem(answer, 422)
    assert (await here.runs(), await here.transcript()) == ([], [])
    stub.when("odd", Reply(deltas=["A NUL: \0", " and half a pair"]))
    assert (await here.say("odd"))["response"] == "A NUL:  and half a pair"


async def test_secret_that_a_tool_repeats_is_not_written(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), tools=TOOLS)
    stub.when("go", Reply(calls=[Call("say", {"text": "it is sk-of-the-config"})]), Reply("sk-of-the-config it is"))
    answer = await here.say("go")
    assert "sk-of-the-config" not in json.dumps([answer, await here.runs(), await here.transcript()])
    assert [content for _, content in await here.said()] == ["go", "", "it is ***", "*** it is"]


async def test_context_manager_of_somebody_else(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub), session={"context": {"module": "context-simple-theirs"}}, tools=TOOLS)
    stub.when("one", Reply(calls=[Call("say", {"text": "x"})]), Reply("1"))
    await here.say("one")
    await here.say("two")
    assert [content for _, content in await here.said()] == ["one", "", "x", "1", "two", "You said: two"]
    assert len(stub.requests[-1].body["messages"]) == 5


async def test_without_the_extra(api: Api, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    here = await agent(alice, echo())
    monkeypatch.setattr(api.app.state.runner, "available", False)
    assert "amplifier-api[runtime]" in (await here.say("Hi", 501))["detail"]
    assert_problem(await alice.post(f"{here.path}/stream", json={"message": "Hi"}), 501)
    response = {"conversation": here.path.replace("/sessions/", "conv_"), "input": "Hi"}
    assert_problem(await alice.post("/v1/responses", json=response), 501)
    recorded = await alice.post(f"{here.path}/transcript", json={"messages": [{"role": "user", "content": "Hi"}]})
    assert recorded.status_code == 201
    assert await here.runs() == []
