"""The orchestrator executes turns: every call has its result, in order, also if tools and providers fail."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from amplifier_core import ConfigurationError, HookResult, LLMError

from tests.runtime.sessions import TOOLS, calls, config, listen, opened, provider, results, run, sent, transcript
from tests.support.live import until

pytestmark = pytest.mark.usefixtures("installed")

EVENTS = [
    "prompt:submit",
    "execution:start",
    "provider:request",
    "content_block:start",
    "content_block:end",
    "tool:pre",
    "tool:post",
    "tool:error",
    "execution:end",
    "orchestrator:complete",
]


async def test_turn_with_tool_writes_four_messages() -> None:
    async with opened(
        config({"text": "Let me see", **calls("say", text="x")}, {"text": "Done"}, tools=TOOLS)
    ) as session:
        assert await session.execute("Hi") == "Done"
        assert await transcript(session) == [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": "Let me see",
                "tool_calls": [{"id": "c0", "tool": "say", "arguments": {"text": "x"}}],
            },
            {"role": "tool", "tool_call_id": "c0", "name": "say", "content": "x"},
            {"role": "assistant", "content": "Done"},
        ]
        first, second = provider(session).requests
        assert [tool.name for tool in first.tools] == ["say", "fail", "give_up", "date", "hang", "meet"]
        assert first.tools[0].parameters["properties"] == {"text": {"type": "string"}}
        assert second.messages[1].tool_calls == [{"id": "c0", "tool": "say", "arguments": {"text": "x"}}]
        assert second.messages[0] is first.messages[0]  # checked once


async def test_thinking_is_kept_with_signature() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    call = {"type": "tool_call", "id": "c0", "name": "say", "input": {"text": "x"}}
    text = {"type": "text", "text": "Well"}
    first = {"content": [thought, text, call], **calls("say", text="x"), "metadata": {"openai:response_id": "r"}}
    async with opened(config(first, {"content": [text, text]}, tools=TOOLS)) as session:
        assert await session.execute("Hi") == "WellWell"
        messages = await transcript(session)
        assert messages[1]["content"] == [thought, text, call]
        assert messages[1]["metadata"] == {"openai:response_id": "r"}
        assert messages[3] == {"role": "assistant", "content": "WellWell"}
        assert provider(session).requests[1].messages[1].content[0].signature == "s"


async def test_at_most_eight_tools_run_in_parallel_and_answer_in_order() -> None:
    asked = {"calls": [{"id": f"c{n}", "name": "meet", "arguments": {"text": "8", "number": n}} for n in range(20)]}
    async with opened(config(asked, {"text": "Done"}, tools=TOOLS)) as session:
        await asyncio.wait_for(session.execute("Hi"), 10)
        assert await results(session) == [f"met {n}" for n in range(20)]
        assert session.coordinator.get("tools")["meet"].shared["most"] == 8


async def test_every_call_has_result_if_tools_fail() -> None:
    asked = calls("fail", "give_up", "nothing", "date", "say", text="late")
    asked["calls"].append({"id": "c5", "name": "say", "arguments": {}, "raw_arguments": '{"text": '})
    async with opened(config(asked, {"text": "Done"}, tools=TOOLS)) as session:
        assert await session.execute("Hi") == "Done"
        messages = await transcript(session)
        assert [message["tool_call_id"] for message in messages[2:-1]] == [f"c{n}" for n in range(6)]
        failed, gave_up, unknown, dated, said, malformed = await results(session)
        assert failed == {"error": "TimeoutError: late"}
        assert gave_up == {"error": "CancelledError"}
        assert "no tool 'nothing'. There are: date, fail" in unknown["error"]
        assert dated == {"date": "2026-01-02"}
        assert said == "late"
        assert 'no JSON object: {"text": ' in malformed["error"]
        assert session.coordinator.get("tools")["say"].given == [{"text": "late"}]


async def test_turn_emits_events_in_order() -> None:
    async with opened(config({"text": "A", **calls("say", "fail", text="x")}, {"text": "B"}, tools=TOOLS)) as session:
        seen = listen(session, *EVENTS)
        await session.execute("Hi")
        names = [name for name, _ in seen]
        block = ["content_block:start", "content_block:end"]
        assert names[:5] == ["prompt:submit", "execution:start", "provider:request", *block]
        assert sorted(names[5:9]) == ["tool:error", "tool:post", "tool:pre", "tool:pre"]
        assert names[9:] == ["provider:request", *block, "execution:end", "orchestrator:complete"]
        told = {name: data for name, data in seen if data.get("tool_call_id", "c0") == "c0"}
        assert told["provider:request"] == {"provider": "script", "iteration": 2}
        assert told["content_block:end"] == {
            "block_type": "text",
            "block_index": 0,
            "total_blocks": 1,
            "block": {"type": "text", "text": "B"},
        }
        assert told["tool:post"]["tool_input"] == {"text": "x"}
        assert told["tool:post"]["result"]["output"] == "x"
        assert told["execution:end"] == {"response": "B", "status": "success"}
        assert told["orchestrator:complete"]["status"] == "success"
        assert told["orchestrator:complete"]["turn_count"] == 2
        [error] = [data for name, data in seen if name == "tool:error"]
        assert (error["tool_call_id"], error["error"]) == ("c1", {"type": "TimeoutError", "msg": "x"})


async def test_last_request_at_limit_calls_no_tools() -> None:
    loop = {"module": "loop-basic", "config": {"max_iterations": 2}}
    asked = calls("say", text="x")
    finish = {"text": "Enough", **asked}
    async with opened(config(asked, asked, finish, tools=TOOLS, session={"orchestrator": loop})) as session:
        seen = listen(session, "orchestrator:complete")
        text = await session.execute("Hi")
        assert text == "Enough"
        assert [request.tool_choice for request in provider(session).requests] == [None, None, "none"]
        assert "Call no more tools" in sent(session)[-1][1]
        messages = await transcript(session)
        assert [message["role"] for message in messages] == ["user", *["assistant", "tool"] * 2, "assistant"]
        assert messages[-1] == {"role": "assistant", "content": text}
        assert (seen[0][1]["status"], seen[0][1]["turn_count"]) == ("incomplete", 3)


async def test_turn_fails_if_model_only_calls_tools() -> None:
    loop = {"module": "loop-basic", "config": {"max_iterations": 2}}
    async with opened(config(calls("say", text="x"), tools=TOOLS, session={"orchestrator": loop})) as session:
        with pytest.raises(LLMError, match="raise max_iterations"):
            await run(session, "Hi")
        assert [one["role"] for one in await transcript(session)] == ["user", *["assistant", "tool"] * 2]


@pytest.mark.parametrize(
    ("wanted", "chosen"), [(None, "b"), ("script", "script"), ("provider-script", "script"), ("b", "b")]
)
async def test_default_provider_or_lowest_priority_is_asked(wanted: str | None, chosen: str) -> None:
    loop = {"module": "loop-streaming", "config": {"default_provider": wanted, "extended_thinking": True}}
    entries = [
        {"module": "provider-script", "config": {"answers": [{"text": "script"}]}},
        {"module": "provider-script", "instance_id": "b", "config": {"answers": [{"text": "b"}], "priority": 1}},
    ]
    async with opened({"providers": entries, "session": {"orchestrator": loop}}) as session:
        assert await session.execute("Hi") == chosen
        assert session.coordinator.get("providers")[chosen].options == [{"extended_thinking": True}]


async def test_missing_provider_is_named() -> None:
    loop = {"module": "loop-streaming", "config": {"default_provider": "gone"}}
    async with opened(config(session={"orchestrator": loop})) as session:
        with pytest.raises(ConfigurationError, match="'gone' is none of: script"):
            await run(session, "Hi")


@pytest.mark.parametrize("wrong", [{"max_iterations": 0}, {"max_iterations": "9"}, {"default_provider": 1}])
async def test_invalid_config_of_loop_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=next(iter(wrong))):
        async with opened(config(session={"orchestrator": {"module": "loop-basic", "config": wrong}})):
            pass


async def test_error_of_provider_ends_turn() -> None:
    async with opened(config(calls("say", text="x"), {"error": "429"}, tools=TOOLS)) as session:
        seen = listen(session, "execution:end", "orchestrator:complete")
        with pytest.raises(RuntimeError, match="429"):
            await session.execute("Hi")
        assert [message["role"] for message in await transcript(session)] == ["user", "assistant", "tool"]
        assert [data["status"] for _, data in seen] == ["error", "error"]


async def test_cancelled_turn_ends_its_tools() -> None:
    async with opened(config(calls("hang", "hang", "say", text="x"), tools=TOOLS)) as session:
        shared = session.coordinator.get("tools")["hang"].shared
        task = asyncio.ensure_future(run(session, "Hi"))
        await until(lambda: shared.get("hanging") == 2)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert shared["hanging"] == 0
        assert [message["role"] for message in await transcript(session)] == ["user", "assistant"]


async def test_graceful_cancellation_ends_turn_between_rounds() -> None:
    async with opened(config({"text": "Let me see", **calls("say", text="x")}, tools=TOOLS)) as session:

        async def stop(event: str, data: dict[str, Any]) -> HookResult:
            session.coordinator.cancellation.request_graceful()
            return HookResult()

        session.coordinator.hooks.register("tool:pre", stop, name="stop")
        seen = listen(session, "orchestrator:complete")
        assert await session.execute("Hi") == "Let me see"
        assert [message["role"] for message in await transcript(session)] == ["user", "assistant", "tool"]
        assert seen[0][1]["status"] == "cancelled"


async def test_context_manager_of_another_package_works() -> None:
    given = config(calls("say", text="x"), {"text": "Done"}, tools=TOOLS, session={"context": "context-simple-theirs"})
    async with opened(given) as session:
        assert await session.execute("Hi") == "Done"
        assert sent(session) == [("user", "Hi"), ("assistant", ""), ("tool", "x")]


async def test_messages_of_all_formats_are_sent() -> None:
    openai = [{"id": "a", "type": "function", "function": {"name": "say", "arguments": "{}"}}]
    used = {"type": "tool_use", "id": "b", "name": "say", "input": {"text": "x"}}
    async with opened(config()) as session:
        await session.coordinator.get("context").set_messages(
            [
                {"role": "user", "content": "Hi", "metadata": {"timestamp": "t"}},
                {"role": "assistant", "content": None, "tool_calls": openai, "thinking_text": "hm"},
                {"role": "tool", "tool_call_id": "a", "content": "x"},
                {"role": "assistant", "content": [used, {"type": "server_tool", "x": 1}, "bare"]},
                {"role": "tool", "tool_call_id": "b", "content": "x"},
            ]
        )
        await session.execute("Go on")
        messages = provider(session).requests[0].messages
        thought, called = messages[1].content
        assert (thought.thinking, called.id, called.name) == ("hm", "a", "say")
        assert messages[1].tool_calls == [{"id": "a", "tool": "say", "arguments": {}}]
        call, unknown, bare = messages[3].content
        assert (call.type, call.id, call.name, call.input) == ("tool_call", "b", "say", {"text": "x"})
        assert (json.loads(unknown.text), bare.text) == ({"type": "server_tool", "x": 1}, "bare")
