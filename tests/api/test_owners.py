"""Owners over HTTP: a session always has one, under concurrent changes too, and can be handed over."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]
LAST_OWNER = "A session needs an owner: make somebody else one first, or delete the session"
ROUNDS = 15


async def put(client: httpx.AsyncClient, session_id: str, user_id: str, role: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/participants", json={"user_id": user_id, "role": role})


async def demote(client: httpx.AsyncClient, session_id: str, user_id: str) -> httpx.Response:
    return await client.patch(f"/sessions/{session_id}/participants/{user_id}", json={"role": "viewer"})


async def remove(client: httpx.AsyncClient, session_id: str, user_id: str) -> httpx.Response:
    return await client.delete(f"/sessions/{session_id}/participants/{user_id}")


async def transfer(client: httpx.AsyncClient, session_id: str, user_id: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transfer", json={"user_id": user_id})


def owner_of(sql: Sql, session_id: str) -> str:
    """The session's owner_user_id, which must be one of its owners."""
    ((user_id, is_owner),) = sql(
        "select owner_user_id, exists (select from session_participants as p where p.session_id = s.session_id"
        " and p.user_id = s.owner_user_id and p.role = 'owner') from sessions as s where session_id = %s",
        session_id,
    )
    assert is_owner
    return str(user_id)


def two_owners(sql: Sql, session_id: str) -> None:
    """Alice and bob are the session's owners, and nobody else takes part."""
    sql("delete from session_participants where session_id = %s", session_id)
    sql(
        "insert into session_participants (session_id, user_id, role)"
        " select %s, name, 'owner' from unnest(array['alice', 'bob']) as name",
        session_id,
    )
    sql("update sessions set owner_user_id = 'alice' where session_id = %s", session_id)


async def test_last_owner_stays(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, "bob", "editor")
    for refused in (
        await demote(alice, session_id, "alice"),
        await put(alice, session_id, "alice", "editor"),
        await remove(alice, session_id, "alice"),
    ):
        assert_problem(refused, 409, LAST_OWNER)
    assert_problem(await remove(bob, session_id, "alice"), 403)
    read = (await alice.get(f"/sessions/{session_id}")).json()
    assert (read["role"], read["owner_user_id"], read["last_seq"]) == ("owner", "alice", 1)
    permissions = {"permissions": {"cancel": True}}  # no reason to refuse: the role stays
    kept = await alice.patch(f"/sessions/{session_id}/participants/alice", json=permissions)
    assert (kept.status_code, kept.json()["role"]) == (200, "owner")


@pytest.mark.parametrize("act", [demote, remove])
async def test_with_another_owner_one_may_go(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql, act: Any
) -> None:
    await put(alice, session_id, "bob", "owner")
    assert (await act(alice, session_id, "alice")).is_success
    assert owner_of(sql, session_id) == "bob"
    assert_problem(await act(bob, session_id, "bob"), 409, LAST_OWNER)


@pytest.mark.parametrize(
    ("first", "second", "loser"),
    [(demote, demote, {403}), (remove, remove, {404}), (demote, remove, {403, 404})],
    ids=["demote", "remove", "demote and remove"],
)
async def test_two_owners_against_each_other_at_once(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql, first: Any, second: Any, loser: Any
) -> None:
    """Exactly one succeeds; the other one gets 403, or 404 where the caller takes no part any more."""
    for _ in range(ROUNDS):
        two_owners(sql, session_id)
        answers = await asyncio.gather(first(alice, session_id, "bob"), second(bob, session_id, "alice"))
        won, lost = sorted(answers, key=lambda answer: answer.status_code)
        assert won.is_success
        assert lost.status_code in loser | {409}
        assert owner_of(sql, session_id) == ("alice" if won is answers[0] else "bob")


@pytest.mark.parametrize("act", [demote, remove])
async def test_two_owners_going_at_once(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql, act: Any
) -> None:
    for _ in range(ROUNDS):
        two_owners(sql, session_id)
        answers = await asyncio.gather(act(alice, session_id, "alice"), act(bob, session_id, "bob"))
        assert sorted(answer.status_code for answer in answers) in ([200, 409], [204, 409])
        assert owner_of(sql, session_id) == ("bob" if answers[0].is_success else "alice")


