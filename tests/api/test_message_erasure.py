"""Erasure of messages that are taken back: their text is nowhere, and who sent them stays known."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_retractions import join, retract, retracted, seqs
from tests.api.test_transcripts import append, message
from tests.conftest import Api, assert_problem
from tests.support.old_sessions import places

Sql = Callable[..., list[Any]]
SECRET = "4000056655665556"
KEPT = "select seq, message, author_user_id, retracted_by_user_id, erased_at is not null from retracted_messages"


async def page(client: httpx.AsyncClient, session_id: str, **query: Any) -> Any:
    answer = await client.get(f"/sessions/{session_id}/transcript/retracted", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def talk(alice: httpx.AsyncClient, session_id: str) -> str:
    """A session with two messages, of which the second has the text."""
    await append(alice, session_id, [message("one"), message(SECRET)])
    return session_id


async def test_text_of_retracted_message_is_erased_at_once(alice: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    entry = (await alice.get(f"/sessions/{talk}/transcript/2")).json()
    assert places(sql, SECRET) == ["messages"]
    answer = await retracted(alice, talk, last=1, erase=True)
    assert answer["retracted"] == [entry | {"message": {}}]
    assert places(sql, SECRET) == []
    assert sql(KEPT) == [(2, {}, "alice", "alice", True)]


async def test_text_is_erased_later(alice: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    await retracted(alice, talk, seqs=[2])
    assert (places(sql, SECRET), sql(KEPT)[0][4]) == (["retracted_messages"], False)
    answer = await retracted(alice, talk, seqs=[2, 99], erase=True)
    assert (seqs(answer), answer["retracted"][0]["message"], answer["last_seq"]) == ([2], {}, 3)
    assert places(sql, SECRET) == []
    assert (await retracted(alice, talk, seqs=[2], erase=True))["retracted"] == []
    both = await retracted(alice, talk, seqs=[1, 2], erase=True)
    assert seqs(both) == [1]


async def test_stored_and_retracted_messages_are_erased_together(alice: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    await retracted(alice, talk, seqs=[2])
    assert seqs(await retracted(alice, talk, seqs=[2, 1], erase=True)) == [1, 2]
    assert [row[:2] for row in sql(KEPT + " order by seq")] == [(1, {}), (2, {})]


async def test_owners_erase(alice: httpx.AsyncClient, bob: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    await join(alice, talk, "bob", "editor")
    await append(bob, talk, [message(SECRET)])
    refused = assert_problem(await retract(bob, talk, last=1, erase=True), 403)
    assert refused["detail"] == "Only owners may erase messages: leave erase out to take them back"
    await retracted(bob, talk, last=1)
    assert_problem(await retract(bob, talk, seqs=[4], erase=True), 403)
    assert places(sql, SECRET) == ["messages", "retracted_messages"]


async def test_audit_log_has_numbers_only(alice: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    log = "select action, user_id, target_id, details from audit_log where action like '%%retract%%'"
    await retracted(alice, talk, last=1)
    assert sql(log) == []  # the row and the event say who did it
    await retracted(alice, talk, seqs=[1, 2], erase=True)
    assert sql(log) == [("retract_messages", "alice", talk, {"erased": 2})]


async def test_owners_read_what_was_retracted(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, talk: str
) -> None:
    assert await page(alice, talk) == {"session_id": talk, "messages": [], "next": None}
    entries = (await alice.get(f"/sessions/{talk}/transcript")).json()["messages"]
    await join(alice, talk, "bob", "editor")
    await retracted(bob, talk, after_seq=0)
    first = await page(alice, talk, limit=1)
    assert (seqs(first, "messages"), first["next"]) == ([1], 1)
    [second] = (await page(alice, talk, after=1))["messages"]
    who = {"retracted_by_user_id": "bob", "retracted_by_app_id": "app", "erased_at": None, "key": None}
    assert second == entries[1] | who | {"retracted_at": second["retracted_at"]}
    for client, status in ((bob, 403), (await api.as_user("carol"), 404)):
        assert_problem(await client.get(f"/sessions/{talk}/transcript/retracted"), status)
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after": -1}, {"before": 3}):
        assert_problem(await alice.get(f"/sessions/{talk}/transcript/retracted", params=wrong), 422)


async def test_key_of_retracted_message_is_free(alice: httpx.AsyncClient, session_id: str) -> None:
    assert (await append(alice, session_id, [message("old")], keys=["k"])).json()["seqs"] == [1]
    [gone] = (await retracted(alice, session_id, last=1))["retracted"]
    assert (gone["key"], (await page(alice, session_id))["messages"][0]["key"]) == ("k", "k")
    again = (await append(alice, session_id, [message("new")], keys=["k"])).json()
    assert (again["seqs"], again["skipped"]) == ([3], [])
