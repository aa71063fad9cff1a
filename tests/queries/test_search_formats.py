"""Messages of every format: the database finds the role, the words and the tools that the reader's parts have."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import CheckViolation

from amplifier.transcripts.parts import Call
from amplifier.transcripts.reader import read
from tests.transcripts.examples import FOLDER, examples
from tests.transcripts.searched import texts
from tests.transcripts.test_reader import NAMES, VALUES

Sql = Callable[..., list[Any]]
Message = dict[str, Any]

FORMATS = sorted(path.stem for path in FOLDER.glob("*.json"))
READ = "select said, called, returned, thought, message_role(m), message_tools(m) from message_texts(%s::jsonb), (select %s::jsonb) as x (m)"  # noqa: E501
LEXEMES = (
    "select coalesce(tsvector_to_array(to_tsvector('simple', search_plain(x))), '{}') from unnest(%s::text[]) as x"
)
WORDS = ["alpha", "beta gamma", '{"k": "delta"}', '["epsilon"]', "", "7"]
scalars = st.none() | st.booleans() | st.integers(0, 99) | st.sampled_from(VALUES) | st.sampled_from(WORDS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
blocks = st.builds(lambda block, kind: {**block, "type": kind}, objects, st.sampled_from(VALUES))
messages = objects | st.builds(
    lambda rest, role, content: {**rest, "role": role, "content": content},
    objects,
    st.sampled_from(["user", "assistant", "tool", "x"]),
    st.lists(blocks | objects, max_size=3),
)


def differences(sql: Sql, message: Message) -> dict[str, tuple[Any, Any]]:
    """Returns what the database and the reader understand differently in a message."""
    wanted = texts(message)
    called = [part.name for part in read(message, hidden=False).parts if isinstance(part, Call)]
    [(*found, role, tools)] = sql(READ, json.dumps(message), json.dumps(message))
    pairs = {
        "role": (role, read(message).role),
        "words": (sql(LEXEMES, [short(text or "") for text in found]), sql(LEXEMES, [short(text) for text in wanted])),
        "tools": (sorted(tools), sorted(called)),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def short(text: str) -> str:
    """Returns a text with its numbers as Python writes them: the database keeps 129.50."""
    return re.sub(r"(\d\.\d+?)0+\b", r"\1", text)


def nested(depth: int, around: str, inner: str) -> str:
    before, after = around.split("*")
    return before * depth + inner + after * depth


@pytest.mark.parametrize("name", FORMATS)
def test_database_reads_each_example_as_the_reader(sql: Sql, name: str) -> None:
    mine = {key: example["message"] for key, example in examples() if key.startswith(f"{name}/")}
    found = {key: differences(sql, message) for key, message in mine.items()}
    assert {key: differing for key, differing in found.items() if differing} == {}


def test_table_has_the_formats_that_are_promised() -> None:
    assert len(list(examples())) >= 140
    assert len(FORMATS) >= 14


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(messages)
def test_database_reads_any_object_as_the_reader(sql: Sql, message: Message) -> None:
    assert differences(sql, message) == {}


def test_no_base64_signature_or_sealed_thinking_is_searched(sql: Sql) -> None:
    secrets = {
        "ivborw0kggoaaaansuheugaaaaeaaaabcayaaaaffcsjaaaaduleqvr42mnk",
        "jvberi0xljqkjcfsj6iknsawig9iago8pc9mzw5ndgg",
    }
    secrets |= {"eqqbcgiyahim1gbcda9gjwza", "emwkahgbegy3va3pzix", "gaaaaabo", "c2ln", "aaaa"}
    for name, example in examples():
        [(found,)] = sql(
            "select tsvector_to_array(message_search(%s::jsonb, 'simple'))", json.dumps(example["message"])
        )
        assert secrets.isdisjoint(found), name


@pytest.mark.parametrize(
    ("around", "inner"),
    [
        ("[*]", '"deep"'),
        ('{"value": *}', '"deep"'),
        ('[{"type": "text", "text": *}]', '"deep"'),
        ('{"guardContent": *}', '{"text": "deep"}'),
        ('{"signature": "x", "a": *}', '"deep"'),
        ('{"type": "json", "value": *}', '"deep"'),
        ('[{"type": "thinking", "thinking": *}]', '"deep"'),
    ],
)
def test_deep_nesting_is_read_up_to_the_limit_of_the_table(sql: Sql, around: str, inner: str) -> None:
    levels = 29 if around.startswith("[{") else 59
    for role in ("user", "tool", "assistant"):
        message = f'{{"role": "{role}", "content": [{nested(levels, around, inner)}]}}'
        [(found,)] = sql("select message_texts(%s::jsonb)::text", message)
        assert "deep" in found, role
        too_deep = f'{{"role": "{role}", "content": [{nested(1000, around, inner)}]}}'
        assert sql("select message_role(%s::jsonb), message_tools(%s::jsonb)", too_deep, too_deep)


def test_message_that_is_too_deep_violates_the_check(sql: Sql) -> None:
    message = f'{{"role": "user", "content": {nested(1000, "[*]", "1")}}}'
    with pytest.raises(CheckViolation, match="messages_message_depth_check"):
        sql(
            "insert into messages (session_id, seq, message, author_user_id, author_app_id)"
            " values ('none', 1, %s::jsonb, 'alice', 'app')",
            message,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda number: {"type": "text", "text": f"word{number}"},
        lambda number: {"odd": f"word{number}", "signature": "x"},
        lambda number: {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {"a": number}},
        lambda number: {"type": "tool_result", "tool_use_id": f"c{number}", "content": f"word{number}"},
        lambda number: {"type": "file", "file": {"filename": f"f{number}", "file_id": "x"}},
        lambda number: {"type": "text", "text": f"word{number}", "visibility": ["internal", "user"][number % 2]},
    ],
)
def test_long_list_of_blocks_is_read_in_time(sql: Sql, make: Callable[[int], Message]) -> None:
    blocks = [make(number) for number in range(20_000)]
    calls = [{"id": f"c{number}", "name": "f", "arguments": "{}"} for number in range(20_000)]
    message = json.dumps({"role": "assistant", "content": blocks, "tool_calls": calls})
    # with the square of the number it would take hours
    sql("begin")
    sql("set local statement_timeout = '120s'")
    [(found,)] = sql("select length(concat(said, called, returned, thought)) from message_texts(%s::jsonb)", message)
    sql("rollback")
    assert found >= 2 * 20_000
