"""The orchestrator carries out what hooks decide about prompts, requests and tools."""

from typing import Any

import pytest

from tests.runtime.sessions import (
    TOOLS,
    answer_with,
    calls,
    config,
    listen,
    opened,
    provider,
    results,
    sent,
    transcript,
)

pytestmark = pytest.mark.usefixtures("installed")


async def test_hook_denies_tool_or_changes_its_input() -> None:
    given = config(calls("say", text="x"), {"text": "Done"}, tools=TOOLS)
    async with opened(given) as session:
        answer_with(session, "tool:pre", action="deny", reason="not today")
        await session.execute("Hi")
        assert await results(session) == [{"error": "Denied: not today"}]
        assert session.coordinator.get("tools")["say"].given == []
    async with opened(given) as session:
        answer_with(session, "tool:pre", action="modify", data={"tool_input": {"text": "y"}})
        answer_with(session, "tool:post", action="modify", data={"result": {"success": True, "output": "z"}})
        await session.execute("Hi")
        assert session.coordinator.get("tools")["say"].given == [{"text": "y"}]
        assert await results(session) == ["z"]


@pytest.mark.parametrize(
    ("chosen", "result"), [("Allow", "x"), ("Deny", {"error": "Denied: User denied: May it?"}), (None, None)]
)
async def test_hook_asks_user(chosen: str | None, result: Any) -> None:
    class Approvals:
        async def request_approval(self, *asked: Any) -> str:
            return str(chosen)

    approvals = {"approval_system": Approvals()} if chosen else {}
    async with opened(config(calls("say", text="x"), {"text": "Done"}, tools=TOOLS), **approvals) as session:
        answer_with(session, "tool:pre", action="ask_user", approval_prompt="May it?")
        assert await session.execute("Hi") == "Done"
        assert await results(session) == [result or {"error": "Denied: No approval system available"}]


async def test_messages_of_hooks_never_separate_calls_from_results() -> None:
    async with opened(config(calls("say", "say", text="x"), {"text": "Done"}, tools=TOOLS)) as session:
        answer_with(session, "tool:pre", action="inject_context", context_injection="before")
        answer_with(session, "tool:post", action="inject_context", context_injection="after")
        await session.execute("Hi")
        messages = await transcript(session)
        assert [message["role"] for message in messages] == [
            *["user", "assistant", "tool", "tool"],
            *["system"] * 4,
            "assistant",
        ]
        assert sorted(message["content"] for message in messages[4:8]) == ["after", "after", "before", "before"]


async def test_notes_of_hooks_are_in_next_request_only() -> None:
    note = {"action": "inject_context", "ephemeral": True}
    given = config(calls("say", text="x"), calls("say", text="y"), {"text": "Done"}, tools=TOOLS)
    async with opened(given) as session:
        answer_with(session, "prompt:submit", context_injection="once", context_injection_role="user", **note)
        answer_with(session, "tool:post", context_injection="by the way", append_to_last_tool_result=True, **note)
        await session.execute("Hi")
        assert sent(session, 0) == [("user", "Hi"), ("user", "once")]
        assert sent(session, 1)[1:] == [("assistant", ""), ("tool", "x\n\nby the way")]
        assert sent(session, 2)[1:] == [
            *[("assistant", ""), ("tool", "x"), ("assistant", ""), ("tool", "y\n\nby the way")],
        ]
        assert [message["content"] for message in await transcript(session)] == ["Hi", "", "x", "", "y", "Done"]


async def test_hook_denies_or_changes_prompt() -> None:
    async with opened(config()) as session:
        seen = listen(session, "execution:start", "execution:end", "orchestrator:complete")
        answer_with(session, "prompt:submit", action="deny", reason="not that")
        assert await session.execute("Hi") == "not that"
        assert await transcript(session) == []
        assert [(name, data["status"]) for name, data in seen] == [("orchestrator:complete", "denied")]
    async with opened(config()) as session:
        answer_with(session, "prompt:submit", action="modify", data={"prompt": "Hi ***"})
        await session.execute("Hi 1234")
        assert (await transcript(session))[0]["content"] == "Hi ***"


async def test_denied_request_leaves_complete_turn() -> None:
    async with opened(config(calls("say", text="x"), tools=TOOLS)) as session:
        answer_with(session, "provider:request", action="deny", reason="too dear")
        assert await session.execute("Hi") == "too dear"
        assert [message["content"] for message in await transcript(session)] == ["Hi", "too dear"]
        assert provider(session).requests == []
