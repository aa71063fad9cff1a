"""Permissions over HTTP: overrides of what a role may do, and what no override can be."""

from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]
WRONG = [
    {"unknown": True},
    {"send": True, "admin": True},
    {"Send": True},
    {"send": None},
    {"send": 1},
    {"send": "true"},
    {"send": [True]},
    {"send": {}},
    {"invite": [[False]]},
    {"export": {"send": True}},
    [],
    ["send"],
    "send",
    True,
]


async def put(client: httpx.AsyncClient, session_id: str, user_id: str, role: str, **more: Any) -> httpx.Response:
    body = {"user_id": user_id, "role": role, **more}
    return await client.post(f"/sessions/{session_id}/participants", json=body)


async def patch(client: httpx.AsyncClient, session_id: str, user_id: str, **body: Any) -> httpx.Response:
    return await client.patch(f"/sessions/{session_id}/participants/{user_id}", json=body)


async def append(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}]})


@pytest.mark.parametrize(
    ("role", "permissions", "status"),
    [
        ("viewer", {}, 403),
        ("viewer", {"send": False}, 403),
        ("viewer", {"send": True}, 201),
        ("viewer", {"cancel": True, "invite": True}, 403),
        ("editor", {}, 201),
        ("editor", {"send": True}, 201),
        ("editor", {"send": False}, 403),
        ("editor", {"cancel": False, "invite": False}, 201),
        ("owner", {"send": False}, 403),
    ],
    ids=str,
)
async def test_send_covers_appending(
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    session_id: str,
    role: str,
    permissions: dict[str, bool],
    status: int,
) -> None:
    assert (await put(alice, session_id, "bob", role, permissions=permissions)).status_code == 201
    answer = await append(bob, session_id)
    assert answer.status_code == status, answer.text
    assert (await bob.get(f"/sessions/{session_id}/transcript")).json()["last_seq"] == (2 if status == 201 else 1)
    if status == 403:
        detail = "Only owners, editors and whoever has the permission send may append to a transcript"
        assert_problem(answer, 403, detail)


async def test_changed_override_takes_effect_at_once(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "editor")
    for permissions, status in (({"send": False}, 403), ({"send": True}, 201), ({}, 201)):
        assert (await patch(alice, session_id, "bob", permissions=permissions)).status_code == 200
        assert (await append(bob, session_id)).status_code == status


async def test_send_covers_nothing_else(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, "bob", "viewer", permissions={"send": True})
    assert_problem(await bob.patch(f"/sessions/{session_id}", json={"title": "x"}), 403)
    assert_problem(await put(bob, session_id, "carol", "viewer"), 403)
    assert_problem(await bob.delete(f"/sessions/{session_id}"), 403)
    await put(alice, session_id, "bob", "editor", permissions={"send": False})
    assert (await bob.patch(f"/sessions/{session_id}", json={"title": "x"})).status_code == 200


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [("viewer", {"viewer"}, {"editor", "owner"}), ("editor", {"viewer", "editor"}, {"owner"})],
)
async def test_invite_covers_adding_people_up_to_the_own_role(
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    session_id: str,
    role: str,
    allowed: set[str],
    refused: set[str],
) -> None:
    await put(alice, session_id, "bob", role, permissions={"invite": True})
    for wanted in sorted(allowed):
        assert (await put(bob, session_id, f"new-{wanted}", wanted)).json()["role"] == wanted
    for wanted in sorted(refused):
        assert_problem(await put(bob, session_id, f"new-{wanted}", wanted), 403)
    rows = (await alice.get(f"/sessions/{session_id}/participants")).json()["items"]
    assert {row["user_id"] for row in rows} == {"alice", "bob", *(f"new-{wanted}" for wanted in allowed)}


async def test_invite_covers_nothing_else(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, "bob", "editor", permissions={"invite": True})
    await put(alice, session_id, "carol", "viewer")
    for refused in (
        await put(bob, session_id, "carol", "editor"),
        await put(bob, session_id, "carol", "viewer"),
        await put(bob, session_id, "bob", "owner"),
        await put(bob, session_id, "dave", "viewer", permissions={"send": True}),
        await put(bob, session_id, "dave", "viewer", permissions={}),
        await patch(bob, session_id, "carol", role="editor"),
        await patch(bob, session_id, "bob", permissions={"invite": True, "send": True}),
        await bob.delete(f"/sessions/{session_id}/participants/carol"),
        await bob.post(f"/sessions/{session_id}/transfer", json={"user_id": "bob"}),
    ):
        assert_problem(refused, 403)
    rows = (await alice.get(f"/sessions/{session_id}/participants")).json()["items"]
    assert [(row["user_id"], row["role"]) for row in rows] == [
        ("alice", "owner"),
        ("bob", "editor"),
        ("carol", "viewer"),
    ]


