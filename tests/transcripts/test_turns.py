"""Questions about one message are answered alike for every format, and the quick answers agree with the reader's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts.parts import Text
from amplifier.transcripts.reader import read
from amplifier.transcripts.turns import calls, identified, is_human, is_text, results, said, text_of
from tests.transcripts.test_reader import NAMES, values

Message = dict[str, Any]
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool", "model", "human", None])
HUMANS: list[Message] = [
    {"role": "user", "content": "hi"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    {"role": "user", "content": {"text": "hi"}},
    {"role": "user", "content": "hi", "name": None, "tool_calls": None, "tool_call_id": None},
    {"role": "user", "parts": [{"text": "hi"}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {"type": "user", "message": {"role": "user", "content": "hi"}},
    {"type": "human", "content": "hi"},
]
NOT_HUMAN: list[Message] = [
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "hi", "metadata": {"source": "hook"}},
    {"role": "user", "content": "<system-reminder>hi</system-reminder>"},
    {"role": "user", "content": [{"type": "text", "text": "<system-reminder>hi</system-reminder>"}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "hi"}]},
    {"role": "user", "content": {"type": "tool_result", "tool_use_id": "a", "content": "hi"}},
    {"role": "user", "tool_call_id": "a", "content": "hi"},
    {"role": "user", "parts": [{"functionResponse": {"name": "get", "response": {"text": "hi"}}}]},
    {"type": "function_call_output", "call_id": "a", "output": "hi"},
    {"type": "summary", "summary": "hi"},
]


@pytest.mark.parametrize("message", HUMANS, ids=repr)
def test_question_in_any_format_begins_turn(message: Message) -> None:
    assert is_human(message)
    assert is_human(message, read(message))
    assert text_of(message) == said(read(message)) == "hi"


@pytest.mark.parametrize("message", NOT_HUMAN, ids=repr)
def test_other_message_begins_no_turn(message: Message) -> None:
    assert not is_human(message)
    assert not is_human(message, read(message))


@given(ROLES, st.text() | values, st.dictionaries(st.sampled_from(NAMES), values, max_size=2))
def test_message_that_is_text_at_a_glance_is_read_as_one_text(role: str | None, content: Any, more: Message) -> None:
    message = {**more, "role": role, "content": content}
    if is_text(message):
        reading = read(message)
        assert (reading.role, calls(reading), results(reading)) == (role, [], [])
        assert [part.text for part in reading.parts if isinstance(part, Text)] == ([content] if content else [])


def test_calls_of_provider_are_no_calls() -> None:
    hosted = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    ]
    ours = [{"type": "tool_use", "id": "a", "name": "get", "input": {}}, {"functionCall": {"name": "put"}}]
    reading = read({"role": "assistant", "content": [*hosted, *ours]})
    assert [call.name for call in calls(reading)] == ["get", "put"]
    assert (identified(calls(reading)), results(reading)) == (["a"], [])
