"""Participants who may not send get no thoughts, in any format of messages or of files."""

import json
from pathlib import Path
from typing import Any

import pytest

from amplifier.exports.formats import FORMATS
from amplifier.exports.thoughts import without_thoughts
from amplifier.transcripts import reader
from amplifier.transcripts.parts import Text, Thinking
from tests.exports.documents import document, rows

EXAMPLES = sorted((Path(__file__).parents[1] / "transcripts/examples").glob("*.json"))
SECRET = "secretthought"
MESSAGES: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": SECRET, "signature": "s"}, {"type": "text", "text": "said"}],
    },
    {"role": "assistant", "content": [{"type": "thinking", "thinking": SECRET}]},
    {"role": "assistant", "content": "said", "reasoning_content": SECRET},
    {"role": "assistant", "content": "said", "thinking_block": {"type": "thinking", "thinking": SECRET}},
    {"role": "assistant", "content": "said", "reasoning_details": [{"type": "reasoning.text", "text": SECRET}]},
    {"role": "model", "parts": [{"text": SECRET, "thought": True}, {"text": "said"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": SECRET}]},
    {
        "type": "assistant",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": SECRET}, {"type": "text", "text": "said"}],
        },
    },
    {
        "type": "response_item",
        "payload": {"type": "reasoning", "content": [{"type": "reasoning_text", "text": SECRET}]},
    },
    {"type": "event_msg", "payload": {"type": "agent_reasoning", "text": SECRET}},
    {
        "role": "assistant",
        "content": [{"type": "text", "text": SECRET, "visibility": "internal"}, {"type": "text", "text": "said"}],
    },
]


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_shows_thoughts(name: Any) -> None:
    for number, message in enumerate(MESSAGES):
        made = document(name, [message], thoughtless=True)
        if name == "amplifier":
            made = b"".join(json.dumps(without_thoughts(message)).encode() for message in MESSAGES)
        assert SECRET.encode() not in made, number
        assert name == "amplifier" or (b"said" in made) == ("said" in json.dumps(message)), number


def test_those_who_may_send_get_messages_as_they_are() -> None:
    assert [row["message"] for row in rows("jsonl", MESSAGES)] == MESSAGES


def test_data_of_tools_stays_whole() -> None:
    message = {"role": "tool", "tool_call_id": "c", "content": '{"thinking": "data of a tool"}'}
    assert rows("jsonl", [message], thoughtless=True)[0]["message"] == message


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_everything_else_stays(file: Path) -> None:
    for example in json.loads(file.read_text()):
        reading = reader.read(example["message"], hidden=False)
        left = without_thoughts(example["message"])
        said = [part.text for part in reading.parts if isinstance(part, Text)]
        if left is None:
            assert reading.role is None or not said, example["name"]
            continue
        shown = reader.read(left)
        assert not any(isinstance(part, Thinking) for part in shown.parts), example["name"]
        assert [part.text for part in shown.parts if isinstance(part, Text)] == said, example["name"]
