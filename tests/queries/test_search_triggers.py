"""The triggers that index messages: they index every inserted message, and truncate and mark long ones."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Sql = Callable[..., list[Any]]


@pytest.fixture
def guarded(sql: Sql) -> Sql:
    """Statements of a DBA with a timeout of 20 seconds."""
    sql("set statement_timeout = '20s'")
    return sql


@pytest.mark.parametrize(
    ("parts", "truncated"),
    [
        ({"said": "x" * 2046}, False),
        ({"said": "x" * 2047}, True),
        ({"returned": f"short {'x' * 3000} short"}, True),
        ({"called": "é" * 1023}, False),
        ({"called": "é" * 1024}, True),
        ({"thought": "ж" * 1024}, True),
        ({"thought": "漢" * 1000}, False),
        ({"said": ("word " * 20_000)}, False),
        ({"said": ("word " * 20_000) + "x"}, True),
        (dict.fromkeys(("said", "returned", "thought"), "word " * 5000) | {"called": "word " * 4999}, False),
        (dict.fromkeys(("said", "called", "returned", "thought"), "word " * 5001), True),
        ({"said": "word " * 5000, "thought": "x" * 2047}, True),
        ({"said": ("word " * 20_000)[:97_953], "thought": "x" * 2047}, True),
        ({"said": f"words{' ' * 3000}apart"}, False),
        ({"said": f"words{'=' * 3000}{'-' * 3000}apart"}, False),
        ({"said": "a-" * 3000}, False),
    ],
    ids=lambda value: value if isinstance(value, bool) else " ".join(f"{key} {len(value[key])}" for key in value),
)
def test_truncated_message_is_marked(guarded: Sql, parts: dict[str, str], truncated: bool) -> None:
    insert_session(guarded, "s")
    insert_messages(guarded, "s", [message_of(**parts)])
    [(is_truncated, words)] = guarded("select search_truncated, tsvector_to_array(search) from messages")
    assert is_truncated is truncated
    assert max(len(word.encode()) for word in ["", *words]) <= 2047  # which new minor releases index, older ones drop


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e-999", "1e131071", "9" * 5000])
def test_message_with_huge_numbers_is_stored(guarded: Sql, number: str) -> None:
    insert_session(guarded, "s")
    values = f'{{"n": {number}, "list": [{number}, {number}]}}'
    message = f'{{"role": "assistant", "tool_calls": [{{"tool": "needle", "arguments": {values}}}], "n": {number}}}'
    insert_messages(guarded, "s", message)
    assert guarded("select search @@ 'needl', message = %s::jsonb from messages", message) == [(True, True)]


@pytest.mark.parametrize("message", ["null", "5", '"text"', "[]", '[{"role": "user"}]', '{"role": 1}'])
def test_invalid_message_is_refused_by_its_constraint(guarded: Sql, message: str) -> None:
    insert_session(guarded, "s")
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        insert_messages(guarded, "s", message)
    assert "search" not in str(refused.value).splitlines()[0]


def test_trigger_indexes_rows_written_by_dba(guarded: Sql) -> None:
    insert_session(guarded, "s")
    guarded(
        "insert into messages (session_id, seq, message, author_user_id, author_app_id, search, search_truncated)"
        " values ('s', 1, '{\"role\": \"user\", \"content\": \"needle\"}', 'u', 'a', 'forged', true)"
    )
    state = "select search::text, search_truncated, search_revision like 'english/%' from messages"
    assert guarded(state) == [("'needl':1A", False, True)]
    guarded("update messages set message = message || '{\"content\": \"haystacks\"}', search = 'forged'")
    assert guarded(state) == [("'haystack':1A", False, True)]


# Such words have more bytes in lower case than a tsvector can count, which once crashed the server.
def test_words_that_grow_in_lower_case_are_stored(guarded: Sql) -> None:
    insert_session(guarded, "s")
    insert_messages(guarded, "s", [message_of(said=f"needle {letter * 1000}") for letter in "ȺȾİ"])
    found = guarded("select 'needl' = any(tsvector_to_array(search)) from messages where search::text <> ''")
    assert found == [(True,)] * 3


def message_of(**parts: str) -> dict[str, Any]:
    """Returns a message with blocks of text: said, called, returned or thought."""
    keys = {"said": ("text", "text"), "called": ("tool_call", "input"), "returned": ("tool_result", "output")}
    keys["thought"] = ("thinking", "thinking")
    blocks = [{"type": keys[part][0], keys[part][1]: parts[part]} for part in parts]
    return {"role": "assistant", "content": [{**block, "name": "f"} for block in blocks]}


def insert_session(sql: Sql, session_id: str) -> None:
    """Inserts a session as a DBA would."""
    sql("insert into configs (config_id, name, config_json) values ('c', 'C', '{}') on conflict do nothing")
    sql(
        "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id) values (%s, 'c', 'u', 'a')",
        session_id,
    )


def insert_messages(sql: Sql, session_id: str, messages: list[Any] | str) -> None:
    """Inserts messages. `messages` is a list, or the JSON of one message."""
    given = json.dumps(messages) if isinstance(messages, list) else f"[{messages}]"
    sql(
        "insert into messages (session_id, seq, message, author_user_id, author_app_id)"
        " select %s, ordinality, value, 'u', 'a' from jsonb_array_elements(%s::jsonb) with ordinality",
        session_id,
        given,
    )
