"""Messages of OpenAI, Anthropic, Responses, LangChain and the AI SDK, one per line or conversations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.imports.readers import conversations
from tests.support.session_files import DEEP, add, imported, line, write

Sql = Callable[..., list[Any]]
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Paris?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "w"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "15 degrees"},
]
ANTHROPIC = {
    "model": "claude-x",
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Look it up"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "search", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "found"}]},
    ],
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1767225600,
    "model": "gpt-x",
    "input": "Sum it up",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done"}]},
    ],
}
LANGCHAIN = [
    {"type": "human", "data": {"content": "Multiply", "type": "human"}},
    {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "schema", "messages", "AIMessage"],
        "kwargs": {"content": "36", "response_metadata": {"model_name": "gpt-x"}},
    },
]
UI = {
    "id": "chat-1",
    "messages": [
        {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi there"}]},
        {"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}, {"type": "text", "text": "Hello"}]},
    ],
}


def stored(sql: Sql) -> list[Any]:
    """Returns tool, title, and roles of each session."""
    return sql(
        "select s.tags ->> 'tool', s.title, array_agg(m.role order by m.seq) from sessions as s"
        " join messages as m using (session_id) group by s.session_id order by s.created_at, s.title"
    )


def whole(path: Path, value: Any, indent: int | None = None) -> Path:
    """Writes a file of one JSON value."""
    path.write_text(json.dumps(value, indent=indent))
    return path


def test_message_per_line_is_one_session(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = write(tmp_path / "chat.jsonl", CHAT)
    report = imported(dsn, path)
    assert (report.total("new"), report.losses) == (1, 0)
    assert stored(sql) == [("messages", "Weather in Paris?", ["system", "user", "assistant", "tool"])]
    assert [message for (message,) in sql("select message from messages order by seq")] == CHAT
    assert imported(dsn, path).changed == 0
    add(path, {"role": "assistant", "content": "15 degrees in Paris"})
    assert imported(dsn, path).total("grown") == 1
    assert sql("select messages_total from sessions") == [(5,)]
    write(path, [*CHAT[:3], {"role": "tool", "tool_call_id": "c", "content": "16 degrees"}])
    assert imported(dsn, path).total("forked") == 1
    assert sql("select forked_at_seq from sessions where external_id like '%%#2'") == [(3,)]


def test_conversation_per_line_is_a_session(dsn: str, sql: Sql, tmp_path: Path) -> None:
    other = [{"role": "user", "content": "Other"}, {"role": "assistant", "content": "Yes"}]
    same = [{"role": "user", "content": "Other"}, {"role": "assistant", "content": "No"}]
    path = write(tmp_path / "train.jsonl", [{"messages": CHAT}, {"messages": other}, {"messages": same}])
    report = imported(dsn, path)
    assert (report.total("new"), report.total("forked")) == (2, 1)
    assert imported(dsn, path).changed == 0
    add(path, {"messages": [{"role": "user", "content": "New"}]})
    assert imported(dsn, path).total("new") == 1


def test_json_file_of_messages_grows(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = whole(tmp_path / "chat.json", CHAT[:2], indent=1)
    imported(dsn, path)
    whole(path, CHAT, indent=1)
    assert imported(dsn, path).total("messages") == 2
    assert [message for (message,) in sql("select message from messages order by seq")] == CHAT
    path.write_text(path.read_text()[:-30])
    assert [remark.is_loss for remark in imported(dsn, path).remarks] == [False]


def test_anthropic_conversation_has_its_system_prompt(dsn: str, sql: Sql, tmp_path: Path) -> None:
    imported(dsn, whole(tmp_path / "a.json", ANTHROPIC))
    assert stored(sql) == [("messages", "Look it up", ["system", "user", "assistant", "tool"])]
    assert sql("select tags ->> 'model' from sessions") == [("claude-x",)]


def test_items_of_responses_and_conversations(dsn: str, sql: Sql, tmp_path: Path) -> None:
    items = [{"type": "message", "id": f"m{n}", "role": "user", "content": [{"type": "input_text", "text": f"n{n}"}]}
             for n in range(2)]  # fmt: skip
    whole(tmp_path / "response.json", RESPONSE)
    whole(tmp_path / "items.json", {"object": "list", "data": items, "has_more": False})
    imported(dsn, tmp_path)
    assert sorted(stored(sql)) == [
        ("responses", "Sum it up", ["user", "assistant", "assistant"]),
        ("responses", "n0", ["user", "user"]),
    ]
    assert sql("select external_id, created_at::text from sessions where title = 'Sum it up'") == [
        ("responses:resp_1", "2026-01-01 00:00:00+00")
    ]
    assert imported(dsn, tmp_path).changed == 0


def test_list_of_an_api_is_turned_to_the_order_of_time(dsn: str, sql: Sql, tmp_path: Path) -> None:
    data = [{"role": "user", "content": f"n{n}", "created_at": 1767225600 + n} for n in (3, 2, 1)]
    imported(dsn, whole(tmp_path / "list.json", {"object": "list", "data": data}))
    assert sql("select message ->> 'content' from messages order by seq") == [("n1",), ("n2",), ("n3",)]


def test_dumps_of_langchain_and_langgraph(dsn: str, sql: Sql, tmp_path: Path) -> None:
    whole(tmp_path / "dump.json", LANGCHAIN)
    flat = [{"type": "human", "content": "Hello graph", "id": "1"}, {"type": "ai", "content": "Hi", "id": "2"}]
    whole(tmp_path / "state.json", {"values": {"messages": flat}, "checkpoint": {"thread_id": "t-1"}})
    imported(dsn, tmp_path)
    assert sorted(stored(sql)) == [
        ("langchain", "Hello graph", ["user", "assistant"]),
        ("langchain", "Multiply", ["user", "assistant"]),
    ]
    assert sql("select tags ->> 'model' from sessions where title = 'Multiply'") == [("gpt-x",)]
    assert sql("select count(*) from sessions where external_id = 'langchain:t-1'") == [(1,)]


def test_chat_of_the_ai_sdk(dsn: str, sql: Sql, tmp_path: Path) -> None:
    imported(dsn, whole(tmp_path / "chat.json", UI))
    assert stored(sql) == [("ui-messages", "Hi there", ["user", "assistant"])]
    assert sql("select external_id from sessions") == [("ui-messages:chat-1",)]


def test_other_json_is_left_alone(dsn: str, tmp_path: Path) -> None:
    whole(tmp_path / "package.json", {"name": "x", "type": "module", "dependencies": {}})
    whole(tmp_path / "alpaca.json", [{"instruction": "Add", "input": "1 2", "output": "3"}])
    whole(tmp_path / "numbers.json", [1, 2, [3]])
    whole(tmp_path / "part.json", {"id": "p", "messageID": "m", "type": "reasoning", "text": "hm"})
    write(tmp_path / "log.jsonl", [{"type": "event", "data": {"x": 1}}, {"level": "info", "message": "m"}])
    report = imported(dsn, tmp_path)
    assert (report.total("files"), report.unknown, report.changed) == (0, 1, 0)


def test_what_is_no_message_is_kept_and_reported(dsn: str, sql: Sql, tmp_path: Path) -> None:
    entries: list[Any] = [
        CHAT[1],
        {"note": "x"},
        b"{\n",
        {"role": 5, "content": "y"},
        {"role": "user", "content": 1e400},
    ]
    deep = b'{"role":"user","content":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
    odd = b'{"role":"user","content":"a\\u0000b\\ud800c\xff"}\n'
    path = write(tmp_path / "chat.jsonl", [*entries[:4], line(entries[4]).replace(b"Infinity", b"1e400"), deep, odd])
    report = imported(dsn, path)
    assert [remark.number for remark in report.remarks if remark.is_loss] == [2, 3, 4, 5, 6]
    assert sql("select message ->> 'content' from messages order by seq") == [
        ("Weather in Paris?",),
        ("a\ufdd00000b\ufdd0d800c\ufffd",),
    ]
    assert imported(dsn, path).changed == 0


@pytest.mark.parametrize("value", [None, pytest.param(10**400, id="huge"), "text", [[]], [{}]])
def test_wrong_types_in_every_member(dsn: str, sql: Sql, tmp_path: Path, value: Any) -> None:
    good: dict[str, Any] = {"messages": [CHAT[1]]}
    odd = {name: value for name in conversations.Conversation.__struct_fields__ if name != "messages"}
    shape: dict[str, Any] = dict.fromkeys(
        ("id", "model", "created_at", "timestamp", "metadata", "parts", "kwargs", "data"), value
    )
    hostile = [{**odd, **good}, {"messages": value}, {"messages": [CHAT[1] | shape]}, {"messages": [value]}]
    imported(dsn, write(tmp_path / "many.jsonl", [good, *hostile]))
    assert sql("select count(*) >= 1 from messages where role = 'user'") == [(True,)]
    imported(dsn, whole(tmp_path / "many.json", [*hostile, good]))


def test_file_of_one_value_over_the_bound_is_reported(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its format cannot be told. Smaller files of unknown formats are what any folder has."""
    monkeypatch.setattr(conversations, "LONGEST", 1000)
    (tmp_path / "files").mkdir()
    whole(tmp_path / "files/long.json", {"messages": [{"role": "user", "content": "x" * 5000}]})
    whole(tmp_path / "files/other.json", {"name": "package"})
    [remark] = imported(dsn, tmp_path / "files").remarks
    assert remark.path.name == "long.json"
    assert remark.reason == "it is of no format that is known, or one value of more than 1000 bytes"
    assert remark.is_loss


