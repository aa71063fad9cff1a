"""Conversations of texts, calls and results in order are written fast, and as they are written otherwise."""

from itertools import islice
from typing import Any

import pytest
from amplifier_core.message_models import ChatRequest

from amplifier.runtime.modules.model_requests import Requests
from amplifier.runtime.modules.providers import anthropic_messages, openai_messages
from amplifier.runtime.modules.providers.usual import usual
from tests.runtime.providers import APIS, mounted
from tests.support.llm import Stub
from tests.support.recordings import Message, conversations

CALLS = [{"id": "a", "tool": "f.x", "arguments": {"b": 1, "a": [2]}}, {"id": "b", "tool": "g", "arguments": {}}]
OTHERS = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]


def said(role: str, text: str, **more: Any) -> Message:
    return {"role": role, "content": text, **more}


def result(identifier: str, text: str = "done", **more: Any) -> Message:
    return said("tool", text, tool_call_id=identifier, **more)


USUAL: list[list[Message]] = [
    [said("user", "Hi")],
    [
        said("system", "Be brief"),
        said("developer", "Be kind"),
        said("user", " "),
        said("user", "Hi"),
        said("system", " "),
    ],
    [said("assistant", "Hello"), said("user", "Hi"), said("assistant", "Yes", metadata={"a": 1})],
    [said("user", "Do"), said("assistant", "", tool_calls=CALLS), result("a", ""), result("b"), said("user", "Now?")],
    [said("user", "Do"), said("assistant", "Well", tool_calls=OTHERS), result("a"), said("assistant", "Done")] * 2,
]
UNUSUAL: list[list[Message]] = [
    [said("user", "")],
    [said("user", "Hi", name="Bob"), {"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    [said("assistant", "", tool_calls=CALLS), result("b"), result("a")],
    [said("assistant", "", tool_calls=CALLS), result("a")],
    [said("assistant", "", tool_calls=[*OTHERS, *OTHERS]), result("a"), result("a")],
    [said("assistant", "", tool_calls=OTHERS), result("a", is_error=True)],
    [said("assistant", "x", reasoning_content="y")],
    [result("a")],
]


def request(messages: list[Message]) -> ChatRequest:
    return Requests([]).request(messages, [], last=False)


def test_conversations_are_recognised() -> None:
    assert all(usual(request(messages).messages) for messages in USUAL)
    assert not any(usual(request(messages).messages) for messages in UNUSUAL)


@pytest.mark.parametrize("api", APIS)
async def test_body_is_the_same(stub: Stub, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [*USUAL, *(one.messages for one in islice(conversations(), 20))]
    async with mounted(api, stub) as one:
        fast = [one.provider.body(request(messages), "m", {}) for messages in given]
        for module in (openai_messages, anthropic_messages):
            monkeypatch.setattr(module, "usual", lambda messages: None)
        assert fast == [one.provider.body(request(messages), "m", {}) for messages in given]
