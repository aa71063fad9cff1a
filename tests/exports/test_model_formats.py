"""The formats of models' APIs: calls have results, ids are unique, and every format of messages is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.exports.documents import rows, text

CALLING = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"to": "GVA"}'}}],
}
ANSWERED = {"role": "tool", "tool_call_id": "c1", "name": "find", "content": "LX 1"}
LOST = '{"error": "unknown_error", "message": "Tool execution was interrupted and no result was captured."}'
EXAMPLES = Path(__file__).parents[1] / "transcripts/examples"


def openai(messages: list[Any], **changes: Any) -> list[Any]:
    """Returns the messages of the format `openai`."""
    return list(json.loads(text("openai", messages, **changes))["messages"])


def anthropic(messages: list[Any], **changes: Any) -> list[Any]:
    """Returns the messages of the format `anthropic`."""
    return list(json.loads(text("anthropic", messages, **changes))["messages"])


def test_chat_messages_come_back_as_they_were() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "To Geneva?"},
        CALLING,
        {"role": "tool", "tool_call_id": "c1", "content": "LX 1"},
        {"role": "assistant", "content": "LX 1 flies."},
    ]
    made = openai(messages)
    made[2]["tool_calls"][0]["function"]["arguments"] = '{"to": "GVA"}'
    assert made == messages


def test_anthropic_messages_come_back_as_they_were() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "To Geneva?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "find", "input": {"to": "GVA"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "LX 1"}]},
    ]
    assert anthropic(messages) == messages


def test_system_messages_become_the_system_of_anthropic() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    messages.append({"role": "system", "content": "Be long."})
    made = json.loads(text("anthropic", messages))
    assert made["system"] == "Be brief."
    assert made["messages"][1]["content"] == [{"type": "text", "text": "<system>\nBe long.\n</system>"}]


def test_empty_transcript_is_a_document() -> None:
    assert openai([]) == anthropic([]) == []
    assert json.loads(text("anthropic", [{"role": "system", "content": "Only this"}])) == {
        "system": "Only this",
        "messages": [],
    }


@pytest.mark.parametrize("following", [[], [{"role": "user", "content": "Are you there?"}]])
def test_call_without_result_gets_one(following: list[Any]) -> None:
    made = openai([CALLING, *following])
    assert made[1] == {"role": "tool", "tool_call_id": "c1", "content": LOST}
    answer = anthropic([CALLING, *following])[1]["content"][0]
    assert (answer["tool_use_id"], answer["is_error"], answer["content"]) == ("c1", True, LOST)


def test_results_follow_their_call_in_the_order_of_calls() -> None:
    two = [{"id": f"c{n}", "type": "function", "function": {"name": "find", "arguments": "{}"}} for n in (1, 2)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": str(n)} for n in (2, 1)]
    made = openai([{"role": "assistant", "content": None, "tool_calls": two}, *results])
    assert [one.get("tool_call_id") for one in made] == [None, "c1", "c2"]
    assert [one["content"] for one in made] == [None, "1", "2"]


def test_result_without_call_becomes_text() -> None:
    assert openai([ANSWERED]) == [{"role": "user", "content": "[find returned: LX 1]"}]


def test_second_result_of_a_call_becomes_text() -> None:
    made = openai([CALLING, ANSWERED, ANSWERED])
    assert [one["role"] for one in made] == ["assistant", "tool", "user"]


def test_repeated_and_unusable_ids_become_unique() -> None:
    odd = json.loads(json.dumps([CALLING, ANSWERED]).replace("c1", "a b/ö"))
    made = openai([CALLING, ANSWERED, CALLING, ANSWERED, *odd])
    calls = [call["id"] for one in made for call in one.get("tool_calls", [])]
    results = [one["tool_call_id"] for one in made if one["role"] == "tool"]
    assert calls == results
    assert len(set(calls)) == 3
    assert all(identifier.replace("_", "").isalnum() and identifier.isascii() for identifier in calls)


def test_calls_without_ids_are_paired_by_name() -> None:
    messages: list[Any] = [
        {"role": "model", "parts": [{"functionCall": {"name": name, "args": {}}} for name in ("a", "b")]},
        {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"x": name}}} for name in "ba"]},
    ]
    made = openai(messages)
    assert [one["content"] for one in made[1:]] == ['{"x":"a"}', '{"x":"b"}']


def test_items_of_the_responses_api_become_one_answer() -> None:
    items = [
        {"type": "function_call", "call_id": "f1", "name": "a", "arguments": "{}"},
        {"type": "function_call", "call_id": "f2", "name": "b", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "f1", "output": "1"},
        {"type": "function_call_output", "call_id": "f2", "output": "2"},
    ]
    made = openai(items)
    assert [len(one.get("tool_calls", ())) for one in made] == [2, 0, 0]


def test_images_are_sent_as_each_api_takes_them() -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    assert openai([message]) == [message]
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert anthropic([message])[0]["content"] == [{"type": "image", "source": source}]


def test_settings_of_session_files_are_no_messages() -> None:
    assert openai([{"type": "summary", "summary": "Trip", "leafUuid": "x"}]) == []
    assert len(rows("jsonl", [{"type": "summary", "summary": "Trip", "leafUuid": "x"}])) == 1


@pytest.mark.parametrize("name", ["openai", "anthropic", "claude-code", "codex", "markdown", "html", "jsonl"])
@pytest.mark.parametrize("thoughtless", [False, True])
def test_every_known_message_is_written(name: Any, thoughtless: bool) -> None:
    files = sorted(EXAMPLES.glob("*.json"))
    assert files
    for file in files:
        for example in json.loads(file.read_text()):
            message = example["message"]
            assert isinstance(text(name, [message, CALLING, message, ANSWERED], thoughtless=thoughtless), str)
