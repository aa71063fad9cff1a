"""OpenAI's Responses API, with OpenAI's own client: the agent of a conversation answers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.openai_clients import acting, client

EVENT: Any = TypeAdapter(ResponseStreamEvent)
ONE_ITEM = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        await acting(api, "app")
        yield api


@pytest.fixture
def mia(api: Api) -> openai.AsyncOpenAI:
    """OpenAI's client for the user alice."""
    return client(api, "alice", "app")


async def conversation(alice: httpx.AsyncClient, *providers: Any, **config: Any) -> tuple[str, Agent]:
    """Returns the id of a new conversation with an agent, and the agent."""
    here = await agent(alice, *providers, **config)
    return f"conv_{here.session_id}", here


async def followed(mia: openai.AsyncOpenAI, conversation_id: str, text: str) -> list[Any]:
    """Returns the events of a streamed response, each as the client's types demand it."""
    stream = await mia.responses.create(conversation=conversation_id, input=text, stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event.model_dump())
    return events


async def test_agent_of_the_conversation_answers(mia: openai.AsyncOpenAI, alice: httpx.AsyncClient) -> None:
    where, here = await conversation(alice, echo())
    response = await mia.responses.create(conversation=where, input="Hello")
    Response.model_validate(response.model_dump())
    assert (response.status, response.output_text) == ("completed", "You said: Hello")
    assert response.conversation is not None
    assert response.conversation.id == where
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (1, 3, 4)
    assert await here.said() == [("user", "Hello"), ("assistant", "You said: Hello")]
    again = await mia.responses.retrieve(response.id)
    assert (again.id, again.output_text, again.usage) == (response.id, response.output_text, response.usage)
    items = [one async for one in mia.conversations.items.list(where, order="asc")]
    assert [one.role for one in items if one.type == "message"] == ["user", "assistant"]


async def test_agent_reads_items_of_the_conversation(
    mia: openai.AsyncOpenAI, alice: httpx.AsyncClient, stub: Stub
) -> None:
    where, here = await conversation(alice, model(stub))
    image: Any = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    await mia.conversations.items.create(where, items=[image])
    item: Any = {"role": "user", "content": [{"type": "input_text", "text": text} for text in ("What is", "this?")]}
    config_id = (await alice.get(here.path)).json()["config_id"]
    stub.when("this", Reply("A cat."))
    response = await mia.responses.create(conversation={"id": where}, input=[item], model=config_id)
    assert (response.output_text, response.model) == ("A cat.", config_id)
    assert "https://example.com/a.png" in str(stub.requests[-1].body["messages"])
    assert (await here.transcript())[1] == {"role": "user", "content": "What is\nthis?"}


async def test_stream_has_the_events_of_the_client(mia: openai.AsyncOpenAI, alice: httpx.AsyncClient) -> None:
    where, _ = await conversation(alice, echo())
    events = await followed(mia, where, "Hello")
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == ONE_ITEM
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert ("".join(deltas), len(deltas) > 1) == ("You said: Hello", True)
    done = events[-1].response
    assert (done.output_text, done.status, done.id) == ("You said: Hello", "completed", events[0].response.id)
    assert (await mia.responses.retrieve(done.id)).output_text == "You said: Hello"
    async with mia.responses.stream(conversation=where, input="Again", model=done.model) as stream:
        assert (await stream.get_final_response()).output_text == "You said: Again"


async def test_tools_of_the_agent_are_not_shown_as_calls(
    mia: openai.AsyncOpenAI, alice: httpx.AsyncClient, stub: Stub
) -> None:
    where, _ = await conversation(alice, model(stub), tools=[{"module": "tool-some"}])
    stub.when("weather", Reply("Let me look.", calls=[Call("say", {"text": "rain"})]), Reply("It rains."))
    events = await followed(mia, where, "The weather?")
    said = [event.text for event in events if event.type == "response.output_text.done"]
    assert said == ["Let me look.", "It rains."]
    assert {item.type for item in events[-1].response.output} == {"message"}
    items = [item.type async for item in mia.conversations.items.list(where, order="asc")]
    assert items == ["message", "message", "function_call", "function_call_output", "message"]


async def test_failed_run_is_a_failed_response(mia: openai.AsyncOpenAI, alice: httpx.AsyncClient, stub: Stub) -> None:
    where, _ = await conversation(alice, model(stub))
    stub.when("fail", *[Reply(status=400)] * 2)
    response = await mia.responses.create(conversation=where, input="fail")
    assert (response.status, response.output) == ("failed", [])
    assert response.error is not None
    assert response.error.code == "server_error"
    events = await followed(mia, where, "fail")
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.message == response.error.message


async def test_busy_agent_refuses(mia: openai.AsyncOpenAI, alice: httpx.AsyncClient, stub: Stub) -> None:
    where, here = await conversation(alice, model(stub))
    gate = Gate()
    stub.when("wait", Reply("Done.", gate=gate))
    async with waiting(here.say("wait")):
        await until(lambda: stub.requests)
        with pytest.raises(openai.ConflictError, match="The agent is at work"):
            await mia.responses.create(conversation=where, input="Now")
        gate.open()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"input": "Hi"}, "conversation"),
        ({"tools": [{"type": "function", "name": "f"}]}, "tools"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"instructions": "Be brief"}, "instructions"),
        ({"background": True}, "background"),
        ({"model": "gpt-5"}, "model"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]}, "input"),
        ({"input": [{"role": "user", "content": []}]}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "1", "output": "x"}]}, "input"),
    ],
)
async def test_what_the_agent_decides_is_refused(
    mia: openai.AsyncOpenAI, alice: httpx.AsyncClient, given: dict[str, Any], name: str
) -> None:
    where, here = await conversation(alice, echo())
    known = {"input": "Hi"} | ({} if name == "conversation" else {"conversation": where})
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await mia.responses.create(**known | given)
    assert caught.value.param == name
    assert await here.said() == []


async def test_strangers_viewers_and_conversations_without_agents(
    api: Api, mia: openai.AsyncOpenAI, alice: httpx.AsyncClient
) -> None:
    where, here = await conversation(alice, echo())
    done = await mia.responses.create(conversation=where, input="Hi")
    bob = client(api, "bob", "app")
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError, match="Conversation not found"):
            await bob.responses.create(conversation=where, input="Hi", stream=stream)
    for response_id in (done.id, "resp_none", "resp__", done.id[5:]):
        with pytest.raises(openai.NotFoundError, match="Response not found"):
            await bob.responses.retrieve(response_id)
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
    assert (await bob.responses.retrieve(done.id)).output_text == "You said: Hi"
    with pytest.raises(openai.PermissionDeniedError):
        await bob.responses.create(conversation=where, input="Hi")
    made = await mia.conversations.create()
    with pytest.raises(openai.ConflictError, match="set config_id with PATCH"):
        await mia.responses.create(conversation=made.id, input="Hi")
    config_id = (await alice.get(here.path)).json()["config_id"]
    made = await mia.conversations.create(extra_body={"config_id": config_id})
    assert (await mia.responses.create(conversation=made.id, input="Hi")).output_text == "You said: Hi"
