"""Streams end with the right to read, and a user has a limited number of them."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from amplifier.live import hub
from tests.api.test_streams import Sql, add, share
from tests.conftest import assert_problem, settings_for, token
from tests.support.live import Live, live, until


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn, max_streams_per_user=3)) as api:
        yield api


async def test_removed_participant_is_cut_off_and_stays_out(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob")
    path = f"/sessions/{session_id}/events"
    async with api.stream(bob, path) as theirs, api.stream(alice, path) as own:
        await add(alice, session_id, "for both")
        assert await theirs.ids(1) == await own.ids(1) == [2]
        await alice.delete(f"/sessions/{session_id}/participants/bob")
        await add(alice, session_id, "for alice")
        assert await theirs.next() == (None, "access.revoked", {"session_id": session_id})
        assert await theirs.next() is None
        assert await own.ids(2) == [3, 4]
    assert_problem(await bob.get(f"{path}?after=2"), 404)


async def test_sweep_ends_stream_of_participant_removed_by_hand(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await share(alice, session_id, "bob")
    async with api.stream(bob, f"/sessions/{session_id}/events") as stream:
        sql("delete from session_participants where user_id = 'bob'")
        assert await stream.rest() == ["access.revoked"]


@pytest.mark.parametrize("by", ["session", "config", "hand"])
async def test_deleted_session_ends_its_streams(
    api: Live, alice: httpx.AsyncClient, config_id: str, session_id: str, sql: Sql, by: str
) -> None:
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        if by == "hand":
            sql("delete from sessions")
        else:
            path = f"/sessions/{session_id}" if by == "session" else f"/configs/{config_id}"
            assert (await alice.delete(path)).status_code == 200
        assert await stream.next() == (None, "session.deleted", {"session_id": session_id})
        assert await stream.next() is None


@pytest.mark.slow
async def test_stream_ends_with_its_token(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    expiring = {"Authorization": f"Bearer {token(sub='alice', exp=time.time() + 1.5)}"}
    async with api.stream(alice, f"/sessions/{session_id}/events", headers=expiring) as stream:
        await add(alice, session_id, "in time")
        assert await stream.rest() == ["message.created", "token.expired"]


async def test_changed_key_ends_the_streams_that_it_opened(
    api: Live, alice: httpx.AsyncClient, session_id: str
) -> None:
    other = await api.as_user("alice", "other")
    path = f"/sessions/{session_id}/events"
    async with api.stream(alice, path) as stream, api.stream(other, path) as others:
        assert (await other.post("/applications/other/regenerate-key")).status_code == 200
        assert await others.rest() == []
        assert others.retries == 2, "it says when to come back, with the new key"
        await add(alice, session_id, "one")
        assert await stream.ids(1) == [1]
    assert_problem(await other.get(path), 401, "Invalid API key")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["update applications set is_active = false", "delete from applications"])
async def test_change_that_nobody_told_of_ends_streams_as_well(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(hub, "_LONG_SWEEP", 1)
    sql("alter table applications disable trigger applications_announce")
    async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
        await until(lambda: "app" in api.app.state.hub._credentials._versions)
        sql(change)
        assert await stream.rest() == []
        assert stream.retries == 2


async def test_too_many_streams_are_refused(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await share(alice, session_id, "bob")
    path = f"/sessions/{session_id}/events"
    async with api.stream(alice, path), api.stream(alice, "/events"), api.socket(alice, f"/sessions/{session_id}/ws"):
        for refused in (await alice.get(path), await alice.get("/events")):
            problem = assert_problem(refused, 429)
            assert "MAX_STREAMS_PER_USER" in problem["detail"]
            assert refused.headers["retry-after"] == "5"
        async with api.stream(bob, path) as stream:
            assert stream.retries == 0, "others may"
    await until(lambda: sql("select count(*) from streams") == [(0,)])
    sql("insert into streams (stream_id, process_id, user_id) select n, 'x', 'alice' from generate_series(1, 3) as n")
    assert_problem(await alice.get(path), 429)  # of other processes
    assert_problem(await alice.get("/events"), 429)
    sql("update streams set seen_at = now() - interval '16 seconds'")
    async with api.stream(alice, path), api.stream(alice, "/events"):
        pass  # that process is dead


async def test_many_at_once_are_admitted_up_to_the_limit(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    requests = [alice.send(alice.build_request("GET", f"/sessions/{session_id}/events"), stream=True) for _ in range(9)]
    responses = await asyncio.gather(*requests)
    assert sorted(response.status_code for response in responses) == [200] * 3 + [429] * 6
    for response in responses:
        await response.aclose()
