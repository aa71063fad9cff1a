"""The text that is indexed of a message: each format of transcripts gives its text and nothing of its structure."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Sql = Callable[..., list[Any]]
Message = dict[str, Any]
Texts = tuple[str | None, str | None, str | None, str | None]

ARGUMENTS = {"city": "Bern", "seats": 2, "extras": [["window", {"meal": "vegan"}], 1.5], "refund": True, "note": None}
VALUES = "Bern vegan window 1.5 2"  # in any order, and without the keys


def said(content: Any, **rest: Any) -> Message:
    return {"role": "user", "content": content, **rest}


def calling(*calls: Any) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def returning(content: Any, **rest: Any) -> Message:
    return {"role": "tool", "tool_call_id": "call_1", "content": content, **rest}


def block(kind: str, **rest: Any) -> Message:
    return {"role": "assistant", "content": [{"type": kind, **rest}]}


DIALECTS: dict[str, tuple[Message, Texts]] = {
    "text": (said("Good morning"), ("Good morning", None, None, None)),
    "a text block": (said([{"type": "text", "text": "Good"}]), ("Good", None, None, None)),
    "text blocks": (
        said([{"type": "text", "text": "one"}, {"type": "input_text", "text": "two"}]),
        ("one\ntwo", None, None, None),
    ),
    "an output block": (block("output_text", text="three"), ("three", None, None, None)),
    "a block that is no list": (said({"type": "text", "text": "alone"}), ("alone", None, None, None)),
    "a system message": ({"role": "system", "content": "Be kind"}, ("Be kind", None, None, None)),
    "no content": ({"role": "assistant"}, (None, None, None, None)),
    "a picture": (
        said([{"type": "image", "source": {"type": "base64", "data": "QUJD"}}, {"type": "text", "text": "cat"}]),
        ("cat", None, None, None),
    ),
    "a picture by address": (
        said([{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]),
        (None, None, None, None),
    ),
    "amplifier's calls": (
        calling({"id": "call_1", "tool": "book_seat", "arguments": ARGUMENTS}),
        (None, f"book_seat {VALUES}", None, None),
    ),
    "openai's calls": (
        calling({"id": "call_1", "type": "function", "function": {"name": "book", "arguments": json.dumps(ARGUMENTS)}}),
        (None, f"book {VALUES}", None, None),
    ),
    "flat calls": (
        calling({"id": "call_1", "name": "book", "arguments": ARGUMENTS}, {"name": "pay", "arguments": {}}),
        (None, f"book {VALUES}\npay", None, None),
    ),
    "a tool_call block": (block("tool_call", id="t1", name="run", input={"cmd": "ls"}), (None, "run ls", None, None)),
    "a tool_use block": (block("tool_use", id="t1", name="run", input={"cmd": "ls"}), (None, "run ls", None, None)),
    "a result": (
        returning('{"success": true, "output": {"flight": "HAT136", "price": 129.5}, "error": null}'),
        (None, None, "129.5 HAT136", None),
    ),
    "a result as text": (returning("3 files"), (None, None, "3 files", None)),
    "a result as Python": (returning("{'a': 'cat'}"), (None, None, "{'a': 'cat'}", None)),
    "a cancelled result": (
        returning('{"error": "Stopped", "cancelled": true, "tool": "book"}'),
        (None, None, "book Stopped", None),
    ),
    "a function's result": ({"role": "function", "name": "old", "content": "1"}, (None, None, "1", None)),
    "a result by its id": (said("done", tool_call_id="call_1"), (None, None, "done", None)),
    "a result as blocks": (returning([{"type": "text", "text": "found"}]), (None, None, "found", None)),
    "a tool_result block": (block("tool_result", tool_call_id="t", output={"k": "v"}), (None, None, "v", None)),
    "a tool_result as text": (block("tool_result", tool_use_id="t", content="plain"), (None, None, "plain", None)),
    "a tool_result as JSON text": (block("tool_result", output='{"key": "value"}'), (None, None, "value", None)),
    "a tool_result as blocks": (
        block("tool_result", content=[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
        (None, None, "one\ntwo", None),
    ),
    "a number as result": (block("tool_result", output=5), (None, None, "5", None)),
    "thinking": (block("thinking", thinking="Hm", signature="c2ln"), (None, None, None, "Hm")),
    "redacted thinking": (block("redacted_thinking", data="AAAA"), (None, None, None, None)),
    "reasoning": (block("reasoning", content=["first"], summary=["last"]), (None, None, None, "first\nlast")),
    "reasoning as openai writes it": (
        block("reasoning", content=[], summary=[{"type": "summary_text", "text": "short"}]),
        (None, None, None, "short"),
    ),
    "thinking beside": (
        {"role": "assistant", "content": "Hi", "thinking_text": "one", "thinking_block": {"thinking": "two"}},
        ("Hi", None, None, "two"),
    ),
}
INTERNAL = {
    "text": block("text", text="hidden", visibility="internal"),
    "no list": said({"type": "text", "text": "hidden", "visibility": "internal"}),
    "call": block("tool_call", name="hidden", input={"a": "hidden"}, visibility="internal"),
    "result": block("tool_result", output="hidden", visibility="internal"),
    "within a result": block("tool_result", content=[{"type": "text", "text": "hidden", "visibility": "internal"}]),
    "thinking": block("thinking", thinking="hidden", visibility="internal"),
    "thinking beside": {"role": "assistant", "thinking_block": {"thinking": "hidden", "visibility": "internal"}},
}
ODD: list[Any] = [None, True, 5, "", "odd", "{bad", [], ["odd", 1, None, [[{}]]], {}, {"odd": {"odd": ["odd"]}}]
STRUCTURE = {"type", "text", "content", "tool", "name", "function", "arguments", "thinking", "role", "id"}


@pytest.mark.parametrize(("message", "expected"), DIALECTS.values(), ids=DIALECTS)
def test_each_format_gives_its_text_without_structure(sql: Sql, message: Message, expected: Texts) -> None:
    found = texts(sql, message)
    assert [in_any_order(text) for text in found] == [in_any_order(text) for text in expected], found


@pytest.mark.parametrize("value", ['{"success": true, "output": null, "error": null}', '{"flag": false}', "[{}, true]"])
def test_json_without_text_gives_no_keys(sql: Sql, value: str) -> None:
    assert [words(sql, returning(value)), words(sql, calling({"name": "pay", "arguments": value}))] == [set(), {"pay"}]


@pytest.mark.parametrize("message", INTERNAL.values(), ids=INTERNAL)
def test_internal_blocks_are_not_searched(sql: Sql, message: Message) -> None:
    assert "hidden" not in str(texts(sql, message))
    assert "hidden" not in tools(sql, message), "the filter by tool would tell"


@pytest.mark.parametrize("visibility", ["user", "developer", None, 1, {}])
def test_blocks_of_other_visibility_are_searched(sql: Sql, visibility: Any) -> None:
    assert texts(sql, block("text", text="open", visibility=visibility))[0] == "open"


def test_null_tool_call_id_is_no_tool_result(sql: Sql) -> None:
    dumped = {"role": "user", "content": "hello", "name": None, "tool_calls": None, "tool_call_id": None}
    assert texts(sql, dumped) == ("hello", None, None, None)


@pytest.mark.parametrize(
    "message",
    [
        said([{"type": "text", "text": {"key": "v"}}]),
        calling({"name": {"key": "v"}, "arguments": {}}),
        {"role": "assistant", "thinking_text": {"key": "v"}, "thinking_block": {"thinking": [{"key": "v"}]}},
        block("thinking", thinking={"key": "v"}),
    ],
    ids=["text", "name", "thinking beside", "thinking"],
)
def test_object_in_place_of_text_gives_no_keys(sql: Sql, message: Message) -> None:
    assert "key" not in words(sql, message)


def test_result_of_blocks_is_searched_without_types(sql: Sql) -> None:
    assert words(sql, block("tool_result", output=[{"type": "text", "text": "found"}])) == {"found"}
    assert words(sql, block("tool_result", output=None, content="found")) == {"found"}


@pytest.mark.parametrize("odd", ODD, ids=json.dumps)
def test_unexpected_types_never_fail(sql: Sql, odd: Any) -> None:
    for message in odd_messages(odd):
        assert len(texts(sql, message)) == 4
        assert isinstance(tools(sql, message), list)
        assert words(sql, message).isdisjoint(STRUCTURE - kinds(message)), message


def test_parts_have_their_weights(sql: Sql) -> None:
    message = {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "spoken everywhere"},
            {"type": "tool_use", "name": "tool", "input": {"x": "argument everywhere"}},
            {"type": "tool_result", "content": "result everywhere"},
            {"type": "thinking", "thinking": "thought everywhere"},
        ],
    }
    [(found,)] = sql(
        "select jsonb_object_agg(lexeme, weights) from unnest(message_search(%s::jsonb, 'simple'))", json.dumps(message)
    )
    once = {"spoken": ["A"], "tool": ["B"], "argument": ["B"], "result": ["C"], "thought": ["D"]}
    assert found == {**once, "everywhere": ["A", "B", "C", "D"]}


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (said("hello"), []),
        (calling({"tool": "a"}, {"function": {"name": "b"}}, {"name": "c"}), ["a", "b", "c"]),
        (block("tool_call", name="d", input={}), ["d"]),
        (block("tool_use", name="e", input={}), ["e"]),
        ({**block("tool_use", name="e"), "tool_calls": [{"name": "f"}]}, ["e", "f"]),
        (returning("x", name="g"), []),
    ],
)
def test_tool_names_are_those_of_calls(sql: Sql, message: Message, names: list[str]) -> None:
    assert tools(sql, message) == names


def odd_messages(odd: Any) -> Iterator[Message]:
    """Yields messages with the value in each place where a text, a list or an object is expected."""
    yield from (said(odd), returning(odd), {"role": "assistant", "tool_calls": odd}, calling(odd))
    for key in ("id", "type", "tool", "name", "function", "arguments", "input"):
        yield calling({"name": "known", key: odd})
    for key in ("name", "arguments"):
        yield calling({"function": {"name": "known", key: odd}})
    for kind in ("text", "thinking", "reasoning", "tool_call", "tool_use", "tool_result", odd):
        for key in ("text", "thinking", "content", "summary", "name", "input", "output", "visibility", "source"):
            yield {"role": "assistant", "content": [{"type": kind, key: odd}]}
    yield {"role": "assistant", "thinking_text": odd, "thinking_block": odd, "metadata": odd}


def kinds(message: Message) -> set[str]:
    """Returns the words of its blocks' types: a block that is not as its type says is searched as a whole."""
    content = message.get("content")
    items = content if isinstance(content, list) else []
    return {word for item in items if isinstance(item, dict) for word in str(item.get("type")).split("_")}


def texts(sql: Sql, message: Message) -> Texts:
    [row] = sql("select said, called, returned, thought from message_texts(%s::jsonb)", json.dumps(message))
    return row[0], row[1], row[2], row[3]


def words(sql: Sql, message: Message) -> set[str]:
    [(found,)] = sql("select tsvector_to_array(message_search(%s::jsonb, 'simple'))", json.dumps(message))
    return set(found)


def tools(sql: Sql, message: Message) -> list[str]:
    [(names,)] = sql("select message_tools(%s::jsonb)", json.dumps(message))
    return list(names)


def in_any_order(text: str | None) -> list[list[str]] | None:
    """Returns the sorted words of each line, because jsonb has its own order of keys."""
    return None if text is None else [sorted(line.split()) for line in text.split("\n")]
