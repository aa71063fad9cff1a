"""Forks: copies of sessions with their transcripts, and transcripts as they were at a time."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.api import forks
from tests.conftest import CONFIG, assert_problem


def said(*texts: str) -> dict[str, Any]:
    """The body that appends these."""
    return {"messages": [{"role": "user", "content": text} for text in texts]}


async def transcript(client: httpx.AsyncClient, session_id: str, **parameters: Any) -> list[Any]:
    """The entries of a session."""
    page = await client.get(f"/sessions/{session_id}/transcript", params={"limit": 1000, **parameters})
    return list(page.json()["messages"])


async def test_fork_begins_with_the_transcript(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "Plans", "tags": {"a": "b"}, "metadata": {"m": 1}})
    await alice.post(f"/sessions/{session_id}/transcript", json=said("a", "b", "c"))
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    made = await alice.post(f"/sessions/{session_id}/fork", json={})
    assert made.status_code == 201, made.text
    fork = made.json()
    source = (await alice.get(f"/sessions/{session_id}")).json()
    assert fork["session_id"] != session_id
    for same in ("config_id", "title", "tags", "metadata", "message_count", "last_seq"):
        assert fork[same] == source[same], same
    assert (fork["forked_from_session_id"], fork["forked_at_seq"]) == (session_id, source["last_seq"])
    assert (fork["role"], fork["owner_user_id"], fork["status"]) == ("owner", "alice", "active")
    assert await transcript(alice, fork["session_id"]) == await transcript(alice, session_id)
    people = (await alice.get(f"/sessions/{fork['session_id']}/participants")).json()["items"]
    assert [person["user_id"] for person in people] == ["alice"]


async def test_two_go_on_apart(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json=said("a", "b", "c"))
    body = {"up_to_seq": 2, "title": "Another way"}
    fork = (await alice.post(f"/sessions/{session_id}/fork", json=body)).json()
    assert (fork["title"], fork["last_seq"], fork["message_count"], fork["forked_at_seq"]) == ("Another way", 2, 2, 2)
    added = await alice.post(f"/sessions/{fork['session_id']}/transcript", json=said("d") | {"expected_seq": 2})
    assert added.json()["first_seq"] == 3
    here = [entry["message"]["content"] for entry in await transcript(alice, session_id)]
    there = [entry["message"]["content"] for entry in await transcript(alice, fork["session_id"])]
    assert (here, there) == (["a", "b", "c"], ["a", "b", "d"])
    found = (await alice.get("/search", params={"q": "b", "session_id": fork["session_id"]})).json()["items"]
    assert [hit["seq"] for hit in found] == [2]


async def test_of_nothing(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "Plans"})
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={"up_to_seq": 0, "title": ""})).json()
    assert (fork["last_seq"], await transcript(alice, fork["session_id"])) == (0, [])
    assert fork["title"] is None


async def test_participant_forks_with_own_config(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    """The config may hold keys: nobody gets to use somebody else's by copying."""
    await alice.post(f"/sessions/{session_id}/transcript", json=said("a"))
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    path = f"/sessions/{session_id}/fork"
    hint = ". It is not yours: name one of your own in config_id"
    assert_problem(await bob.post(path, json={}), 404, f"Config not found: {config_id}{hint}")
    assert_problem(await bob.post(path, json={"config_id": config_id}), 404, f"Config not found: {config_id}")
    assert sql("select count(*) from sessions") == [(1,)]
    own = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    fork = (await bob.post(path, json={"config_id": own})).json()
    assert (fork["config_id"], fork["owner_user_id"], fork["forked_from_session_id"]) == (own, "bob", session_id)
    assert (await transcript(bob, fork["session_id"]))[0]["author_user_id"] == "alice"
    assert_problem(await alice.get(f"/sessions/{fork['session_id']}"), 404, "Session not found")


