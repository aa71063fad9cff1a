"""Messages in all dialects, as each API gets them: exact bodies."""

from typing import Any

import amplifier_core.llm_errors as llm_errors
import pytest
from amplifier_core.message_models import ToolSpec

from tests import llm
from tests.runtime.providers import APIS, mounted

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


async def sent(stub: llm.Stub, api: str, *messages: Any, config: dict[str, Any] | None = None, **more: Any) -> Any:
    """The body that the API got."""
    async with mounted(api, stub, **(config or {})) as one:
        await one.ask(*messages, **more)
    return stub.requests[-1].body


def user(*content: Any) -> dict[str, Any]:
    """A user's message with blocks."""
    return {"role": "user", "content": list(content)}


def text(value: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": value}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_calls_and_results_at_openai(stub: llm.Stub, dialect: str, result: str) -> None:
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
async def test_calls_and_results_at_anthropic(stub: llm.Stub, dialect: str, result: str) -> None:
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
        "stream": True,
    }


async def test_several_calls_and_their_results(stub: llm.Stub) -> None:
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


async def test_system_messages(stub: llm.Stub) -> None:
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
    assert body["system"] == "be kind\n\nbe brief\n\nbe quick"
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


async def test_messages_of_one_role_become_one_at_anthropic(stub: llm.Stub) -> None:
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


async def test_images(stub: llm.Stub) -> None:
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
async def test_an_image_from_elsewhere_is_refused(stub: llm.Stub, api: str, source: dict[str, Any]) -> None:
    with pytest.raises(llm_errors.InvalidRequestError, match="image"):
        await sent(stub, api, user({"type": "image", "source": source}))
    assert not stub.requests


async def test_thoughts_go_back_to_anthropic_as_they_came(stub: llm.Stub) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    call = {"type": "tool_call", "id": "c1", "name": "weather", "input": {}}
    assistant = {"role": "assistant", "content": [thought, redacted, text("I look."), call]}
    body = await sent(stub, "anthropic", "go", assistant, RESULTS["tool"])
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    assert body["messages"][1]["content"] == [thought, redacted, text("I look."), use]
    body = await sent(stub, "openai", "go", assistant, RESULTS["tool"])
    assert body["messages"][1]["content"] == "I look."


async def test_what_anthropic_thought_and_said_can_be_sent_back(stub: llm.Stub) -> None:
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


async def test_thoughts_of_other_models_stay_here(stub: llm.Stub) -> None:
    reasoning = {"type": "reasoning", "content": [], "summary": []}
    unsigned = {"type": "thinking", "thinking": "hm"}
    body = await sent(stub, "anthropic", "go", {"role": "assistant", "content": [unsigned, reasoning, text("a")]}, "b")
    assert body["messages"][1]["content"] == [text("a")]


async def test_a_thought_beside_the_content(stub: llm.Stub) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assistant = {"role": "assistant", "content": "a", "thinking_block": thought, "thinking_text": "hm"}
    body = await sent(stub, "anthropic", "go", assistant, "b")
    assert body["messages"][1]["content"] == [thought, text("a")]


async def test_results_that_are_no_text(stub: llm.Stub) -> None:
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


async def test_ids_that_anthropic_refuses(stub: llm.Stub) -> None:
    calls = [{"id": "functions.weather:0", "tool": "weather", "arguments": {}}]
    result = RESULTS["tool"] | {"tool_call_id": "functions.weather:0"}
    body = await sent(stub, "anthropic", "go", {"role": "assistant", "content": "", "tool_calls": calls}, result)
    assert body["messages"][1]["content"][0]["id"] == "functions_weather_0"
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_weather_0"


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [ToolSpec(name="weather", description="How it is.", parameters=SCHEMA), ToolSpec(name="now", parameters={})]
CHOICES: list[tuple[Any, Any, Any]] = [
    ("auto", "auto", {"type": "auto"}),
    ("none", "none", {"type": "none"}),
    ("required", "required", {"type": "any"}),
    ("any", "required", {"type": "any"}),
    ({"type": "any"}, "required", {"type": "any"}),
    *(
        (choice, {"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"})
        for choice in (
            "weather",
            {"type": "function", "function": {"name": "weather"}},
            {"type": "tool", "name": "weather"},
        )
    ),
]


async def test_tools(stub: llm.Stub) -> None:
    body = await sent(stub, "openai", "go", tools=TOOLS)
    assert body["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "How it is.", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "now", "parameters": {}}},
    ]
    assert "tool_choice" not in body
    body = await sent(stub, "anthropic", "go", tools=TOOLS)
    assert body["tools"] == [
        {"name": "weather", "description": "How it is.", "input_schema": SCHEMA},
        {"name": "now", "input_schema": {"type": "object"}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(("choice", "openai", "anthropic"), CHOICES)
async def test_which_tool(stub: llm.Stub, choice: Any, openai: Any, anthropic: Any) -> None:
    assert (await sent(stub, "openai", "go", tools=TOOLS, tool_choice=choice))["tool_choice"] == openai
    assert (await sent(stub, "anthropic", "go", tools=TOOLS, tool_choice=choice))["tool_choice"] == anthropic
    assert "tool_choice" not in await sent(stub, "openai", "go", tool_choice=choice)


async def test_the_form_of_the_answer(stub: llm.Stub) -> None:
    body = await sent(stub, "openai", "go", response_format={"type": "json"})
    assert body["response_format"] == {"type": "json_object"}
    wanted = {"type": "json_schema", "json_schema": SCHEMA, "strict": True}
    body = await sent(stub, "openai", "go", response_format=wanted)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": SCHEMA, "strict": True},
    }
    body = await sent(stub, "anthropic", "go", response_format=wanted)
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "response_format" not in await sent(stub, "openai", "go", response_format={"type": "text"})


async def test_thinking_at_anthropic(stub: llm.Stub) -> None:
    config = {"thinking": {"budget_tokens": 2000}, "temperature": 0.5}
    body = await sent(stub, "anthropic", "go", config=config, tools=TOOLS, tool_choice="auto")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert "temperature" not in body
    body = await sent(stub, "anthropic", "go", config=config, max_output_tokens=1000)
    assert "thinking" not in body
    body = await sent(stub, "anthropic", "go", config=config, tools=TOOLS, tool_choice="weather")
    assert "thinking" not in body
    assert body["temperature"] == 0.5


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://api.openai.com/v1", True),
        ("https://mine.openai.azure.com/openai/v1", True),
        ("https://evil-openai.com/v1", False),
        ("http://localhost:8000/v1", False),
    ],
)
async def test_what_only_openai_s_own_servers_know(url: str, own: bool) -> None:
    from amplifier_core.message_models import ChatRequest, Message

    async with mounted("openai", api_key="k", model="m", base_url=url, max_tokens=5) as one:
        request = ChatRequest(messages=[Message(role="developer", content="a")])
        body = one.provider.body(request, "m", {})
    assert body["messages"][0]["role"] == ("developer" if own else "system")
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (own, not own)


async def test_what_a_provider_says_of_itself(stub: llm.Stub) -> None:
    for api in APIS:
        async with mounted(api, stub, context_window=1000, max_tokens=100) as one:
            info = one.provider.get_info()
            (model,) = await one.provider.list_models()
        assert (info.id, info.credential_env_vars) == (api, [])
        assert info.defaults == {"model": "model-1", "context_window": 1000, "max_output_tokens": 100}
        assert (model.id, model.context_window, model.max_output_tokens) == ("model-1", 1000, 100)
        async with mounted(api, stub) as one:
            assert await one.provider.list_models() == []
