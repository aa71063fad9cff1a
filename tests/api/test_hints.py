"""Hints: which of all sessions of a user changed, also those that were just shared, from this process or another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.live import hub, notifications, session_hints, subscriber
from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.retention import Deleted, Retention
from amplifier.maintenance.retention_rules import Rule
from tests.api.test_streams import add, share
from tests.conftest import assert_problem, settings_for, token
from tests.support.live import Event, Live, live, until
from tests.support.old_sessions import age

Sql = Callable[..., list[Any]]
TOLD = ("hint", "resync")


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


@pytest.fixture
async def second(api: Live, dsn: str) -> AsyncIterator[Live]:
    """Another one on the same database, which knows the same applications."""
    async with live(settings_for(dsn)) as other:
        other.keys = api.keys
        yield other


def hint(session_id: str, last_seq: int | None, type: str) -> Event:
    """Returns the hints that a follower receives."""
    return Event(None, "hint", {"session_id": session_id, "last_seq": last_seq, "type": type})


async def told(stream: Any, expected: Event) -> None:
    """Waits for a hint. Changes shortly before a stream was opened may be hinted at, too."""
    while (event := await stream.next(*TOLD)) != expected:
        assert event is not None
        assert (event.data["session_id"], event.data["type"]) == (expected.data["session_id"], "session.created")


async def test_follower_hears_of_all_sessions(api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    config = {"name": "c", "config_data": {"bundle": {"name": "c"}}}
    config_id = (await alice.post("/configs", json=config)).json()["config_id"]
    async with api.stream(alice, "/events") as stream, api.stream(bob, "/events") as others:
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        assert await stream.next(*TOLD) == hint(session_id, 0, "session.created")
        await add(alice, session_id, "one", "two")
        assert await stream.next(*TOLD) == hint(session_id, 2, "message.created")
        await share(alice, session_id, "bob", "editor")
        assert await stream.next(*TOLD) == await others.next(*TOLD) == hint(session_id, 3, "participant.added")
        await alice.patch(f"/sessions/{session_id}", json={"title": "new"})
        assert await stream.next(*TOLD) == await others.next(*TOLD) == hint(session_id, 4, "session.updated")
        await alice.delete(f"/sessions/{session_id}/participants/bob")
        assert await others.next(*TOLD) == hint(session_id, None, "participant.removed")
        assert await stream.next(*TOLD) == hint(session_id, 5, "participant.removed")
        await add(alice, session_id, "not for bob")
        assert await stream.next(*TOLD) == hint(session_id, 6, "message.created")
        invitation = (await alice.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})).json()
        await bob.post("/invitations/accept", json={"token": invitation["token"]})
        assert await others.next(*TOLD) == hint(session_id, 9, "participant.added"), "nothing of what was between"
        await alice.delete(f"/sessions/{session_id}")
        assert await others.next(*TOLD) == hint(session_id, None, "session.deleted")


async def test_another_process_hears_of_it(api: Live, second: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    there = await second.as_user("alice")
    async with second.stream(there, "/events") as stream, second.stream(there, f"/sessions/{session_id}/events") as own:
        await add(alice, session_id, "one")
        await told(stream, hint(session_id, 1, "message.created"))
        assert await own.ids(1) == [1]
        await alice.delete(f"/sessions/{session_id}")
        await told(stream, hint(session_id, None, "session.deleted"))
        assert await own.rest() == ["session.deleted"]


async def test_deletion_by_retention_ends_streams_and_is_hinted_at(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql, dsn: str
) -> None:
    def delete() -> Deleted:
        with connected(dsn) as connection:
            retention = Retention(connection, "legal-hold", payloads=notifications.gone_payloads)
            return retention.apply(Rule(older_than="90d"), [], lambda _: None)

    async with api.stream(alice, "/events") as stream, api.stream(alice, f"/sessions/{session_id}/events") as own:
        age(sql, session_id, 100)
        assert await asyncio.to_thread(delete) == Deleted(1, 0, 0)
        await told(stream, hint(session_id, None, "session.deleted"))
        assert await own.rest() == ["session.deleted"]


async def test_sweep_hints_at_unannounced_change_once(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = """
        insert into messages (session_id, message, author_user_id, author_app_id)
        values (%s, '{"role": "user"}', 'dba', 'psql')
    """
    monkeypatch.setattr(session_hints, "_SWEEP", 0.1)
    async with api.stream(alice, "/events") as stream:
        for number in (1, 2):
            sql(insert, session_id)
            await told(stream, hint(session_id, number, "message.created"))


async def test_more_than_fits_into_a_notification_makes_others_look(
    api: Live, second: Live, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "_MAX_PAYLOAD", 20)
    there = await second.as_user("alice")
    async with second.stream(there, "/events") as stream, second.stream(there, f"/sessions/{session_id}/events") as own:
        await add(alice, session_id, "one")
        assert await own.ids(1) == [1]
        await told(stream, hint(session_id, 1, "message.created"))


async def test_slow_follower_receives_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "_MOST_HINTS", 3)
    follower = subscriber.Subscriber("alice", "app", 0, None)
    sent: list[list[tuple[str, bytes]]] = []

    async def write(frames: list[Any]) -> None:
        sent.append([(one.type, one.data) for one in frames])
        if len(sent) == 2:
            follower.end()
        for name in "abab" if len(sent) == 1 else "":
            follower.hint(name, session_hints.frame("hint", session_id=name))

    for name in "abcabd":
        follower.hint(name, session_hints.frame("hint", session_id=name))
    async with asyncio.timeout(5):
        await follower.follow(_nothing, write)
    assert sent == [
        [("resync", b"{}")],
        [("hint", b'{"session_id":"a"}'), ("hint", b'{"session_id":"b"}')],
    ]


async def _nothing(_: subscriber.Subscriber) -> None:
    """Nothing to read."""


@pytest.mark.parametrize("path", ["/events", "/sessions/{session_id}/events"])
async def test_ticket_opens_one_stream(api: Live, alice: httpx.AsyncClient, session_id: str, path: str) -> None:
    path, browser = path.format(session_id=session_id), api.client()
    response = await alice.post(f"{path}/ticket")
    assert response.status_code == 201
    ticket = response.json()["ticket"]
    assert response.json().keys() == {"ticket", "expires_at"}
    async with api.stream(browser, f"{path}?ticket={ticket}") as stream:
        await add(alice, session_id, "one")
        if path == "/events":
            await told(stream, hint(session_id, 1, "message.created"))
        else:
            assert await stream.ids(1) == [1]
    problem = assert_problem(await browser.get(f"{path}?ticket={ticket}"), 401)
    assert "ticket" in problem["detail"]


async def test_tickets_of_others_and_old_ones_open_nothing(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    browser, path = api.client(), f"/sessions/{session_id}/events"
    hints_ticket = (await bob.post("/events/ticket")).json()["ticket"]
    assert_problem(await browser.get(f"{path}?ticket={hints_ticket}"), 401)
    ticket = (await alice.post(f"{path}/ticket")).json()["ticket"]
    for elsewhere in ("/events", "/sessions/other/events"):
        assert_problem(await browser.get(f"{elsewhere}?ticket={ticket}"), 401)
    assert_problem(await browser.get(f"{path}?ticket=%ff"), 400)
    for wrong in ("", "x", "%00", f"{ticket}x", ticket.upper(), "tkt_" + "é" * 43):
        assert_problem(await browser.get(f"{path}?ticket={wrong}"), 401)
    assert_problem(await browser.get(f"{path}?ticket={'x' * 3000}"), 401)
    sql("update stream_tickets set expires_at = now() - interval '1 second'")
    assert_problem(await browser.get(f"{path}?ticket={ticket}"), 401)
    await alice.post(f"{path}/ticket")
    await api.app.state.queries.tickets.sweep(limit=1000)
    assert sql("select count(*) from stream_tickets") == [(1,)], "old ones are gone"


@pytest.mark.slow
async def test_ticket_is_worth_no_more_than_what_it_was_made_with(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    browser, path = api.client(), f"/sessions/{session_id}/events"
    await share(alice, session_id, "bob")
    removed = (await bob.post(f"{path}/ticket")).json()["ticket"]
    await alice.delete(f"/sessions/{session_id}/participants/bob")
    assert_problem(await browser.get(f"{path}?ticket={removed}"), 404)
    old = (await (await api.as_user("alice", "other")).post(f"{path}/ticket")).json()["ticket"]
    sql("update applications set app_name = 'new' where app_id = 'other'")
    assert_problem(await browser.get(f"{path}?ticket={old}"), 401)
    expiring = {"Authorization": f"Bearer {token(sub='alice', exp=time.time() + 1.5)}"}
    ticket = (await alice.post(f"{path}/ticket", headers=expiring)).json()["ticket"]
    async with api.stream(browser, f"{path}?ticket={ticket}") as stream:
        assert await stream.rest() == ["token.expired"]


async def test_ticket_is_used_by_one_of_many(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}/events"
    ticket = (await alice.post(f"{path}/ticket")).json()["ticket"]
    requests = [api.client().build_request("GET", f"{path}?ticket={ticket}") for _ in range(6)]
    responses = await asyncio.gather(*(api.client().send(request, stream=True) for request in requests))
    assert sorted(response.status_code for response in responses) == [200] + [401] * 5
    for response in responses:
        await response.aclose()


async def test_streams_are_forgotten(api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    async with api.stream(alice, "/events"), api.stream(alice, f"/sessions/{session_id}/events"):
        assert sql("select session_id from streams order by 1") == [(session_id,), (None,)]
    await until(lambda: sql("select count(*) from streams") == [(0,)])


async def test_session_that_cannot_be_read_delays_no_hint(
    api: Live, alice: httpx.AsyncClient, config_id: str, session_id: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver cannot represent the year in which the one session has an event; no sweep finds what is missed."""
    monkeypatch.setattr(hub, "_SWEEP", 3600.0)
    other_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    async with api.stream(alice, f"/sessions/{session_id}/events"), api.stream(alice, "/events") as stream:
        sql(
            "insert into session_events (session_id, type, actor_user_id, created_at)"
            " values (%s, 'session.updated', 'alice', '20000-01-01')",
            session_id,
        )
        api.app.state.hub.announce(session_id)
        await add(alice, other_id, "one")
        while (event := await stream.next(*TOLD)) is None or event.data["session_id"] != other_id:
            assert event is not None
        assert event.data["type"] in ("session.created", "message.created")