def test_files_that_are_nested_too_deeply_are_reported(dsn: str, sql: Sql, tmp_path: Path) -> None:
    deep = '{"messages":[{"role":"user","content":' + DEEP + "}]}"
    (tmp_path / "many.json").write_text(f"[{deep},{json.dumps({'messages': CHAT})}]")
    (tmp_path / "one.json").write_text(deep)
    (tmp_path / "one.ndjson").write_text(deep + "\n")
    report = imported(dsn, tmp_path)
    assert [(one.path.name, one.number, one.reason) for one in report.remarks] == [
        ("many.json", 1, "it is nested too deeply to be read"),
        ("one.json", 0, "it is nested too deeply to be read"),
        ("one.ndjson", 0, "is of no format that is known"),
    ]
    assert (report.total("new"), report.losses, report.unknown) == (1, 2, 1)


def test_conversation_over_the_bound_is_reported(
    dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "LONGEST", 1000)
    long = {"messages": [{"role": "user", "content": "x" * 5000}]}
    path = whole(tmp_path / "many.json", [{"messages": CHAT[:2]}, long, {"messages": CHAT[1:3]}])
    report = imported(dsn, path)
    assert [(remark.number, remark.is_loss) for remark in report.remarks] == [(2, True)]
    assert sql("select count(*) from sessions") == [(2,)]
