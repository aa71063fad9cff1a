"""Participants over HTTP: who takes part, who may change that, and when it takes effect."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import Api, assert_problem

FIELDS = {"user_id", "role", "permissions", "joined_at", "last_active_at", "last_read_seq"}


async def put(client: httpx.AsyncClient, session_id: str, user_id: str, role: str, **more: Any) -> httpx.Response:
    body = {"user_id": user_id, "role": role, **more}
    return await client.post(f"/sessions/{session_id}/participants", json=body)


async def participants(client: httpx.AsyncClient, session_id: str, **query: Any) -> Any:
    response = await client.get(f"/sessions/{session_id}/participants", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def roles(client: httpx.AsyncClient, session_id: str) -> dict[str, str]:
    return {row["user_id"]: row["role"] for row in (await participants(client, session_id))["items"]}


async def append(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}]})


async def test_new_session_has_its_maker_as_owner(alice: httpx.AsyncClient, session_id: str) -> None:
    page = await participants(alice, session_id)
    assert page.keys() == {"items", "next"}
    assert page["next"] is None
    (row,) = page["items"]
    assert row.keys() == FIELDS
    assert (row["user_id"], row["role"], row["permissions"]) == ("alice", "owner", {})
    assert row["joined_at"].endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(row["joined_at"])) < timedelta(minutes=5)


async def test_adding_answers_with_the_listed_row(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    added = await put(alice, session_id, "viewer", "viewer", permissions={"send": True, "cancel": False})
    assert added.status_code == 201
    assert added.json().keys() == FIELDS
    assert added.json()["permissions"] == {"send": True, "cancel": False}
    for client in (alice, await api.as_user("viewer")):
        rows = (await participants(client, session_id))["items"]
        assert [row["user_id"] for row in rows] == ["alice", "viewer"]
        assert all(row.keys() == FIELDS for row in rows)
        assert rows[1]["joined_at"] == added.json()["joined_at"]
        assert (rows[1]["role"], rows[1]["permissions"]) == ("viewer", {"send": True, "cancel": False})


async def test_list_comes_in_pages_by_user_id(alice: httpx.AsyncClient, session_id: str) -> None:
    names = ["Zoe", "a b/c", "alice", "bob", "carol", "dave", "émile"]
    for name in names:
        if name != "alice":
            assert (await put(alice, session_id, name, "viewer")).status_code == 201
    collected: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in names:
        page = await participants(alice, session_id, **query)
        collected += [row["user_id"] for row in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert collected == sorted(names)
    for wrong in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"cursor": "x" * 256}, {"after": "x"}):
        assert_problem(await alice.get(f"/sessions/{session_id}/participants", params=wrong), 422)


async def test_changed_role_takes_effect_at_once(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    assert (await put(alice, session_id, "bob", "viewer")).status_code == 201
    assert_problem(await append(bob, session_id), 403)
    changed = await put(alice, session_id, "bob", "editor")
    assert (changed.status_code, changed.json()["role"]) == (200, "editor")
    assert (await append(bob, session_id)).status_code == 201
    patched = await alice.patch(f"/sessions/{session_id}/participants/bob", json={"role": "viewer"})
    assert (patched.status_code, patched.json()["role"]) == (200, "viewer")
    assert_problem(await append(bob, session_id), 403)
    assert (await bob.get(f"/sessions/{session_id}")).json()["role"] == "viewer"


async def test_post_without_permissions_keeps_them(alice: httpx.AsyncClient, session_id: str) -> None:
    first = await put(alice, session_id, "bob", "viewer", permissions={"send": True})
    kept = await put(alice, session_id, "bob", "editor")
    assert (kept.status_code, kept.json()["permissions"]) == (200, {"send": True})
    assert kept.json()["joined_at"] == first.json()["joined_at"]
    assert_problem(await put(alice, session_id, "bob", "editor", permissions=None), 422)
    replaced = await put(alice, session_id, "bob", "editor", permissions={"cancel": True})
    assert replaced.json()["permissions"] == {"cancel": True}


async def test_patch_replaces_all_overrides_and_keeps_what_is_absent(alice: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, "bob", "viewer", permissions={"send": True, "cancel": True})
    path = f"/sessions/{session_id}/participants/bob"
    expected: list[tuple[dict[str, Any], str, dict[str, bool]]] = [
        ({"permissions": {"invite": False}}, "viewer", {"invite": False}),
        ({"role": "editor"}, "editor", {"invite": False}),
        ({}, "editor", {"invite": False}),
        ({"role": "viewer", "permissions": {}}, "viewer", {}),
    ]
    for body, role, permissions in expected:
        changed = await alice.patch(path, json=body)
        assert changed.status_code == 200
        assert changed.json().keys() == FIELDS | {"changed"}
        assert (changed.json()["role"], changed.json()["permissions"]) == (role, permissions)


async def test_removed_participant_is_stranger_at_once(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "editor")
    removed = await alice.delete(f"/sessions/{session_id}/participants/bob")
    assert (removed.status_code, removed.content) == (204, b"")
    assert not {"content-type", "content-length"} & removed.headers.keys()
    assert_problem(await append(bob, session_id), 404, "Session not found")
    assert_problem(await bob.get(f"/sessions/{session_id}/participants"), 404, "Session not found")
    assert (await bob.get("/sessions")).json()["total"] == 0
    assert_problem(await alice.delete(f"/sessions/{session_id}/participants/bob"), 404, "Participant not found")
    assert (await put(alice, session_id, "bob", "viewer")).status_code == 201


@pytest.mark.parametrize("role", ["viewer", "editor"])
async def test_everybody_may_leave(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, role: str
) -> None:
    await put(alice, session_id, "bob", role)
    assert (await bob.delete(f"/sessions/{session_id}/participants/bob")).status_code == 204
    assert await roles(alice, session_id) == {"alice": "owner"}
    assert_problem(await bob.delete(f"/sessions/{session_id}/participants/bob"), 404, "Session not found")


async def test_one_participant_and_me(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}/participants"
    added = (await put(alice, session_id, "bob", "viewer")).json()
    for client, name in ((alice, "bob"), (bob, "bob"), (bob, "me")):
        assert (await client.get(f"{path}/{name}")).json() == added
    assert (await bob.get(f"{path}/alice")).json()["role"] == (await alice.get(f"{path}/me")).json()["role"] == "owner"
    assert_problem(await bob.patch(f"{path}/me", json={"role": "owner"}), 403, "Only owners may change participants")
    assert_problem(await alice.patch(f"{path}/me", json={"role": "viewer"}), 409)
    assert_problem(await alice.get(f"{path}/nobody"), 404, "Participant not found")
    assert (await bob.delete(f"{path}/me")).status_code == 204
    assert_problem(await bob.get(f"{path}/me"), 404, "Session not found")
    assert await roles(alice, session_id) == {"alice": "owner"}


async def test_user_called_me_is_reached_only_by_themselves(
    api: Api, alice: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "me", "viewer")
    path = f"/sessions/{session_id}/participants/me"
    assert (await alice.get(path)).json()["user_id"] == "alice"
    assert (await (await api.as_user("me")).delete(path)).status_code == 204
    assert await roles(alice, session_id) == {"alice": "owner"}


@pytest.mark.parametrize("unknown", ["nobody", "a%20b", "x" * 300])
async def test_unknown_participants_are_not_found(alice: httpx.AsyncClient, session_id: str, unknown: str) -> None:
    path = f"/sessions/{session_id}/participants/{unknown}"
    for response in (await alice.patch(path, json={"role": "viewer"}), await alice.delete(path)):
        assert_problem(response, 404, "Participant not found")
    assert await roles(alice, session_id) == {"alice": "owner"}


@pytest.mark.parametrize("role", ["viewer", "editor"])
async def test_only_owners_change_anything(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, role: str
) -> None:
    await put(alice, session_id, "bob", role)
    await put(alice, session_id, "carol", "viewer")
    before = await roles(alice, session_id)
    path = f"/sessions/{session_id}/participants"
    for refused in (
        await put(bob, session_id, "dave", "viewer"),
        await put(bob, session_id, "carol", "viewer"),
        await put(bob, session_id, "bob", "owner"),
        await bob.patch(f"{path}/bob", json={"role": "owner"}),
        await bob.patch(f"{path}/bob", json={"permissions": {"send": True}}),
        await bob.patch(f"{path}/alice", json={"role": "viewer"}),
        await bob.patch(f"{path}/nobody", json={"role": "viewer"}),
        await bob.delete(f"{path}/alice"),
        await bob.delete(f"{path}/carol"),
    ):
        assert_problem(refused, 403)
    assert await roles(alice, session_id) == before


async def test_strangers_learn_nothing(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    answers = []
    for identifier in (session_id, "unknown"):
        path = f"/sessions/{identifier}/participants"
        answers.append(
            [
                await bob.get(path),
                await bob.get(f"{path}/alice"),
                await bob.get(f"{path}/me"),
                await put(bob, identifier, "bob", "owner"),
                await bob.patch(f"{path}/alice", json={"role": "viewer"}),
                await bob.delete(f"{path}/alice"),
                await bob.delete(f"{path}/bob"),
            ]
        )
    for foreign, absent in zip(*answers, strict=True):
        assert_problem(foreign, 404, "Session not found")
        assert foreign.json() == absent.json()
    assert await roles(alice, session_id) == {"alice": "owner"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_id": "bob"},
        {"role": "viewer"},
        {"user_id": "", "role": "viewer"},
        {"user_id": "x" * 256, "role": "viewer"},
        {"user_id": "a\0b", "role": "viewer"},
        {"user_id": 7, "role": "viewer"},
        {"user_id": "bob", "role": "admin"},
        {"user_id": "bob", "role": None},
        {"user_id": "bob", "role": "viewer", "permissions": []},
    ],
    ids=str,
)
async def test_bad_input_is_refused(alice: httpx.AsyncClient, session_id: str, body: dict[str, Any]) -> None:
    assert_problem(await alice.post(f"/sessions/{session_id}/participants", json=body), 422)
    assert await roles(alice, session_id) == {"alice": "owner"}


async def test_same_person_added_many_times_at_once_joins_once(alice: httpx.AsyncClient, session_id: str) -> None:
    answers = await asyncio.gather(*(put(alice, session_id, "bob", "editor") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert await roles(alice, session_id) == {"alice": "owner", "bob": "editor"}


@pytest.mark.parametrize("user_id", ["https://id.example/u/1", "a/b/", "auth0|x y", "é%2F?#", "a//b", "%00", ".a"])
async def test_user_ids_may_look_like_paths(alice: httpx.AsyncClient, session_id: str, user_id: str) -> None:
    path = f"/sessions/{session_id}/participants"
    assert (await alice.post(path, json={"user_id": user_id, "role": "viewer"})).status_code == 201
    changed = await alice.patch(f"{path}/{quote(user_id, safe='')}", json={"role": "editor"})
    assert (changed.json()["user_id"], changed.json()["role"]) == (user_id, "editor")
    assert (await alice.delete(f"{path}/{quote(user_id, safe='')}")).status_code == 204
    assert [row["user_id"] for row in (await alice.get(path)).json()["items"]] == ["alice"]