async def test_lineage_is_for_those_who_take_part_there(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    await alice.post(f"/sessions/{fork}/participants", json={"user_id": "bob", "role": "editor"})
    assert (await alice.get(f"/sessions/{fork}")).json()["forked_from_session_id"] == session_id
    for answer in (await bob.get(f"/sessions/{fork}"), await bob.patch(f"/sessions/{fork}", json={"title": "t"})):
        assert answer.json()["forked_from_session_id"] is None
        assert session_id not in answer.text
    await alice.delete(f"/sessions/{session_id}")
    kept = await alice.get(f"/sessions/{fork}")
    assert (kept.status_code, kept.json()["forked_from_session_id"]) == (200, None)


async def test_strangers(bob: httpx.AsyncClient, session_id: str) -> None:
    own = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    for identifier in (session_id, "none"):
        for body in ({}, {"config_id": own}, {"up_to_seq": 10**9}):
            refused = await bob.post(f"/sessions/{identifier}/fork", json=body)
            assert_problem(refused, 404, "Session not found")


@pytest.mark.parametrize(
    "body", ['{"up_to_seq": -1}', '{"up_to_seq": "x"}', '{"config_id": ""}', "[]", "", '{"title": 1}']
)
async def test_bad_input(alice: httpx.AsyncClient, session_id: str, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert_problem(await alice.post(f"/sessions/{session_id}/fork", content=body, headers=headers), 422)
    beyond = await alice.post(f"/sessions/{session_id}/fork", json={"up_to_seq": 1})
    assert_problem(beyond, 422, "up_to_seq: 1 is beyond the session's last_seq, 0")


async def test_too_many_messages(
    alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch, sql: Callable[..., list[Any]]
) -> None:
    monkeypatch.setattr(forks, "MOST_FORKED", 3)
    await alice.post(f"/sessions/{session_id}/transcript", json=said("a", "b", "c", "d"))
    refused = await alice.post(f"/sessions/{session_id}/fork", json={})
    assert_problem(refused, 422, "A fork has at most 3 messages: give up_to_seq")
    assert sql("select count(*) from sessions") == [(1,)]
    assert (await alice.post(f"/sessions/{session_id}/fork", json={"up_to_seq": 3})).status_code == 201


async def test_while_others_append(alice: httpx.AsyncClient, session_id: str) -> None:
    """A fork is the transcript of one moment: all messages up to its number, and none after it."""
    appends = [alice.post(f"/sessions/{session_id}/transcript", json=said(str(n), "then")) for n in range(20)]
    forks = [alice.post(f"/sessions/{session_id}/fork", json={}) for _ in range(10)]
    answers = await asyncio.gather(*appends[:10], *forks[:5], *appends[10:], *forks[5:])
    for answer in answers[10:15] + answers[25:]:
        fork = answer.json()
        entries = await transcript(alice, fork["session_id"])
        assert [entry["seq"] for entry in entries] == list(range(1, fork["last_seq"] + 1))
        assert len(entries) == fork["message_count"]


async def test_as_of(alice: httpx.AsyncClient, session_id: str) -> None:
    for text in ("a", "b", "c"):
        await alice.post(f"/sessions/{session_id}/transcript", json=said(text))
    times = [entry["created_at"] for entry in await transcript(alice, session_id)]
    for moment, expected in ((times[0], ["a"]), (times[1], ["a", "b"]), ("2000-01-01T00:00:00", [])):
        plain = await alice.get(f"/sessions/{session_id}/transcript", params={"as_of": moment, "view": "plain"})
        assert [message["content"] for message in plain.json()] == expected
        entries = await transcript(alice, session_id, as_of=moment)
        assert [entry["message"]["content"] for entry in entries] == expected
    first = (await alice.get(f"/sessions/{session_id}/transcript", params={"as_of": times[1], "limit": 1})).json()
    rest = (await alice.get(f"/sessions/{session_id}/transcript", params={"as_of": times[1], "after": 1})).json()
    assert (first["next"], rest["next"], [entry["seq"] for entry in rest["messages"]]) == (1, None, [2])
    for bad in ("yesterday", "0001-01-01T00:00:00+23:59", "", "%00"):
        assert_problem(await alice.get(f"/sessions/{session_id}/transcript", params={"as_of": bad}), 422)


async def test_search_entries_come_along(
    alice: httpx.AsyncClient, config_id: str, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    """Copied where the language is the same, and made anew where it is another."""
    await alice.patch(f"/sessions/{session_id}", json={"metadata": {"language": "german"}})
    german = {"name": "n", "config_data": CONFIG["config_data"] | {"metadata": {"language": "german"}}}
    ours = (await alice.post("/configs", json=german)).json()["config_id"]
    for body in (said("Die Häuser sind teuer", "Houses are expensive"), said("x" * 3000)):
        await alice.post(f"/sessions/{session_id}/transcript", json=body)
    await alice.post(f"/sessions/{session_id}/fork", json={})
    language = sql("select search_language from sessions where forked_from_session_id is null")
    assert sql("select distinct search_language from sessions") == language
    columns = "seq, search, search_truncated, search_revision"
    assert sql(f"select {columns}, count(*) from messages group by {columns} having count(*) <> 2") == []
    english = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    await alice.post(f"/sessions/{english}/transcript", json=said("Houses are expensive"))
    fork = (await alice.post(f"/sessions/{english}/fork", json={"config_id": ours})).json()["session_id"]
    revisions = sql("select search_revision, search::text from messages where session_id = %s", fork)
    assert revisions == [("german/4", revisions[0][1])]
    assert "'are'" in revisions[0][1]  # English leaves it out


async def test_known_search_entry_of_another_language_is_made_anew(
    session_id: str, sql: Callable[..., list[Any]]
) -> None:
    insert = (
        "insert into messages (session_id, message, author_user_id, author_app_id, search, search_revision)"
        " values (%s, '{\"role\": \"user\", \"content\": \"houses\"}', 'a', 'b', '''forged''', %s)"
        " returning search::text"
    )
    assert "forged" in sql(insert, session_id, "english/4")[0][0]
    for revision in ("german/4", "english/0", None):
        assert "forged" not in sql(insert, session_id, revision)[0][0]
