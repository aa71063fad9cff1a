"""Servers that deviate from the APIs are understood; proxies, pieces and endless lines are handled."""

import gzip
import json
from typing import Any

import httpx2
import pytest
from amplifier_core import InvalidRequestError
from amplifier_core.message_models import ToolSpec

from amplifier.runtime.modules.providers import sse
from tests.runtime.providers import KEY, mounted
from tests.support import llm
from tests.support.llm import Reply

TOOLS = [ToolSpec(name="weather", parameters={})]


def stream(*deltas: dict[str, Any], reason: str = "stop", end: str = "data: [DONE]\n\n") -> bytes:
    """Returns a stream in the format of OpenAI."""
    chunks: list[Any] = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    """Returns a delta with a call."""
    return {"tool_calls": [{"function": {"name": "weather", "arguments": arguments}} | more]}


async def calls(stub: llm.Stub, *deltas: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Returns ids and arguments of the calls in the response to a stream of these deltas."""
    stub.queue(Reply(raw=stream(*deltas, reason="tool_calls")))
    async with mounted("openai", stub) as one:
        response = await one.ask("go", tools=TOOLS)
    return [(made.id, made.arguments) for made in response.tool_calls or []]


async def test_complete_calls_may_share_index(stub: llm.Stub) -> None:
    made = await calls(stub, call('{"n":1}', index=0, id="a"), call('{"n":2}', index=0, id="b"))
    assert made == [("a", {"n": 1}), ("b", {"n": 2})]


async def test_call_without_index_and_id_gets_id(stub: llm.Stub) -> None:
    ((identifier, arguments),) = await calls(stub, call('{"n":1}'))
    assert identifier.startswith("call_")
    assert arguments == {"n": 1}


async def test_arguments_may_be_object(stub: llm.Stub) -> None:
    assert await calls(stub, call({"n": 1}, id="a")) == [("a", {"n": 1})]


async def test_interleaved_calls_are_separated(stub: llm.Stub) -> None:
    parts = [
        call('{"n"', index=0, id="a"),
        call('{"n"', index=1, id="b"),
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": ":2}"}}]},
    ]
    assert await calls(stub, *parts) == [("a", {"n": 1}), ("b", {"n": 2})]


async def test_too_deep_arguments_stay_as_text(stub: llm.Stub) -> None:
    deep = '{"a":' * 50_000
    stub.queue(Reply(raw=stream(call(deep, id="a"), reason="tool_calls")))
    async with mounted("openai", stub) as one:
        response = await one.ask("go", tools=TOOLS)
    (made,) = response.tool_calls or []
    assert (made.arguments, made.raw_arguments) == ({}, deep)  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
async def test_thinking_is_read_under_both_names(stub: llm.Stub, key: str) -> None:
    stub.queue(Reply(raw=stream({key: "hm"}, {"content": "a"}, {"content": None, key: None}, {"content": "b"})))
    async with mounted("openai", stub) as one:
        response = await one.ask("go")
    assert [(block.type, getattr(block, block.type)) for block in response.content] == [
        ("thinking", "hm"),
        ("text", "ab"),
    ]


async def test_refusal_becomes_text(stub: llm.Stub) -> None:
    stub.queue(Reply(raw=stream({"refusal": "I must "}, {"refusal": "not."})))
    async with mounted("openai", stub) as one:
        assert (await one.ask("go")).content[0].text == "I must not."


async def test_done_event_and_usage_are_optional(stub: llm.Stub) -> None:
    stub.queue(Reply(raw=stream({"content": "a"}, end="").rstrip()))
    async with mounted("openai", stub) as one:
        response = await one.ask("go")
    assert (response.content[0].text, response.usage, response.finish_reason) == ("a", None, "stop")


async def test_empty_answer_has_no_content(stub: llm.Stub) -> None:
    stub.queue(Reply(raw=stream()))
    async with mounted("openai", stub) as one:
        assert (await one.ask("go")).content == []


async def test_blocks_of_anthropics_own_tools_are_kept_as_they_come(stub: llm.Stub) -> None:
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"q":'}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '"a"}'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"url": "u"}}},
        {"type": "something_new", "index": 7},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    stub.queue(Reply(raw="".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()))
    async with mounted("anthropic", stub) as one:
        response = await one.ask("go")
    used, said = (block.model_dump(exclude_none=True) for block in response.content)
    assert used == {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {"q": "a"}}
    assert said == {"type": "text", "text": "ab", "citations": [{"url": "u"}]}
    assert (one.of("llm:stream_block_start")[0]["block_type"], one.deltas()) == ("text", ["a", "b"])
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (1, 7)


SAID = (
    b": a comment\r\n\r\ndata: one\r\n\r\nevent: x\ndata:two\n\nid: 5\n\ndata: th\xc3\xbcr\ndata: ee\n\n\n\ndata: four"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_events_do_not_depend_on_pieces(size: int) -> None:
    pieces = [SAID[start : start + size] for start in range(0, len(SAID), size)]

    async def content() -> Any:
        for piece in pieces:
            yield piece

    response = httpx2.Response(200, content=content())
    assert [data async for data in sse.data(response)] == [b"one", b"two", b"th\xc3\xbcr\nee", b"four"]


async def test_endless_line_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "_MOST_BYTES", 10_000)

    async def content() -> Any:
        while True:
            yield b"x" * 1000

    with pytest.raises(httpx2.RemoteProtocolError, match="too long"):
        [data async for data in sse.data(httpx2.Response(200, content=content()))]


async def test_proxy_of_operator_is_used(stub: llm.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", stub.url)
    async with mounted("openai", api_key=KEY, model="m", base_url="http://model.invalid/v1") as one:
        assert (await one.ask("hello")).content[0].text == "You said: hello"
    assert stub.requests[0].target == "http://model.invalid/v1/chat/completions"


async def test_compressed_answer_is_not_decompressed(stub: llm.Stub) -> None:
    packed = gzip.compress(b'{"error": {"message": "a small answer may unpack to any size"}}')
    stub.queue(Reply(status=400, raw=packed, headers={"content-encoding": "gzip"}))
    async with mounted("openai", stub) as one:
        with pytest.raises(InvalidRequestError, match=r"^the provider answered with status 400$"):
            await one.ask("go")
    assert stub.requests[0].header("accept-encoding") == "identity"
