"""The provider `echo` repeats messages and calls tools."""

import time
from typing import Any

import pytest
from amplifier_core import ConfigurationError
from amplifier_core.message_models import ToolSpec
from amplifier_core.testing import MockCoordinator

from amplifier.runtime.modules.providers import echo
from tests.runtime.providers import mounted

TOOLS = [ToolSpec(name="weather", parameters={"type": "object"})]


async def test_echo_repeats_message_word_by_word() -> None:
    async with mounted("echo") as one:
        response = await one.ask("hello  big\nworld")
    assert response.content[0].text == "You said: hello  big\nworld"
    assert one.deltas() == ["You", " said:", " hello", "  big", "\nworld"]
    assert response.usage.model_dump(exclude_none=True) == {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert response.finish_reason == "stop"
    names = [name for name, _ in one.events if "delta" not in name]
    assert names == ["llm:request", "llm:stream_block_start", "llm:stream_block_end", "llm:response"]


async def test_echo_answers_last_human_message() -> None:
    said = [
        {"role": "system", "content": "be kind"},
        "first",
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        "<system-reminder>no human</system-reminder>",
    ]
    async with mounted("echo") as one:
        assert (await one.ask(*said)).content[0].text == "You said: second"
        assert (await one.ask({"role": "system", "content": "alone"})).content[0].text == "You said: "


async def test_echo_calls_tool_and_repeats_its_result() -> None:
    ask = {"role": "user", "content": '/call weather {"city": "Bern"}'}
    async with mounted("echo") as one:
        response = await one.ask("hi", {"role": "assistant", "content": "hi"}, ask, tools=TOOLS)
        (call,) = response.tool_calls or []
        assert (call.id, call.name, call.arguments) == ("call_3", "weather", {"city": "Bern"})
        assert response.finish_reason == "tool_calls"
        listed = [{"id": call.id, "tool": "weather", "arguments": call.arguments}]
        done = {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "sunny"}
        transcript = [ask, {"role": "assistant", "content": "", "tool_calls": listed}, done]
        assert (await one.ask(*transcript, tools=TOOLS)).content[0].text == "weather said: sunny"


async def test_ids_of_calls_are_unique_in_transcript() -> None:
    taken = [{"id": "call_3", "tool": "weather", "arguments": {}}]
    done = {"role": "tool", "tool_call_id": "call_3", "name": "weather", "content": "sunny"}
    async with mounted("echo") as one:
        response = await one.ask(
            {"role": "assistant", "content": "", "tool_calls": taken}, done, "/call weather", tools=TOOLS
        )
    assert [call.id for call in response.tool_calls or []] == ["call_4"]


@pytest.mark.parametrize("text", ["/call other {}", "/call weather {broken", "/call", "please /call weather {}"])
async def test_invalid_call_is_repeated_as_text(text: str) -> None:
    async with mounted("echo") as one:
        response = await one.ask(text, tools=TOOLS)
    assert response.content[0].text == f"You said: {text}"


async def test_results_of_all_formats_are_read() -> None:
    calls = {"role": "assistant", "content": [
        {"type": "tool_call", "id": "a", "name": "one", "input": {}},
        {"type": "tool_call", "id": "b", "name": "two", "input": {}},
    ]}  # fmt: skip
    results = {"role": "user", "content": [
        {"type": "tool_result", "tool_call_id": "a", "output": {"x": 1}},
        {"type": "tool_result", "tool_call_id": "b", "output": "text"},
    ]}  # fmt: skip
    async with mounted("echo") as one:
        assert (await one.ask("go", calls, results)).content[0].text == 'one said: {"x":1}\ntwo said: text'


async def test_delay_comes_before_each_word() -> None:
    async with mounted("echo", delay=0.01) as one:
        started = time.perf_counter()
        await one.ask("a b c")
        assert time.perf_counter() - started >= 0.05


@pytest.mark.parametrize("delay", [-1, 6, "1", True, [1]])
async def test_invalid_delay_is_refused(delay: Any) -> None:
    with pytest.raises(ConfigurationError, match="delay"):
        await echo.mount(MockCoordinator(), {"delay": delay})


async def test_echo_describes_itself() -> None:
    async with mounted("echo") as one:
        assert one.provider.get_info().id == "echo"
        assert [model.id for model in await one.provider.list_models()] == ["echo"]
