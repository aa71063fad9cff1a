"""Rights around invitations: making, seeing and revoking them, users they never admit, invalid tokens."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

NOT_ANY_MORE = "The invitation does not admit you any more: ask an owner for a new one"
Act = Callable[[httpx.AsyncClient, str], Any]


async def put(client: httpx.AsyncClient, session_id: str, user_id: str, role: str, **more: Any) -> None:
    body = {"user_id": user_id, "role": role, **more}
    response = await client.post(f"/sessions/{session_id}/participants", json=body)
    assert response.is_success, response.text


async def remove(client: httpx.AsyncClient, session_id: str, user_id: str) -> None:
    response = await client.delete(f"/sessions/{session_id}/participants/{user_id}")
    assert response.status_code == 204, response.text


async def try_invite(client: httpx.AsyncClient, session_id: str, role: str = "viewer") -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/invitations", json={"role": role, "max_uses": 5})


async def invite(client: httpx.AsyncClient, session_id: str, role: str = "viewer") -> str:
    """The token of a new invitation."""
    response = await try_invite(client, session_id, role)
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


async def accept(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/invitations/accept", json={"token": token})


@pytest.mark.parametrize("permissions", [{}, {"invite": True}], ids=str)
async def test_lists_and_revocations_are_for_owners(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, permissions: dict[str, bool]
) -> None:
    await put(alice, session_id, "bob", "editor", permissions=permissions)
    made = (await try_invite(alice, session_id)).json()
    path = f"/sessions/{session_id}/invitations"
    for identifier in (made["invitation_id"], "unknown"):
        assert_problem(await bob.delete(f"{path}/{identifier}"), 403, "Only owners may revoke invitations")
    assert_problem(await bob.get(path), 403, "Only owners may see invitations")
    stranger = await api.as_user("stranger")
    for refused in (
        await stranger.get(path),
        await stranger.delete(f"{path}/{made['invitation_id']}"),
        await try_invite(stranger, session_id),
    ):
        assert_problem(refused, 404, "Session not found")
    listed = (await alice.get(path)).json()["items"]
    assert listed == [{**made, "token": None}]


@pytest.mark.parametrize(
    ("role", "permissions", "allowed"),
    [
        ("viewer", {}, []),
        ("editor", {}, []),
        ("viewer", {"invite": True}, ["viewer"]),
        ("editor", {"invite": True}, ["viewer", "editor"]),
        ("owner", {}, ["viewer", "editor", "owner"]),
        ("owner", {"invite": False}, []),
    ],
    ids=str,
)
async def test_participants_invite_up_to_own_role(
    alice: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    session_id: str,
    role: str,
    permissions: dict[str, bool],
    allowed: list[str],
) -> None:
    await put(alice, session_id, "bob", role, permissions=permissions)
    for wanted in ("viewer", "editor", "owner"):
        answer = await try_invite(bob, session_id, wanted)
        if wanted in allowed:
            assert (answer.status_code, answer.json()["created_by_user_id"]) == (201, "bob")
        else:
            assert_problem(answer, 403)
    listed = (await alice.get(f"/sessions/{session_id}/invitations")).json()["items"]
    assert [row["role"] for row in listed] == allowed[::-1]


async def test_invitation_ends_when_its_maker_is_removed(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    carol = await api.as_user("carol")
    for leaver in (alice, bob):  # removed by an owner, or gone by oneself
        await put(alice, session_id, "bob", "owner")
        token = await invite(bob, session_id)
        await remove(leaver, session_id, "bob")
        assert_problem(await accept(carol, token), 410, NOT_ANY_MORE)
    assert_problem(await carol.get(f"/sessions/{session_id}"), 404, "Session not found")


async def test_invitation_ends_when_its_maker_is_demoted(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "owner")
    token = await invite(bob, session_id)
    carol = await api.as_user("carol")
    await put(alice, session_id, "bob", "editor")
    assert_problem(await accept(carol, token), 410, NOT_ANY_MORE)
    await put(alice, session_id, "bob", "editor", permissions={"invite": True})
    assert (await accept(carol, token)).status_code == 201


async def test_invitation_ends_when_its_maker_may_not_invite_for_its_role(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await put(alice, session_id, "bob", "editor", permissions={"invite": True})
    as_editor, as_viewer = await invite(bob, session_id, "editor"), await invite(bob, session_id, "viewer")
    await put(alice, session_id, "bob", "viewer")
    assert_problem(await accept(await api.as_user("carol"), as_editor), 410, NOT_ANY_MORE)
    assert (await accept(await api.as_user("carol"), as_viewer)).status_code == 201
    await put(alice, session_id, "bob", "viewer", permissions={})
    assert_problem(await accept(await api.as_user("dave"), as_viewer), 410, NOT_ANY_MORE)


async def test_removed_participant_needs_later_invitation(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    used, unused = await invite(alice, session_id), await invite(alice, session_id, "editor")
    assert (await accept(bob, used)).status_code == 201
    await remove(alice, session_id, "bob")
    for token in (used, unused):
        assert_problem(await accept(bob, token), 410, NOT_ANY_MORE)
    assert (await accept(await api.as_user("carol"), unused)).status_code == 201  # others still come in
    later = await invite(alice, session_id)
    assert (await accept(bob, later)).status_code == 201
    await remove(bob, session_id, "bob")  # leaving does not lift the removal
    assert_problem(await accept(bob, unused), 410, NOT_ANY_MORE)
    assert (await accept(bob, later)).status_code == 201


async def test_participant_who_left_may_rejoin(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    token = await invite(alice, session_id)
    assert (await accept(bob, token)).status_code == 201
    await remove(bob, session_id, "bob")
    answer = await accept(bob, token)
    assert (answer.status_code, answer.json()["is_new"]) == (201, True)
    listed = (await alice.get(f"/sessions/{session_id}/invitations")).json()["items"]
    assert [row["uses"] for row in listed] == [2]


async def test_token_belongs_to_its_session(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, config_id: str
) -> None:
    other_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    token, other = await invite(alice, session_id), await invite(alice, other_id)
    for swapped in (token.replace(session_id, other_id), other.replace(other_id, session_id)):
        assert_problem(await accept(bob, swapped), 404, "Invitation not found")
    made = (await try_invite(alice, session_id)).json()["invitation_id"]
    assert_problem(await alice.delete(f"/sessions/{other_id}/invitations/{made}"), 404)
    assert (await bob.get("/sessions")).json()["total"] == 0


async def test_deleted_session_admits_nobody(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    token = await invite(alice, session_id)
    assert (await alice.delete(f"/sessions/{session_id}")).status_code == 200
    for client in (alice, bob):
        assert_problem(await accept(client, token), 404, "Invitation not found")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "inv_",
        "inv__" + "A" * 43,
        f"inv_unknown_{'A' * 43}",
        f"inv_{'s' * 255}_{'A' * 43}",
        f"inv_{'s' * 256}_{'A' * 43}",
        "inv_" + "x" * 100_000,
        f"inv_a\0b_{'A' * 43}",
        f"inv_%'; drop table sessions; --_{'A' * 43}",
        f"inv_\u202e\U0001f600\ufffe_{'A' * 43}",
        f"inv_a_{'A' * 43}\n",
        None,
        7,
        ["inv_"],
    ],
    ids=lambda token: repr(token)[:30],
)
async def test_garbage_is_no_token(alice: httpx.AsyncClient, session_id: str, token: Any) -> None:
    answer = await accept(alice, token)
    assert answer.status_code in {404, 422}
    assert_problem(answer, answer.status_code)
    assert (await alice.get(f"/sessions/{session_id}")).json()["last_seq"] == 0


async def test_changed_token_is_unknown(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    token = await invite(alice, session_id)
    for wrong in (token[:-1] + ("a" if token[-1] != "a" else "b"), token + "A", " " + token, token.upper(), token[:-1]):
        assert_problem(await accept(bob, wrong), 404, "Invitation not found")
    assert_problem(await bob.post("/invitations/accept", json={}), 422)
    surrogate = b'{"token": "\\ud800"}'
    assert_problem(await bob.post("/invitations/accept", content=surrogate), 415)
    json = {"content-type": "application/json"}
    assert_problem(await bob.post("/invitations/accept", content=surrogate, headers=json), 422)
    assert_problem(await accept(api.client({"X-API-Key": api.keys["app"]}), token), 401)
