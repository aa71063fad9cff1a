"""Invitations over HTTP: made, accepted, counted, at their end, listed."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]
FIELDS = {
    "invitation_id",
    "seq",
    "role",
    "created_by_user_id",
    "created_at",
    "expires_at",
    "max_uses",
    "uses",
    "revoked_at",
    "token",
}
CLAIM = {"session_id", "user_id", "role", "permissions", "joined_at", "last_active_at", "is_new"}
USED_UP = "The invitation is used up: ask for a new one"


async def invite(client: httpx.AsyncClient, session_id: str, role: str = "viewer", **more: Any) -> dict[str, Any]:
    response = await client.post(f"/sessions/{session_id}/invitations", json={"role": role, **more})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def accept(client: httpx.AsyncClient, invitation: dict[str, Any]) -> httpx.Response:
    return await client.post("/invitations/accept", json={"token": invitation["token"]})


async def roles(client: httpx.AsyncClient, session_id: str) -> dict[str, str]:
    rows = (await client.get(f"/sessions/{session_id}/participants")).json()["items"]
    return {row["user_id"]: row["role"] for row in rows}


async def test_invitation_has_its_defaults(alice: httpx.AsyncClient, session_id: str) -> None:
    made = await invite(alice, session_id)
    assert made.keys() == FIELDS
    expected = {"role": "viewer", "created_by_user_id": "alice", "max_uses": 1, "uses": 0, "revoked_at": None, "seq": 1}
    assert made.items() >= expected.items()
    created, expires = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=7)
    short = await invite(alice, session_id, "owner", expires_in=60, max_uses=10_000)
    created, expires = (datetime.fromisoformat(short[name]) for name in ("created_at", "expires_at"))
    assert (expires - created, short["max_uses"], short["role"]) == (timedelta(minutes=1), 10_000, "owner")


async def test_token_is_shown_once_and_kept_nowhere(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    made = await invite(alice, session_id)
    assert made["token"].startswith(f"inv_{session_id}_")
    secret = made["token"].removeprefix(f"inv_{session_id}_")
    assert len(secret) == 43
    listed = await alice.get(f"/sessions/{session_id}/invitations")
    assert listed.json() == {"items": [{**made, "token": None}], "next": None}
    for table in ("session_invitations", "session_events", "session_participants", "sessions"):
        assert sql(f"select count(*) from {table} as t where strpos(t::text, %s) > 0", secret) == [(0,)]
    assert sql("select token_hash ~ '^[0-9a-f]{64}$' from session_invitations") == [(True,)]
    assert (await invite(alice, session_id))["token"] != made["token"]


@pytest.mark.parametrize("role", ["viewer", "editor", "owner"])
async def test_accepting_lets_one_in_with_the_role(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, role: str
) -> None:
    made = await invite(alice, session_id, role)
    answer = await accept(bob, made)
    assert answer.status_code == 201
    assert answer.json().keys() == CLAIM
    expected = {"session_id": session_id, "user_id": "bob", "role": role, "permissions": {}, "is_new": True}
    assert answer.json().items() >= expected.items()
    assert (await bob.get(f"/sessions/{session_id}")).json()["role"] == role
    assert await roles(alice, session_id) == {"alice": "owner", "bob": role}


async def test_accepting_again_changes_nothing(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    made = await invite(alice, session_id, max_uses=2)
    first = await accept(bob, made)
    await alice.patch(f"/sessions/{session_id}/participants/bob", json={"role": "editor"})
    again = await accept(bob, made)
    assert again.status_code == 200
    assert again.json() == {**first.json(), "role": "editor", "is_new": False}
    assert sql("select uses from session_invitations") == [(1,)]


async def test_owner_who_accepts_stays_owner(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    answer = await accept(alice, await invite(alice, session_id, "viewer"))
    assert answer.status_code == 200
    assert (answer.json()["role"], answer.json()["is_new"]) == ("owner", False)
    assert await roles(alice, session_id) == {"alice": "owner"}
    assert sql("select uses from session_invitations") == [(0,)]


async def test_uses_count_people_up_to_the_limit(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    made = await invite(alice, session_id, max_uses=2)
    for name in ("one", "two"):
        client = await api.as_user(name)
        assert (await accept(client, made)).status_code == 201
        assert (await accept(client, made)).status_code == 200
    third = await api.as_user("three")
    assert_problem(await accept(third, made), 410, USED_UP)
    assert_problem(await third.get(f"/sessions/{session_id}"), 404, "Session not found")
    listed = (await alice.get(f"/sessions/{session_id}/invitations")).json()["items"]
    assert [row["uses"] for row in listed] == [2]


async def test_many_people_at_once_get_no_more_than_the_uses(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    made = await invite(alice, session_id, max_uses=5)
    clients = [await api.as_user(f"user-{number}") for number in range(20)]
    answers = await asyncio.gather(*(accept(client, made) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [410] * 15
    for answer in answers:
        if answer.status_code == 410:
            assert_problem(answer, 410, USED_UP)
    assert sql("select uses from session_invitations") == [(5,)]
    assert len(await roles(alice, session_id)) == 6


@pytest.mark.parametrize("max_uses", [1, 5])
async def test_one_person_accepting_many_times_at_once_is_one_use(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql, max_uses: int
) -> None:
    """A user who accepts twice joins once, and never reads that the invitation is used up."""
    for number in range(1, 16):
        made = await invite(alice, session_id, max_uses=max_uses)
        answers = await asyncio.gather(*(accept(bob, made) for _ in range(5)))
        assert sql("select sum(uses) from session_invitations") == [(number,)]
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
        assert (await bob.delete(f"/sessions/{session_id}/participants/bob")).status_code == 204


async def test_expired_one_admits_nobody(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    made = await invite(alice, session_id)
    sql("update session_invitations set expires_at = now() - interval '1 second'")
    assert_problem(await accept(bob, made), 410, "The invitation has expired: ask for a new one")
    assert await roles(alice, session_id) == {"alice": "owner"}


async def test_revoked_one_admits_nobody(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    made = await invite(alice, session_id, max_uses=5)
    assert (await accept(bob, made)).status_code == 201
    path = f"/sessions/{session_id}/invitations/{made['invitation_id']}"
    revoked = await alice.delete(path)
    assert (revoked.status_code, revoked.content) == (204, b"")
    [body] = (await alice.get(f"/sessions/{session_id}/invitations")).json()["items"]
    assert (body["invitation_id"], body["uses"], body["token"]) == (made["invitation_id"], 1, None)
    assert body["revoked_at"] > made["created_at"]
    assert_problem(await accept(await api.as_user("carol"), made), 410, "The invitation was revoked")
    assert_problem(await alice.delete(path), 404, "Invitation not found, or revoked already")
    assert await roles(alice, session_id) == {"alice": "owner", "bob": "viewer"}


async def test_list_comes_in_pages_newest_first(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}/invitations"
    assert (await alice.get(path)).json() == {"items": [], "next": None}
    made = [(await invite(alice, session_id))["invitation_id"] for _ in range(5)]
    collected: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in made:
        page = (await alice.get(path, params=query)).json()
        collected += [row["invitation_id"] for row in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert collected == made[::-1]
    for wrong in ({"limit": 0}, {"limit": 201}, {"cursor": 0}, {"cursor": "x"}, {"after": 2**63}):
        assert_problem(await alice.get(path, params=wrong), 422)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "admin"},
        {"role": None},
        {"role": ["viewer"]},
        *({"role": "viewer", "expires_in": value} for value in (0, -1, 31_536_001, 10**30, 1.5, "60", None, True)),
        *({"role": "viewer", "max_uses": value} for value in (0, -1, 10_001, 10**30, 1.5, "1", None, True)),
    ],
    ids=str,
)
async def test_bad_input_is_refused(alice: httpx.AsyncClient, session_id: str, body: Any) -> None:
    assert_problem(await alice.post(f"/sessions/{session_id}/invitations", json=body), 422)
    assert (await alice.get(f"/sessions/{session_id}/invitations")).json()["items"] == []
