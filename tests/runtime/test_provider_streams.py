"""Answers of both APIs are streamed: text, thinking and tool calls."""

import asyncio

import pytest
from amplifier_core.message_models import ToolSpec

from tests.runtime.providers import APIS, mounted
from tests.support import llm
from tests.support.live import until
from tests.support.llm import Call, Reply

TOOLS = [ToolSpec(name="weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})]
THOUGHT = {"openai": None, "anthropic": "signed"}  # the signatures of thinking

pytestmark = pytest.mark.parametrize("api", APIS)


async def test_text_comes_in_deltas_in_order(stub: llm.Stub, api: str) -> None:
    deltas = [f"word{number} " for number in range(50)]
    stub.queue(Reply(deltas=deltas))
    async with mounted(api, stub) as one:
        response = await one.ask("hello")
    assert [block.model_dump(exclude_none=True) for block in response.content] == [
        {"type": "text", "text": "".join(deltas)}
    ]
    assert one.deltas() == deltas
    assert [data["sequence"] for data in one.of("llm:stream_block_delta")] == list(range(50))
    names = [name for name, _ in one.events if "delta" not in name]
    assert names == ["llm:request", "llm:stream_block_start", "llm:stream_block_end", "llm:response"]
    assert response.tool_calls is None
    assert response.finish_reason == {"openai": "stop", "anthropic": "end_turn"}[api]


async def test_each_delta_is_emitted_at_once(stub: llm.Stub, api: str) -> None:
    gate = llm.Gate()
    stub.queue(Reply(deltas=["a", "b", "c"], gate=gate))
    async with mounted(api, stub) as one:
        asking = asyncio.create_task(one.ask("hello"))
        for expected in (["a"], ["a", "b"]):
            gate.let()
            await until(lambda expected=expected: one.deltas() == expected)  # type: ignore[misc]
            assert not asking.done()
        gate.open()
        await asking


async def test_events_name_request_block_and_type(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply("text", calls=[Call("weather", {"city": "Bern"})]))
    async with mounted(api, stub) as one:
        await one.ask("hello", tools=TOOLS)
    starts, ends = one.of("llm:stream_block_start"), one.of("llm:stream_block_end")
    common = [{key: data[key] for key in ("request_id", "block_index", "block_type")} for data in (*starts, *ends)]
    request_id = starts[0]["request_id"]
    expected = [
        {"request_id": request_id, "block_index": 0, "block_type": "text"},
        {"request_id": request_id, "block_index": 1, "block_type": "tool_call"},
    ]
    assert common == expected * 2
    assert starts[1]["name"] == "weather"
    assert {data["request_id"] for data in one.of("llm:stream_block_delta")} == {request_id}


async def test_events_of_request_and_response_have_no_contents(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply("a secret answer"))
    async with mounted(api, stub) as one:
        await one.ask("a secret question")
    asked, said = one.of("llm:request")[0], one.of("llm:response")[0]
    known = {"provider": api, "model": "model-1"}
    assert {key: asked[key] for key in ("provider", "model", "message_count")} == known | {"message_count": 1}
    assert {key: said[key] for key in known} == known
    assert said["usage"]["input_tokens"] == 10
    assert said["duration_ms"] >= 0
    assert "secret" not in f"{asked}{said}"


async def test_deltas_go_to_hooks_without_live_capability(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(deltas=["a", "b"]))
    async with mounted(api, stub, live=False) as one:
        await one.ask("hello")
    assert one.deltas() == ["a", "b"]


async def test_request_without_stream_emits_no_block_events(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub) as one:
        response = await one.ask("hello", metadata={"stream": False})
    assert response.content[0].text == "You said: hello"
    assert [name for name, _ in one.events] == ["llm:request", "llm:response"]


async def test_answer_may_contain_several_calls(stub: llm.Stub, api: str) -> None:
    calls = [Call("weather", {"city": "Bern"}, "call_a"), Call("weather", {"city": "Zürich"}, "call_b"), Call("now")]
    stub.queue(Reply("I look.", calls=calls))
    async with mounted(api, stub) as one:
        response = await one.ask("hello", tools=TOOLS)
    made = response.tool_calls or []
    assert [(call.name, call.arguments) for call in made] == [(call.name, call.arguments) for call in calls]
    assert [call.id for call in made][:2] == ["call_a", "call_b"]
    assert [block.type for block in response.content] == ["text", *["tool_call"] * 3]
    assert [(block.id, block.input) for block in response.content[1:]] == [(call.id, call.arguments) for call in made]
    assert one.provider.parse_tool_calls(response) == made
    assert response.finish_reason == {"openai": "tool_calls", "anthropic": "tool_use"}[api]


@pytest.mark.parametrize("text", ['{"city": "Be', "[1]", '"text"', "no json"])
async def test_arguments_that_are_no_object_stay_as_text(stub: llm.Stub, api: str, text: str) -> None:
    stub.queue(Reply(calls=[Call("weather", text)]))
    async with mounted(api, stub) as one:
        response = await one.ask("hello", tools=TOOLS)
    (call,) = response.tool_calls or []
    assert (call.name, call.arguments, call.raw_arguments) == ("weather", {}, text)  # type: ignore[attr-defined]


async def test_call_without_arguments_has_empty_object(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(calls=[Call("now", "")]))
    async with mounted(api, stub) as one:
        response = await one.ask("hello", tools=TOOLS)
    (call,) = response.tool_calls or []
    assert call.model_dump(exclude={"id"}) == {"name": "now", "arguments": {}}


async def test_calls_with_equal_ids_get_different_ids(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(calls=[Call("weather", {"n": 1}, "same"), Call("weather", {"n": 2}, "same")]))
    async with mounted(api, stub) as one:
        response = await one.ask("hello", tools=TOOLS)
    made = response.tool_calls or []
    assert [call.arguments for call in made] == [{"n": 1}, {"n": 2}]
    assert len({call.id for call in made}) == len(made) == 2


async def test_thinking_comes_before_text(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply("So.", thinking=["I ", "think"]))
    async with mounted(api, stub) as one:
        response = await one.ask("hello")
    thought, text = response.content
    assert (thought.type, thought.thinking, thought.signature) == ("thinking", "I think", THOUGHT[api])
    assert text.text == "So."
    assert one.deltas("thinking") == ["I ", "think"]
    ended = [data["block_type"] for data in one.of("llm:stream_block_end")]
    assert ended == ["thinking", "text"]


async def test_usage_includes_cached_tokens(stub: llm.Stub, api: str) -> None:
    if api == "openai":
        usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 80, "reasoning_tokens": 30}
    else:
        usage = {"input_tokens": 15, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 5}
        usage |= {"output_tokens": 50}
    stub.queue(Reply("x", usage=usage))
    async with mounted(api, stub) as one:
        response = await one.ask("hello")
    assert response.usage is not None
    expected = {"input_tokens": 100, "output_tokens": 50, "total_tokens": 150, "cache_read_tokens": 80}
    expected |= {"reasoning_tokens": 30} if api == "openai" else {"cache_write_tokens": 5}
    assert response.usage.model_dump(exclude_none=True) == expected


async def test_requests_reuse_one_connection(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub) as one:
        for number in range(5):
            await one.ask(f"hello {number}")
    assert len(stub.requests) == 5
    assert stub.connections == 1


@pytest.mark.slow
async def test_hundreds_of_streams_are_read_at_once(stub: llm.Stub, api: str) -> None:
    gate = llm.Gate()
    stub.when("hello", Reply(deltas=["a", "b"], gate=gate))
    async with mounted(api, stub) as one:
        asking = [asyncio.create_task(one.ask(f"hello {number}")) for number in range(300)]
        await until(lambda: len(stub.requests) == 300)
        gate.open()
        responses = await asyncio.gather(*asking)
    assert {response.content[0].text for response in responses} == {"ab"}


async def test_request_overrides_config(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub, temperature=0.5, max_tokens=100) as one:
        await one.ask("a")
        await one.ask("b", model="model-2", temperature=0.0, max_output_tokens=7, stop=["end"], top_p=0.5)
    first, second = (seen.body for seen in stub.requests)
    stop = {"openai": "stop", "anthropic": "stop_sequences"}[api]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("model-1", 0.5, 100)
    assert stop not in first
    changed = {"model": "model-2", "temperature": 0.0, "max_tokens": 7, stop: ["end"], "top_p": 0.5}
    assert {key: second[key] for key in changed} == changed