async def test_owner_without_invite_changes_roles_but_adds_nobody(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "owner", permissions={"invite": False})
    await put(alice, session_id, "carol", "viewer")
    for role in ("viewer", "editor", "owner"):
        assert_problem(await put(bob, session_id, "dave", role), 403)
    assert_problem(await bob.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"}), 403)
    assert (await patch(bob, session_id, "carol", role="editor")).status_code == 200
    assert (await put(bob, session_id, "carol", "owner")).status_code == 200
    assert (await patch(bob, session_id, "carol", permissions={"send": False})).status_code == 200
    assert (await bob.delete(f"/sessions/{session_id}/participants/carol")).status_code == 204
    assert_problem(await put(bob, session_id, "carol", "viewer"), 403)


async def test_owners_may_give_every_permission(alice: httpx.AsyncClient, session_id: str) -> None:
    for value in (True, False):
        permissions = dict.fromkeys(("send", "cancel", "invite", "export"), value)
        assert (await put(alice, session_id, "bob", "viewer", permissions=permissions)).json()[
            "permissions"
        ] == permissions


async def test_everybody_may_export_until_an_owner_says_otherwise(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await append(alice, session_id)
    detail = "You may not export this session or copy it: ask an owner for the permission export"
    everything = (f"/sessions/{session_id}/export", f"/sessions/{session_id}/transcript?view=plain")
    for role in ("viewer", "editor"):
        await put(alice, session_id, "bob", role, permissions={})
        for path in everything:
            assert (await bob.get(path)).status_code == 200, path
        assert_problem(await bob.post(f"/sessions/{session_id}/fork", json={}), 404)  # the config is of alice
        changed = await patch(alice, session_id, "bob", permissions={"export": False})
        assert changed.json()["permissions"] == {"export": False}
        for path in (*everything, f"{everything[1]}&order=desc"):
            assert_problem(await bob.get(path), 403, detail)
        mine = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
        assert_problem(await bob.post(f"/sessions/{session_id}/fork", json={"config_id": mine}), 403, detail)
        for page in ("transcript", "transcript?view=plain&limit=5", "transcript?view=plain&last=5"):
            assert (await bob.get(f"/sessions/{session_id}/{page}")).status_code == 200, page
        await patch(alice, session_id, "bob", permissions={"export": True})
        assert (await bob.post(f"/sessions/{session_id}/fork", json={"config_id": mine})).status_code == 201


@pytest.mark.parametrize("permissions", WRONG, ids=str)
async def test_wrong_permissions_are_refused(alice: httpx.AsyncClient, session_id: str, permissions: Any) -> None:
    assert_problem(await put(alice, session_id, "bob", "viewer", permissions=permissions), 422)
    assert_problem(await patch(alice, session_id, "alice", permissions=permissions), 422)
    rows = (await alice.get(f"/sessions/{session_id}/participants")).json()["items"]
    assert [(row["user_id"], row["permissions"]) for row in rows] == [("alice", {})]


@pytest.mark.parametrize("permissions", [*WRONG, None], ids=str)
async def test_database_refuses_wrong_permissions_too(session_id: str, sql: Sql, permissions: Any) -> None:
    value = Jsonb(permissions)
    with pytest.raises(psycopg.errors.CheckViolation):
        sql("update session_participants set permissions = %s", value)
    insert = (
        "insert into session_participants (session_id, user_id, role, permissions) values (%s, 'bob', 'viewer', %s)"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        sql(insert, session_id, value)
    assert sql("select user_id, permissions from session_participants") == [("alice", {})]


async def test_overrides_end_with_the_participation(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "viewer", permissions={"send": True})
    await alice.delete(f"/sessions/{session_id}/participants/bob")
    assert (await put(alice, session_id, "bob", "viewer")).json()["permissions"] == {}
    assert_problem(await append(bob, session_id), 403)
    assert (await append(await api.as_user("alice", "other"), session_id)).status_code == 201
