"""A message is any JSON object: it comes back as it came, and a role is derived from it for filters and counts."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_transcripts import append, message, plain
from tests.conftest import assert_problem

Sql = Callable[..., list[Any]]
FRAMEWORKS: dict[str, dict[str, Any]] = {
    "responses item": {"type": "function_call", "call_id": "call_1", "name": "book", "arguments": '{"seat": "4A"}'},
    "gemini": {"role": "model", "parts": [{"text": "Booked."}]},
    "a2a": {"kind": "message", "messageId": "m1", "role": "agent", "parts": [{"kind": "text", "text": "Booked."}]},
    "langchain": {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {}},
    "langchain role": {"role": "human", "content": "Book 4A."},
    "pydantic-ai": {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "Book 4A."}]},
    "ag-ui": {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "Booked."},
    "autogen": {"source": "planner", "type": "TextMessage", "content": "Booked.", "models_usage": None},
    "adk": {"author": "booking_agent", "content": {"role": "model", "parts": [{"text": "Booked."}]}, "actions": {}},
    "claude code": {"type": "summary", "summary": "A seat was booked", "leafUuid": "5b1f"},
    "empty": {},
    "null role": {"role": None, "content": "Booked."},
    "own role": {"role": "critic", "content": "Why 4A?"},
}
DERIVED = {
    **{role: role for role in ("system", "developer", "user", "assistant", "function", "tool")},
    **{"human": "user", "critic": "user", "model": "assistant", "agent": "assistant", "ai": "assistant"},
}


async def test_messages_of_every_framework_come_back_equal(alice: httpx.AsyncClient, session_id: str) -> None:
    sent = list(FRAMEWORKS.values())
    answer = await append(alice, session_id, sent)
    assert answer.status_code == 201, answer.text
    assert answer.json()["messages_total"] == len(sent)
    assert await plain(alice, session_id) == sent
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    assert await plain(alice, fork) == sent
    assert (await alice.get(f"/sessions/{session_id}/transcript/2")).json()["message"] == sent[1]


async def test_role_is_derived(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sent = [message("needle", role) for role in DERIVED]
    answer = (await append(alice, session_id, [*sent, {}])).json()
    assert answer["message_count"] == list(DERIVED.values()).count("user")
    roles = sql("select role from messages where session_id = %s order by seq", session_id)
    assert [role for (role,) in roles] == [*DERIVED.values(), None]
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()
    assert (await alice.get(f"/sessions/{fork['session_id']}")).json()["message_count"] == answer["message_count"]
    for role in ("user", "assistant"):
        query = {"q": "needle", "role": role, "session_id": session_id, "context": 5}
        hits = (await alice.get("/search", params=query)).json()["items"]
        wanted = [number for number, one in enumerate(DERIVED.values(), 1) if one == role]
        assert sorted(hit["seq"] for hit in hits) == wanted
        assert {hit["role"] for hit in hits} == {role}


async def test_message_without_role_beside_a_hit(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [{"type": "summary"}, message("needle")])
    query = {"q": "needle", "context": 1}
    [hit] = (await alice.get(f"/sessions/{session_id}/search", params=query)).json()["items"]
    assert [one["role"] for one in hit["before"]] == [None]


@pytest.mark.parametrize("role", ["", "x" * 65, 7, True, ["user"], {"name": "user"}])
async def test_role_of_another_kind_is_named(alice: httpx.AsyncClient, session_id: str, role: Any, sql: Sql) -> None:
    messages = [message()] * 417 + [{"role": role}, message()]
    problem = assert_problem(await append(alice, session_id, messages), 422)
    assert problem["errors"][0]["field"] == "messages[417].role"
    assert "messages[417].role" in problem["detail"]
    assert sql("select count(*) from messages") == [(0,)]
    assert (await append(alice, session_id, [{"role": "x" * 64}])).status_code == 201


@pytest.mark.parametrize("row", [1, None, "text", [], [{"role": "user"}]])
async def test_what_is_no_object_is_named(alice: httpx.AsyncClient, session_id: str, row: Any) -> None:
    problem = assert_problem(await append(alice, session_id, [message(), row]), 422)
    assert problem["errors"][0]["field"] == "messages[1]"


async def test_rows_by_hand_get_derived_role(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    """Their own `role` does not count, nor does the search entry that they bring."""
    insert = (
        "insert into messages (session_id, message, role, author_user_id, author_app_id, search, search_revision)"
        " select %s, %s, 'tool', 'dba', 'psql', '', search_revision(search_default_language())"
    )
    for text in ('{"role": "human"}', '{"role": "model"}', "{}"):
        sql(insert, session_id, text)
    roles = sql("select role from messages where session_id = %s order by seq", session_id)
    assert [role for (role,) in roles] == ["user", "assistant", None]
    assert (await alice.get(f"/sessions/{session_id}")).json()["message_count"] == 1
