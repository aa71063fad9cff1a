"""Messages of all formats are converted to the exact bodies of each API."""

from typing import Any

import pytest
from amplifier_core.message_models import ToolSpec

from tests.runtime.providers import APIS, mounted, sent
from tests.support import llm

ARGUMENTS = {"city": "Bern"}
DIALECTS: dict[str, dict[str, Any]] = {
    "amplifier": {"content": "I look.", "tool_calls": [{"id": "c1", "tool": "weather", "arguments": ARGUMENTS}]},
    "openai": {
        "content": "I look.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
        ],
    },
    "plain": {"content": "I look.", "tool_calls": [{"id": "c1", "name": "weather", "arguments": ARGUMENTS}]},
    "blocks": {
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_call", "id": "c1", "name": "weather", "input": ARGUMENTS},
        ]
    },
    "blocks and list": {
        "content": [
            {"type": "text", "text": "I look.", "visibility": "user"},
            {"type": "tool_call", "id": "c1", "name": "weather", "input": ARGUMENTS},
        ],
        "tool_calls": [{"id": "c1", "tool": "weather", "arguments": ARGUMENTS}],
    },
}
RESULTS: dict[str, dict[str, Any]] = {
    "tool": {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "sunny"},
    "function": {"role": "function", "tool_call_id": "c1", "name": "weather", "content": "sunny"},
    "user with an id": {"role": "user", "tool_call_id": "c1", "content": "sunny"},
    "blocks": {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
    "user's block": {"role": "user", "content": [{"type": "tool_result", "tool_call_id": "c1", "output": "sunny"}]},
}


def user(*content: Any) -> dict[str, Any]:
    """Returns a user's message with blocks."""
    return {"role": "user", "content": list(content)}


def text(value: str) -> dict[str, Any]:
    """Returns a text block."""
    return {"type": "text", "text": value}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_calls_and_results_are_converted_for_openai(stub: llm.Stub, dialect: str, result: str) -> None:
    body = await sent(stub, "openai", "go", {"role": "assistant"} | DIALECTS[dialect], RESULTS[result], "and?")
    function = {"name": "weather", "arguments": '{"city":"Bern"}'}
    assert body == {
        "model": "model-1",
        "messages": [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            {"role": "user", "content": "and?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_calls_and_results_are_converted_for_anthropic(stub: llm.Stub, dialect: str, result: str) -> None:
    body = await sent(stub, "anthropic", "go", {"role": "assistant"} | DIALECTS[dialect], RESULTS[result], "and?")
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": ARGUMENTS}
    assert body == {
        "model": "model-1",
        "max_tokens": 8192,
        "messages": [
            user(text("go")),
            {"role": "assistant", "content": [text("I look."), use]},
            user({"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}, text("and?")),
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],  # the API refuses calls without tools
        "tool_choice": {"type": "none"},
        "stream": True,
    }


async def test_several_calls_and_results_keep_their_order(stub: llm.Stub) -> None:
    calls = [{"id": f"c{n}", "tool": "weather", "arguments": {"n": n}} for n in range(3)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "name": "weather", "content": f"r{n}"} for n in range(3)]
    messages = ["go", {"role": "assistant", "content": "", "tool_calls": calls}, *results]
    body = await sent(stub, "openai", *messages)
    assert body["messages"][1]["content"] is None
    assert [message["tool_call_id"] for message in body["messages"][2:]] == ["c0", "c1", "c2"]
    body = await sent(stub, "anthropic", *messages)
    assert [part["id"] for part in body["messages"][1]["content"]] == ["c0", "c1", "c2"]
    assert [part["content"] for part in body["messages"][2]["content"]] == ["r0", "r1", "r2"]
    assert len(body["messages"]) == 3


async def test_system_messages_are_converted(stub: llm.Stub) -> None:
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "developer", "content": [text("be brief")]},
        "hello",
        {"role": "assistant", "content": "hi"},
        {"role": "system", "content": "be quick"},
        "go",
    ]
    body = await sent(stub, "openai", *messages)
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "system",
        "user",
        "assistant",
        "system",
        "user",
    ]
    body = await sent(stub, "anthropic", *messages)
    assert body["system"] == [text("be kind"), text("be brief"), text("be quick")]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


async def test_adjacent_messages_of_one_role_are_joined_for_anthropic(stub: llm.Stub) -> None:
    reminder = "<system-reminder>be kind</system-reminder>"
    body = await sent(
        stub, "anthropic", "a", reminder, {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": [text("c"), text("  ")]}, {"role": "assistant", "content": ""}, "d", "",
    )  # fmt: skip
    assert body["messages"] == [
        user(text("a"), text(reminder)),
        {"role": "assistant", "content": [text("b"), text("c")]},
        user(text("d")),
    ]


async def test_images_are_converted(stub: llm.Stub) -> None:
    base64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    url = {"type": "url", "url": "https://example.com/a.png"}
    blocks = [text("look"), {"type": "image", "source": base64}, {"type": "image", "source": url}]
    body = await sent(stub, "openai", user(*blocks))
    assert body["messages"][0]["content"] == [
        text("look"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    body = await sent(stub, "anthropic", user(*blocks))
    assert body["messages"][0]["content"] == blocks


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("source", [{}, {"type": "base64"}, {"type": "file", "path": "/etc/passwd"}, {"type": "url"}])
async def test_image_of_unknown_source_is_sent_as_text(stub: llm.Stub, api: str, source: dict[str, Any]) -> None:
    body = await sent(stub, api, user({"type": "image", "source": source}))
    assert '"type": "image"' not in str(body).replace("'", '"')
    assert len(body["messages"]) == 1


async def test_thinking_is_sent_back_unchanged_to_anthropic(stub: llm.Stub) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    call = {"type": "tool_call", "id": "c1", "name": "weather", "input": {}}
    assistant = {"role": "assistant", "content": [thought, redacted, text("I look."), call]}
    body = await sent(stub, "anthropic", "go", assistant, RESULTS["tool"])
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    assert body["messages"][1]["content"] == [thought, redacted, text("I look."), use]
    body = await sent(stub, "openai", "go", assistant, RESULTS["tool"])
    assert body["messages"][1]["content"] == "I look."


async def test_answer_of_anthropic_is_sent_back_in_order(stub: llm.Stub) -> None:
    tools = [ToolSpec(name="weather", parameters={"type": "object"})]
    stub.when(
        "go",
        llm.Reply("I look.", thinking=["h", "m"], redacted="xyz", calls=[llm.Call("weather", ARGUMENTS, "c1")]),
        llm.Reply("sunny"),
    )
    async with mounted("anthropic", stub) as one:
        first = await one.ask("go", tools=tools)
        content = [block.model_dump(exclude_none=True) for block in first.content]
        second = await one.ask("go", {"role": "assistant", "content": content}, RESULTS["tool"], tools=tools)
    assert second.content[0].text == "sunny"
    assert stub.requests[1].body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "signed"},
        {"type": "redacted_thinking", "data": "xyz"},
        text("I look."),
        {"type": "tool_use", "id": "c1", "name": "weather", "input": ARGUMENTS},
    ]


async def test_thinking_of_other_models_is_not_sent(stub: llm.Stub) -> None:
    reasoning = {"type": "reasoning", "content": [], "summary": []}
    unsigned = {"type": "thinking", "thinking": "hm"}
    body = await sent(stub, "anthropic", "go", {"role": "assistant", "content": [unsigned, reasoning, text("a")]}, "b")
    assert body["messages"][1]["content"] == [text("a")]


async def test_thinking_outside_of_content_is_sent(stub: llm.Stub) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assistant = {"role": "assistant", "content": "a", "thinking_block": thought, "thinking_text": "hm"}
    body = await sent(stub, "anthropic", "go", assistant, "b")
    assert body["messages"][1]["content"] == [thought, text("a")]


async def test_results_with_json_and_images_are_converted(stub: llm.Stub) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    call = {"role": "assistant"} | DIALECTS["amplifier"]
    result = {"type": "tool_result", "tool_call_id": "c1", "output": {"success": True, "output": [1]}}
    body = await sent(stub, "openai", "go", call, user(result, text("and?")))
    assert body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": '{"success":true,"output":[1]}'},
        {"role": "user", "content": "and?"},
    ]
    shown = RESULTS["tool"] | {"content": [text("here"), picture]}
    body = await sent(stub, "anthropic", "go", call, shown)
    assert body["messages"][2]["content"][0]["content"] == [text("here"), picture]


async def test_invalid_ids_are_converted_for_anthropic(stub: llm.Stub) -> None:
    calls = [{"id": "functions.weather:0", "tool": "weather", "arguments": {}}]
    result = RESULTS["tool"] | {"tool_call_id": "functions.weather:0"}
    body = await sent(stub, "anthropic", "go", {"role": "assistant", "content": "", "tool_calls": calls}, result)
    assert body["messages"][1]["content"][0]["id"] == "functions_weather_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_weather_0"
