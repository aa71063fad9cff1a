"""Messages of every format become items that OpenAI's own types accept."""

import json
from typing import Any

import pytest
from openai.types.conversations import ConversationItem
from pydantic import TypeAdapter

from amplifier.transcripts.response_items import fault_of, items_of, place_of
from tests.support.paths import ROOT

EXAMPLES = sorted((ROOT / "tests/transcripts/examples").glob("*.json"))
OPENAI: Any = TypeAdapter(ConversationItem)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_clients_understand_every_format(file: Any) -> None:
    for example in json.loads(file.read_text()):
        items = items_of(7, example["message"])
        assert items, example["name"]
        for number, item in enumerate(items):
            if place_of(item["id"]) is not None:
                assert place_of(item["id"]) == (7, number)
            if item.items() >= example["message"].items() and item["type"] != "message":
                continue  # stored as an item, whose members are the client's own
            OPENAI.validate_python(item)


def test_unknown_entry_is_shown_whole() -> None:
    entry = {"settings": {"theme": "dark"}}
    [item] = items_of(1, entry)
    assert (item["role"], json.loads(item["content"][0]["text"])) == ("unknown", entry)
    assert items_of(2, {"role": "user", "content": ""})[0]["content"] == [{"type": "input_text", "text": ""}]


def test_thoughts_calls_and_texts_keep_their_order() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    items = items_of(3, {"role": "assistant", "content": content})
    assert [(item["id"], item["type"]) for item in items] == [
        ("rs_seq3", "reasoning"),
        ("msg_seq3_1", "message"),
        ("fc_seq3_2", "function_call"),
    ]
    assert (items[2]["call_id"], json.loads(items[2]["arguments"])) == ("t", {"a": 1})


@pytest.mark.parametrize("item_id", ["msg_1", "msg_seq0", "msg_seq1_0", "msg_seq", "seq1", "msg_seq1_", "Msg_seq1", ""])
def test_ids_of_others_name_no_place(item_id: str) -> None:
    assert place_of(item_id) is None
    assert items_of(4, {"type": "reasoning", "id": item_id})[0]["id"] == (item_id or "rs_seq4")
    assert items_of(4, {"type": "reasoning", "id": "rs_seq9"})[0]["id"] == "rs_seq4"


def test_items_of_clients_are_checked() -> None:
    assert fault_of({"role": "user", "content": "x"}) is None
    assert fault_of({"type": "function_call", "call_id": "c"}) is None
    for wrong in ([], {}, {"type": 1}, {"role": "user"}, {"type": "item_reference", "id": "x"}):
        assert fault_of(wrong) is not None
