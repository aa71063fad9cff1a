"""Tools and options of requests are converted for each API; providers describe themselves."""

from typing import Any

import pytest
from amplifier_core.message_models import ChatRequest, Message, ToolSpec

from tests.runtime.providers import APIS, mounted, sent
from tests.support import llm

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


async def test_tools_are_converted(stub: llm.Stub) -> None:
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
async def test_tool_choice_is_converted(stub: llm.Stub, choice: Any, openai: Any, anthropic: Any) -> None:
    assert (await sent(stub, "openai", "go", tools=TOOLS, tool_choice=choice))["tool_choice"] == openai
    assert (await sent(stub, "anthropic", "go", tools=TOOLS, tool_choice=choice))["tool_choice"] == anthropic
    assert "tool_choice" not in await sent(stub, "openai", "go", tool_choice=choice)


async def test_response_format_is_converted(stub: llm.Stub) -> None:
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


async def test_thinking_is_left_out_where_anthropic_refuses_it(stub: llm.Stub) -> None:
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
async def test_compatible_servers_get_older_names(url: str, own: bool) -> None:
    async with mounted("openai", api_key="k", model="m", base_url=url, max_tokens=5) as one:
        request = ChatRequest(messages=[Message(role="developer", content="a")])
        body = one.provider.body(request, "m", {})
    assert body["messages"][0]["role"] == ("developer" if own else "system")
    assert ("max_completion_tokens" in body, "max_tokens" in body) == (own, not own)


async def test_provider_describes_itself(stub: llm.Stub) -> None:
    for api in APIS:
        async with mounted(api, stub, context_window=1000, max_tokens=100) as one:
            info = one.provider.get_info()
            (model,) = await one.provider.list_models()
        assert (info.id, info.credential_env_vars) == (api, [])
        assert info.defaults == {"model": "model-1", "context_window": 1000, "max_output_tokens": 100}
        assert (model.id, model.context_window, model.max_output_tokens) == ("model-1", 1000, 100)
        async with mounted(api, stub) as one:
            assert await one.provider.list_models() == []
