"""Streams of a session: everything once and in order, for those who take part, as long as they do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.live import hub, subscriber, topics
from tests.conftest import assert_problem, settings_for
from tests.support.live import Live, live

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn, max_streams_per_user=3)) as api:
        yield api


async def add(client: httpx.AsyncClient, session_id: str, *texts: str) -> None:
    """Appends messages of a user."""
    messages = [{"role": "user", "content": text} for text in texts]
    response = await client.post(f"/sessions/{session_id}/transcript", json={"messages": messages})
    assert response.status_code == 201, response.text


async def share(client: httpx.AsyncClient, session_id: str, user_id: str, role: str = "viewer") -> None:
    """Adds a participant."""
    body = {"user_id": user_id, "role": role}
    assert (await client.post(f"/sessions/{session_id}/participants", json=body)).status_code == 201


async def test_stream_starts_now_and_shows_what_the_api_shows(
    api: Live, alice: httpx.AsyncClient, session_id: str
) -> None:
    await add(alice, session_id, "before")
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        await add(alice, session_id, "one", "two")
        assert stream.response.headers["content-type"] == "text/event-stream"
        assert "x-request-id" in stream.response.headers
        entries = (await alice.get(f"/sessions/{session_id}/transcript", params={"after": 1})).json()["messages"]
        for entry in entries:
            assert await stream.next() == (entry["seq"], "message.created", entry)
        await share(alice, session_id, "bob", "editor")
        added = await stream.next()
        assert added is not None
        assert (added.id, added.type) == (4, "participant.added")
        assert added.data.pop("created_at").endswith("Z")
        expected = {"user_id": "bob", "role": "editor", "permissions": {}, "seq": 4, "actor_user_id": "alice"}
        assert added.data == expected
        assert stream.retries == 1


async def test_session_that_changes_says_what_changed(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        for change, shown in (
            ({"title": "A", "tags": {"a": "b"}}, {"title": "A", "tags": {"a": "b"}}),
            ({"title": "A", "status": "completed"}, {"status": "completed"}),
            ({"title": "", "metadata": {"x": [1]}}, {"title": None, "metadata": {"x": [1]}}),
        ):
            changed = (await alice.patch(f"/sessions/{session_id}", json=change)).json()
            event = await stream.next()
            assert event is not None
            assert (event.id, event.type) == (changed["last_seq"], "session.updated")
            assert {name: event.data[name] for name in shown} == shown
            assert event.data.keys() == shown.keys() | {"seq", "actor_user_id", "created_at"}
        unchanged = (await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})).json()
        assert unchanged["last_seq"] == 3
        await alice.post(f"/sessions/{session_id}/resume")
        event = await stream.next()
        assert event is not None
        assert (event.id, event.data["status"]) == (4, "active")


@pytest.mark.parametrize("pages", [1, 3])
async def test_cursor_continues_without_gap_or_double(
    api: Live, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(topics, "PAGE", 10 // pages)
    await add(alice, session_id, *map(str, range(4)))
    await share(alice, session_id, "bob")
    await add(alice, session_id, *map(str, range(4)))
    path = f"/sessions/{session_id}/events"
    async with api.stream(alice, f"{path}?after=0") as stream:
        assert await stream.ids(9) == list(range(1, 10))
        await add(alice, session_id, "live")
        assert await stream.ids(1) == [10]
    async with api.stream(alice, f"{path}?after=2", headers={"Last-Event-ID": "7"}) as stream:
        assert await stream.ids(3) == [8, 9, 10], "a browser that comes back says where it was"
    async with api.stream(alice, f"{path}?after=8", headers={"Last-Event-ID": ""}) as stream:
        assert await stream.ids(2) == [9, 10]
    async with api.stream(alice, f"{path}?after=10") as stream:
        await add(alice, session_id, "next")
        assert await stream.ids(1) == [11]


async def test_replay_shows_nothing_of_other_sessions(
    api: Live, alice: httpx.AsyncClient, config_id: str, session_id: str
) -> None:
    other = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    for number in range(5):
        await add(alice, session_id, f"mine {number}")
        await add(alice, other, f"other {number}")
        await share(alice, other, f"user-{number}")
    async with (
        api.stream(alice, f"/sessions/{session_id}/events?after=0") as stream,
        api.stream(alice, f"/sessions/{other}/events?after=0") as others,
    ):
        await add(alice, other, "live, for the other")
        await add(alice, session_id, "mine 5")
        shown = [event.data["message"]["content"] for _ in range(6) if (event := await stream.next())]
        assert shown == [f"mine {number}" for number in range(6)]
        assert await others.ids(11) == list(range(1, 12))


async def test_messages_of_any_size_come_one_after_the_other(
    api: Live, alice: httpx.AsyncClient, session_id: str
) -> None:
    for size in (100_000, 10, 3_000_000, 70_000, 1):
        await add(alice, session_id, "x" * size, "line\u2028feed\r\n\x85é😀")
    async with api.stream(alice, f"/sessions/{session_id}/events?after=0") as stream:
        assert await stream.ids(9) == list(range(1, 10))
        last = await stream.next()
    assert last is not None
    assert last.data["message"]["content"] == "line\u2028feed\r\n\x85é😀"


BAD = [
    "after=-1",
    "after=x",
    "after=",
    f"after={2**63}",
    "after=1.5",
    "after=7",
    "after=%00",
    f"after={'9' * 5000}",
    f"after={'0' * 5000}1",
]


@pytest.mark.parametrize("query", BAD)
async def test_cursors_that_are_none_are_refused(
    api: Live, alice: httpx.AsyncClient, session_id: str, query: str
) -> None:
    assert_problem(await alice.get(f"/sessions/{session_id}/events?{query}"), 422)
    value = query.partition("=")[2]
    if value not in ("", "%00"):
        headers = {"Last-Event-ID": value}
        assert_problem(await alice.get(f"/sessions/{session_id}/events", headers=headers), 422)


async def test_strangers_are_told_nothing(api: Live, bob: httpx.AsyncClient, session_id: str) -> None:
    for path in (f"/sessions/{session_id}", "/sessions/absent"):
        for query in ("", "?after=0", "?after=99"):
            assert_problem(await bob.get(f"{path}/events{query}"), 404, "Session not found")
        assert_problem(await bob.post(f"{path}/events/ticket"), 404, "Session not found")
    assert_problem(await api.client().get(f"/sessions/{session_id}/events"), 401)


async def test_insert_by_hand_shows_up(api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    insert = """
        insert into messages (session_id, seq, message, author_user_id, author_app_id)
        values (%s, %s, '{"role": "user", "content": "by hand"}', 'dba', 'psql')
    """
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        sql(insert, session_id, None)
        sql("insert into session_events (session_id, type) values (%s, 'run.started')", session_id)
        sql(insert, session_id, 3)
        shown = [await stream.next() for _ in range(3)]
        assert [(event.id, event.type) for event in shown if event] == [
            (1, "message.created"),
            (2, "run.started"),
            (3, "message.created"),
        ]
        await add(alice, session_id, "the clock went on")
        assert await stream.ids(1) == [4]
    assert (await alice.get(f"/sessions/{session_id}")).json()["message_count"] == 3


async def test_only_owners_see_what_an_invitation_is(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        await alice.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})
        event = await stream.next()
    assert event is not None
    assert event.type == "invitation.created"
    assert event.data.keys() == {"seq", "actor_user_id", "created_at"}


async def test_quiet_stream_gives_signs_of_life(
    api: Live, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "_KEEPALIVE", 0.0)
    monkeypatch.setattr(hub, "_SWEEP", 0.05)
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        async with asyncio.timeout(5):
            while stream.comments < 2:
                await stream.line()