async def test_transfers_and_departures_at_once_leave_an_owner(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    for _ in range(ROUNDS):
        two_owners(sql, session_id)
        sql("insert into session_participants (session_id, user_id, role) values (%s, 'carol', 'viewer')", session_id)
        carol = await api.as_user("carol")
        answers = await asyncio.gather(
            transfer(alice, session_id, "carol"),
            remove(bob, session_id, "bob"),
            demote(bob, session_id, "alice"),
            remove(carol, session_id, "carol"),
        )
        assert {answer.status_code for answer in answers} <= {200, 204, 403, 404, 409}
        assert any(answer.is_success for answer in answers)
        assert owner_of(sql, session_id) in {"alice", "bob", "carol"}


@pytest.mark.parametrize("act", [demote, remove])
async def test_owner_user_id_goes_to_the_owner_who_joined_first(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql, act: Any
) -> None:
    for name, role in (("zed", "owner"), ("amy", "owner"), ("eve", "editor")):
        await put(alice, session_id, name, role)
    sql("update session_participants set joined_at = '2020-01-01' where user_id = 'eve'")
    assert (await act(alice, session_id, "amy")).is_success
    assert owner_of(sql, session_id) == "alice"  # its holder stayed
    await put(alice, session_id, "amy", "owner")
    zed = await api.as_user("zed")
    assert (await act(zed, session_id, "alice")).is_success
    assert owner_of(sql, session_id) == "zed"
    assert (await act(zed, session_id, "zed")).is_success
    assert owner_of(sql, session_id) == "amy"


async def test_transfer(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, "bob", "viewer")
    answer = await transfer(alice, session_id, "bob")
    assert answer.status_code == 200
    expected = {"role": "editor", "owner_user_id": "bob", "message": None, "last_seq": 2}
    assert answer.json().items() >= expected.items()
    assert (await alice.get(f"/sessions/{session_id}")).json() == {**answer.json(), "message": None}
    assert (await bob.get(f"/sessions/{session_id}")).json()["role"] == "owner"
    assert_problem(await transfer(alice, session_id, "alice"), 403)
    assert_problem(await demote(bob, session_id, "bob"), 409, LAST_OWNER)
    assert (await bob.delete(f"/sessions/{session_id}")).status_code == 200


async def test_transfer_to_oneself_changes_nothing(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    before = (await alice.get(f"/sessions/{session_id}")).json()
    entries = sql("select count(*) from audit_log")
    answer = await transfer(alice, session_id, "alice")
    assert (answer.status_code, answer.json()) == (200, before)
    assert (await alice.get(f"/sessions/{session_id}")).json() == before
    assert sql("select count(*) from session_events where type = 'ownership.transferred'") == [(0,)]
    assert sql("select count(*) from audit_log") == entries


async def test_second_owner_transfers_to_oneself(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "owner"})
    for expected in (1, 1):
        answer = await transfer(bob, session_id, "bob")
        assert (answer.json()["role"], answer.json()["owner_user_id"]) == ("owner", "bob")
        assert sql("select count(*) from session_events where type = 'ownership.transferred'") == [(expected,)]
    assert (await alice.get(f"/sessions/{session_id}")).json()["role"] == "owner"


async def test_owner_transfers_to_participant_only(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await put(alice, session_id, "bob", "editor")
    assert_problem(await transfer(alice, session_id, "nobody"), 404, "Participant not found: add the new owner first")
    for user_id in ("bob", "alice", "nobody"):
        assert_problem(await transfer(bob, session_id, user_id), 403)
    stranger = await api.as_user("stranger")
    assert_problem(await transfer(stranger, session_id, "stranger"), 404, "Session not found")
    for wrong in ({}, {"user_id": ""}, {"user_id": None}, {"user_id": "x" * 256}):
        assert_problem(await alice.post(f"/sessions/{session_id}/transfer", json=wrong), 422)
    assert owner_of(sql, session_id) == "alice"


async def test_owned_sessions_and_their_total(alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str) -> None:
    made = [(await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"] for _ in range(4)]
    for session_id, role in zip(made, ("viewer", "editor", "owner"), strict=False):
        await put(alice, session_id, "bob", role)
    for query in ({}, {"limit": 1}):  # a whole page gives the total away; otherwise it is counted
        shared = (await bob.get("/sessions", params=query)).json()
        owned = (await bob.get("/sessions", params={**query, "owned": "true"})).json()
        assert (shared["total"], owned["total"]) == (3, 1)
        assert [(row["session_id"], row["role"]) for row in owned["sessions"]] == [(made[2], "owner")]
    assert (await bob.get("/sessions", params={"owned": "true", "offset": 1})).json()["total"] == 1
    rows = (await bob.get("/sessions")).json()["sessions"]
    assert [(row["session_id"], row["role"]) for row in rows] == [
        (made[2], "owner"),
        (made[1], "editor"),
        (made[0], "viewer"),
    ]
    await transfer(alice, made[1], "bob")
    assert (await bob.get("/sessions", params={"owned": "true"})).json()["total"] == 2
    assert (await alice.get("/sessions", params={"owned": "true"})).json()["total"] == 3
    assert (await alice.get("/sessions")).json()["total"] == 4
