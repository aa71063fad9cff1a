"""`last_active_at` of participants: what moves it, what does not, and that it waits for nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.maintenance.activity import Activity
from tests.conftest import Api, assert_problem
from tests.support.polling import WAITING

Sql = Callable[..., list[Any]]
LONG_AGO = "2020-01-01T00:00:00Z"
LIMIT = 20.0  # seconds


@pytest.fixture
def shared(session_id: str, sql: Sql) -> str:
    """A session of alice's with bob as editor and eve as viewer, in which nobody was active for long."""
    sql(
        "insert into session_participants (session_id, user_id, role)"
        " values (%s, 'bob', 'editor'), (%s, 'eve', 'viewer')",
        session_id,
        session_id,
    )
    age(sql)
    return session_id


def age(sql: Sql) -> None:
    """Everybody was active for the last time long ago."""
    sql("update session_participants set last_active_at = %s", LONG_AGO)


def moved(sql: Sql) -> set[str]:
    """Returns the users active since then."""
    return {row[0] for row in sql("select user_id from session_participants where last_active_at > %s", LONG_AGO)}


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + LIMIT
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def flushed(api: Api, sql: Sql, expected: set[str]) -> None:
    """Returns when these, and nobody else, have moved; the service's own task may be writing them."""

    async def written() -> bool:
        await api.app.state.activity.flush()
        return moved(sql) >= expected

    await wait_until(written)
    assert moved(sql) == expected


async def act(client: httpx.AsyncClient, session_id: str, what: str) -> httpx.Response:
    path = f"/sessions/{session_id}"
    if what == "append":
        return await client.post(f"{path}/transcript", json={"messages": [{"role": "user"}]})
    if what == "change":
        return await client.patch(path, json={"title": "x"})
    return await client.get(path if what == "session" else f"{path}/{what}")


@pytest.mark.parametrize("what", ["transcript", "transcript?view=plain", "participants", "session", "append", "change"])
async def test_activity_moves_the_participant_alone(
    api: Api, bob: httpx.AsyncClient, shared: str, sql: Sql, what: str
) -> None:
    assert (await act(bob, shared, what)).is_success
    await flushed(api, sql, {"bob"})


async def test_activity_moves_that_session_alone(
    api: Api, alice: httpx.AsyncClient, shared: str, config_id: str, sql: Sql
) -> None:
    other = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    age(sql)
    assert (await act(alice, other, "transcript")).is_success
    await flushed(api, sql, {"alice"})
    assert sql("select session_id from session_participants where last_active_at > %s", LONG_AGO) == [(other,)]
    rows = (await alice.get("/users/me/sessions")).json()["items"]
    assert [row["session_id"] for row in rows] == [other, shared]


async def test_second_activity_within_the_minute_writes_nothing(
    api: Api, bob: httpx.AsyncClient, shared: str, sql: Sql
) -> None:
    assert (await act(bob, shared, "append")).is_success
    await flushed(api, sql, {"bob"})
    age(sql)
    for what in ("append", "transcript", "participants"):
        assert (await act(bob, shared, what)).is_success
    await api.app.state.activity.flush()
    assert moved(sql) == set()


async def test_refused_request_does_not_count(api: Api, alice: httpx.AsyncClient, shared: str, sql: Sql) -> None:
    eve, stranger = await api.as_user("eve"), await api.as_user("stranger")
    assert_problem(await act(eve, shared, "append"), 403)
    assert_problem(await act(eve, shared, "invitations"), 403)
    assert_problem(await act(stranger, shared, "transcript"), 404)
    assert_problem(await alice.delete(f"/sessions/{shared}/participants/nobody"), 404)
    assert_problem(await alice.delete(f"/sessions/{shared}/participants/alice"), 409)
    assert_problem(await alice.post(f"/sessions/{shared}/participants", json={}), 422)
    await api.app.state.activity.flush()
    assert moved(sql) == set()
    # nothing was noted that would come later either: the next activity is the first one
    assert (await act(eve, shared, "transcript")).is_success
    await flushed(api, sql, {"eve"})


async def test_locked_row_is_passed_over_and_written_later(
    api: Api, dsn: str, alice: httpx.AsyncClient, bob: httpx.AsyncClient, shared: str, sql: Sql
) -> None:
    with psycopg.connect(dsn) as connection:
        lock = "select from session_participants where session_id = %s and user_id = 'bob' for update"
        connection.execute(lock, (shared,))
        assert (await act(bob, shared, "transcript")).is_success
        assert (await act(alice, shared, "transcript")).is_success
        await flushed(api, sql, {"alice"})  # waiting for bob's row would fail: the lock is held beyond this
        connection.rollback()

    async def written() -> bool:
        assert (await act(bob, shared, "transcript")).is_success
        await api.app.state.activity.flush()
        return "bob" in moved(sql)

    await wait_until(written)


async def test_participant_removed_since_is_skipped(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, shared: str, sql: Sql
) -> None:
    assert (await act(bob, shared, "transcript")).is_success
    assert (await alice.delete(f"/sessions/{shared}/participants/bob")).status_code == 204
    await flushed(api, sql, {"alice"})
    assert sql("select user_id from session_participants order by user_id") == [("alice",), ("eve",)]


async def test_flush_that_is_cut_off_is_made_up_for(api: Api, sql: Sql) -> None:
    """As when the service stops in the middle of one: the last call writes it."""
    activity = Activity(api.app.state.queries)
    sql("insert into users (user_id) values ('zoe')")
    activity.note_user("zoe", "app")
    sql("begin; select from users for update")
    cut_off = asyncio.create_task(activity.flush())

    async def waits() -> bool:
        sql("select pg_stat_clear_snapshot()")  # that of the transaction
        return bool(sql(WAITING))

    await wait_until(waits)
    cut_off.cancel()
    assert isinstance((await asyncio.gather(cut_off, return_exceptions=True))[0], asyncio.CancelledError)
    sql("rollback")
    assert sql("select last_seen_app_id from users where user_id = 'zoe'") == [(None,)]
    await activity.flush()
    assert sql("select last_seen_app_id from users where user_id = 'zoe'") == [("app",)]


async def test_user_that_database_refuses_is_dropped_and_others_are_written(api: Api, sql: Sql) -> None:
    """A name with a NUL, and one that is no UTF-8, among some that are."""
    activity = api.app.state.activity
    names = [f"user-{number}" for number in range(20)]
    for name in [*names[:7], "nul\0", *names[7:], "\ud800"]:
        activity.note_user(name, "app")
        activity.note_participant(name, name)
    await activity.flush()
    assert {name for (name,) in sql("select user_id from users where user_id like 'user-%%'")} == set(names)
