"""The reason for which a model ended its answer is in run, message, stream and answer; an answer that is none fails."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.test_message_streams import answer
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, model, settings
from tests.support.llm import Call, Reply, Stub

TOOLS = [{"module": "tool-some"}]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def streamed(here: Agent, text: str) -> dict[str, Any]:
    """Returns the `response` or `error` event of the stream of a message."""
    async with answer(here, text) as stream:
        return next(event for event in await stream.rest() if event["type"] in ("response", "error"))


REASONS = [
    ("openai", "stop", "stop"),
    ("openai", "length", "length"),
    ("openai", "MAX_TOKENS", "length"),
    ("openai", "a word of its own", "a_word_of_its_own"),
    ("anthropic", "end_turn", "stop"),
    ("anthropic", "max_tokens", "length"),
    ("anthropic", "model_context_window_exceeded", "length"),
    ("anthropic", "refusal", "refusal"),
]


@pytest.mark.parametrize(("kind", "given", "shown"), REASONS)
async def test_reason_is_in_answer_run_message_and_stream(
    alice: httpx.AsyncClient, stub: Stub, kind: str, given: str, shown: str
) -> None:
    here = await agent(alice, model(stub, kind))
    stub.when("Hi", Reply("Half of", reason=given))
    assert (await here.say("Hi"))["metadata"]["finish_reason"] == shown
    assert (await here.transcript())[-1] == {
        "role": "assistant",
        "content": "Half of",
        "metadata": {"finish_reason": shown},
    }
    assert await streamed(here, "Hi") == {"type": "response", "content": "Half of", "finish_reason": shown}
    runs = await here.runs()
    assert {(run["status"], run["finish_reason"]) for run in runs} == {("completed", shown)}
    one = (await alice.get(f"{here.path}/runs/{runs[0]['run_id']}")).json()
    assert one["finish_reason"] == shown


FAILED = [
    ("openai", Reply("Half", reason="content_filter"), "content_filter", "ContentFilterError", "filter of contents"),
    ("openai", Reply("Half", reason="network_error"), "error", "ProviderUnavailableError", "an error ended the answer"),
    ("openai", Reply(), "stop", "IncompleteAnswerError", "an empty answer"),
    ("openai", Reply(" \n"), "stop", "IncompleteAnswerError", "an empty answer"),
    ("openai", Reply(thinking=["hm"], reason="length"), "length", "IncompleteAnswerError", "raise max_tokens"),
    ("anthropic", Reply(), "stop", "IncompleteAnswerError", "an empty answer"),
    ("anthropic", Reply(reason="refusal"), "refusal", "RefusalError", "refused to answer"),
    ("anthropic", Reply(reason="max_tokens"), "length", "IncompleteAnswerError", "raise max_tokens"),
]


@pytest.mark.parametrize(("kind", "reply", "reason", "code", "told"), FAILED)
async def test_answer_that_is_none_fails_with_its_reason(
    alice: httpx.AsyncClient, stub: Stub, kind: str, reply: Reply, reason: str, code: str, told: str
) -> None:
    here = await agent(alice, model(stub, kind))
    stub.when("Hi", reply)
    problem = await here.say("Hi", 502)
    assert (problem["code"], told in problem["detail"]) == (code, True), problem
    event = await streamed(here, "Hi")
    assert (event["type"], event["code"], event["detail"]) == ("error", code, problem["detail"])
    for run in await here.runs():
        assert (run["status"], run["finish_reason"], run["response"]) == ("failed", reason, None)
        assert (run["error"]["type"], run["error"]["code"]) == ("provider", code)
    said = [message for message in await here.transcript() if message["role"] == "assistant"]
    half = {"role": "assistant", "content": "Half", "metadata": {"interrupted": "failed", "finish_reason": reason}}
    assert said == [half] * (2 * (reply.text == "Half"))  # nothing in the model's name that it did not say
    assert (await here.say("Again"))["response"] == "You said: Again"


CUTS = [("openai", "length", '{"text": "ha'), ("openai", "length", ""), ("anthropic", "max_tokens", '{"text": "ha')]


@pytest.mark.parametrize(("kind", "reason", "arguments"), CUTS)
async def test_call_that_is_cut_is_not_executed(
    alice: httpx.AsyncClient, stub: Stub, kind: str, reason: str, arguments: str
) -> None:
    here = await agent(alice, model(stub, kind), tools=TOOLS)
    whole, cut = Call("say", {"text": "whole"}), Call("say", arguments)
    stub.when("go", Reply(calls=[whole, cut], reason=reason), Reply("Done."))
    assert (await here.say("go"))["response"] == "Done."
    done, refused = [message["content"] for message in (await here.transcript())[2:4]]
    assert (done, "limit of tokens" in json.loads(refused)["error"]) == ("whole", True)
    stub.when("ever", Reply(calls=[cut], reason=reason))
    problem = await here.say("for ever", 502)
    assert (problem["code"], "raise max_tokens" in problem["detail"]) == ("IncompleteAnswerError", True)
    assert (await here.runs())[-1]["usage"]["model_calls"] == 3


async def test_paused_turn_goes_on_by_itself(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await agent(alice, model(stub, "anthropic"))
    stub.when("search", Reply("I search. ", reason="pause_turn"), Reply("Found."))
    answer = await here.say("search")
    assert (answer["response"], answer["metadata"]["finish_reason"]) == ("I search. Found.", "stop")
    last = stub.requests[-1].body["messages"][-1]
    assert (last["role"], last["content"][0]["text"].strip()) == ("assistant", "I search.")
    reasons = [message["metadata"]["finish_reason"] for message in (await here.transcript())[1:]]
    assert reasons == ["pause_turn", "stop"]


async def test_endless_pauses_end_at_limit_of_rounds(alice: httpx.AsyncClient, stub: Stub) -> None:
    loop = {"orchestrator": {"module": "loop-streaming", "config": {"max_iterations": 3}}}
    here = await agent(alice, model(stub, "anthropic"), session=loop)
    stub.when("search", Reply("a", reason="pause_turn"))
    answer = await here.say("search")
    assert (answer["response"], answer["metadata"]["finish_reason"]) == ("aaaa", "pause_turn")
    assert len(stub.requests) == 4


WAITS = [("17", 17), ("0.2", 1), ("999999", 3600), ("Fri, 31 Dec 1999 23:59:59 GMT", 1), ("soon", None)]


@pytest.mark.parametrize(("given", "shown"), WAITS)
async def test_wait_of_provider_is_passed_on(
    alice: httpx.AsyncClient, stub: Stub, given: str, shown: int | None
) -> None:
    here = await agent(alice, model(stub))
    stub.when("Hi", Reply(status=429, headers={"retry-after": given}))
    refused = await alice.post(f"{here.path}/messages", json={"message": "Hi"})
    assert (refused.status_code, refused.json()["code"]) == (502, "RateLimitError")
    assert (refused.headers.get("Retry-After"), refused.json().get("retry_after")) == (shown and str(shown), shown)
    assert (await streamed(here, "Hi")).get("retry_after") == shown
    assert {run["error"].get("retry_after") for run in await here.runs()} == {shown}


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_notices_of_earlier_releases_are_not_sent(alice: httpx.AsyncClient, stub: Stub, kind: str) -> None:
    here = await agent(alice, model(stub, kind))
    notice = {
        "role": "assistant",
        "content": "The run failed before it answered.",
        "metadata": {"interrupted": "failed"},
    }
    messages = [{"role": "user", "content": "Hello?"}, notice, {"role": "user", "content": "Are you there?"}]
    await alice.post(f"{here.path}/transcript", json={"messages": messages})
    assert (await here.say("Hi"))["response"] == "You said: Hi"
    assert b"Hello?" in stub.requests[-1].raw
    assert b"before it answered" not in stub.requests[-1].raw
