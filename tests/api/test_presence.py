"""Followers of a session, their read markers, and counts of unread messages."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.live import hub
from amplifier.maintenance.expiry import sweep
from tests.api.test_streams import add, share
from tests.conftest import assert_problem, settings_for
from tests.support.live import Live, live, until

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


async def present(client: httpx.AsyncClient, session_id: str) -> list[str]:
    """Returns the followers."""
    response = await client.get(f"/sessions/{session_id}/presence")
    assert response.status_code == 200, response.text
    return [person["user_id"] for person in response.json()["items"]]


async def shown(stream: Any, *expected: str) -> None:
    """Waits until the stream shows these people."""
    people: list[str] = []
    while people != list(expected):
        event = await stream.next("presence.changed")
        assert event.id is None
        assert event.data["count"] == len(event.data["present"])
        people = [person["user_id"] for person in event.data["present"]]


@pytest.mark.slow
async def test_presence_is_known_in_every_process(
    api: Live, dsn: str, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob")
    path = f"/sessions/{session_id}/events"
    assert await present(alice, session_id) == []
    async with live(settings_for(dsn)) as second:
        second.keys = api.keys
        there = await second.as_user("bob")
        async with api.stream(alice, path) as stream:
            await shown(stream, "alice")
            async with second.stream(there, path) as far, second.stream(there, path):
                await shown(stream, "alice", "bob")
                await shown(far, "alice", "bob")
                assert await present(bob, session_id) == ["alice", "bob"], "each once"
            await shown(stream, "alice")
            async with api.socket(bob, f"/sessions/{session_id}/ws"):
                await shown(stream, "alice", "bob")
                await alice.delete(f"/sessions/{session_id}/participants/bob")
                await shown(stream, "alice")
    assert_problem(await bob.get(f"/sessions/{session_id}/presence"), 404)


@pytest.mark.slow
async def test_follower_of_dead_process_disappears(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_LONG_SWEEP", 1)
    await share(alice, session_id, "bob")
    sql("insert into streams (stream_id, process_id, session_id, user_id) values ('x', 'dead', %s, 'bob')", session_id)
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        await shown(stream, "alice", "bob")
        sql("update streams set seen_at = now() - interval '16 seconds' where user_id = 'bob'")
        await shown(stream, "alice")
        sql("update streams set seen_at = now() - interval '2 minutes' where user_id = 'bob'")
        await sweep(api.app.state.queries)
        assert sql("select user_id from streams") == [("alice",)]
        sql("truncate streams")  # as after a crash of the database
        await until(lambda: sql("select user_id from streams") == [("alice",)])


async def unread(client: httpx.AsyncClient) -> list[tuple[int, int]]:
    """Marker and count in each of the lists."""
    lists = [await client.get(path) for path in ("/sessions", "/sessions?q=word", "/users/me/sessions")]
    rows = [next(iter(response.json().get("sessions") or response.json()["items"])) for response in lists]
    return list({(row["last_read_seq"], row["unread"]) for row in rows})


async def test_lists_count_what_is_not_read(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob", "editor")
    await add(alice, session_id, "word", "word")
    reply = {"messages": [{"role": "assistant", "content": "an answer in alice's name"}]}
    await alice.post(f"/sessions/{session_id}/transcript", json=reply)
    assert await unread(bob) == [(0, 3)]
    assert await unread(alice) == [(0, 1)], "what people wrote themselves is read"
    read = await bob.post(f"/sessions/{session_id}/read", json={"seq": 2})
    assert read.json() == {"session_id": session_id, "last_read_seq": 2, "unread": 2}
    assert await unread(bob) == [(2, 2)]
    back = await bob.post(f"/sessions/{session_id}/read", json={"seq": 1})
    assert back.json()["last_read_seq"] == 2
    await bob.post(f"/sessions/{session_id}/read", json={"seq": 4})
    assert await unread(bob) == [(4, 0)]
    await add(alice, session_id, *["word"] * 150)
    assert await unread(bob) == [(4, 100)], "at most"
    rows = (await alice.get(f"/sessions/{session_id}/participants")).json()["items"]
    assert {row["user_id"]: row["last_read_seq"] for row in rows} == {"alice": 0, "bob": 4}


@pytest.mark.parametrize("body", [{}, {"seq": -1}, {"seq": "1"}, {"seq": 2**63}, {"seq": 1}, {"seq": None}, []])
async def test_bad_markers_are_refused(alice: httpx.AsyncClient, session_id: str, body: Any) -> None:
    assert_problem(await alice.post(f"/sessions/{session_id}/read", json=body), 422)


async def test_strangers_mark_nothing(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    for path in (session_id, "absent"):
        assert_problem(await bob.post(f"/sessions/{path}/read", json={"seq": 0}), 404, "Session not found")
        assert_problem(await bob.get(f"/sessions/{path}/presence"), 404, "Session not found")
