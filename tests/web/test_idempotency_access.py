"""A stored answer is replayed while its caller may see it; later the caller gets the answer of a stranger."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem
from tests.web.test_idempotency import keyed, new_session, said

GONE = "What this Idempotency-Key was used for is not there any more, or not yours"
BOB = {"user_id": "bob", "role": "editor", "permissions": {"invite": True}}
Sql = Callable[..., list[Any]]


async def repeated(client: httpx.AsyncClient, call: tuple[str, str, Any], headers: dict[str, str]) -> httpx.Response:
    method, path, body = call
    return await client.request(method, path, json=body, headers=headers)


@pytest.fixture
async def shared(alice: httpx.AsyncClient) -> str:
    """A session of alice's in which bob is an editor who may invite."""
    session = await new_session(alice)
    assert (await alice.post(f"{session}/participants", json=BOB)).status_code == 201
    return session


CALLS: list[tuple[str, str, Any]] = [
    ("POST", "{}/transcript", said("secret")),
    ("POST", "{}/participants", {"user_id": "carol", "role": "viewer"}),
    ("POST", "{}/invitations", {"role": "viewer"}),
    ("PATCH", "{}", {"title": "secret"}),
    ("POST", "{}/resume", None),
    ("POST", "{}/events/ticket", None),
    ("POST", "{}/messages", {"message": "x"}),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[1])
async def test_removed_participant_gets_what_strangers_get(
    api: Api, alice: httpx.AsyncClient, shared: str, call: tuple[str, str, Any], sql: Sql
) -> None:
    bob, stranger, headers = await api.as_user("bob"), await api.as_user("eve"), keyed()
    call = (call[0], call[1].format(shared), call[2])
    first = await repeated(bob, call, headers)
    assert (await repeated(bob, call, headers)).content == first.content
    await alice.delete(f"{shared}/participants/bob")
    rows = sql("select count(*) from messages, audit_log, idempotency_keys")
    refused = await repeated(bob, call, headers)
    assert_problem(refused, 404)
    assert refused.content == (await repeated(stranger, call, keyed())).content
    assert sql("select count(*) from messages, audit_log, idempotency_keys") == rows
    await alice.post(
        f"{shared}/participants", json={"user_id": "bob", "role": "editor", "permissions": {"invite": True}}
    )
    if first.is_success:
        again = await repeated(bob, call, headers)
        assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")


async def test_replayed_answers_show_nothing_deleted(api: Api, alice: httpx.AsyncClient, sql: Sql) -> None:
    """Also if only the answer names it, and no path; and nothing is done a second time."""
    config = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    created, of_session = keyed(), keyed()
    body = CONFIG | {"name": "to be deleted"}
    own = (await alice.post("/configs", json=body, headers=created)).json()["config_id"]
    session = (await alice.post("/sessions", json={"config_id": config}, headers=of_session)).json()["session_id"]
    forked, fork = keyed(), f"/sessions/{session}/fork"
    copy = (await alice.post(fork, json={}, headers=forked)).json()["session_id"]
    changed = keyed()
    await alice.put(f"/configs/{own}", json={"name": "changed"}, headers=changed)

    await alice.delete(f"/configs/{own}")
    await alice.delete(f"/sessions/{copy}")
    rows = sql("select count(*) from sessions, configs, audit_log")
    assert_problem(await alice.post("/configs", json=body, headers=created), 404, GONE)
    assert_problem(
        await alice.put(f"/configs/{own}", json={"name": "changed"}, headers=changed), 404, "Config not found"
    )
    assert_problem(await alice.post(fork, json={}, headers=forked), 404, GONE)
    assert (await alice.post("/sessions", json={"config_id": config}, headers=of_session)).status_code == 201
    await alice.delete(f"/sessions/{session}")
    assert_problem(await alice.post("/sessions", json={"config_id": config}, headers=of_session), 404, GONE)
    assert_problem(await alice.post(fork, json={}, headers=forked), 404, "Session not found")
    assert sql("select count(*) from sessions, configs")[0][0] < rows[0][0]


async def test_acceptance_is_not_replayed_after_removal(api: Api, alice: httpx.AsyncClient, shared: str) -> None:
    carol, headers = await api.as_user("carol"), keyed()
    token = (await alice.post(f"{shared}/invitations", json={"role": "viewer", "max_uses": 9})).json()["token"]
    first = await carol.post("/invitations/accept", json={"token": token}, headers=headers)
    assert first.status_code == 201
    await alice.delete(f"{shared}/participants/carol")
    refused = await carol.post("/invitations/accept", json={"token": token}, headers=headers)
    assert refused.status_code in (404, 410)
    assert "idempotency-replayed" not in refused.headers
    assert_problem(await carol.get(shared), 404)


async def test_deletion_is_replayed(api: Api, alice: httpx.AsyncClient, shared: str) -> None:
    """A client whose connection broke must receive the answer, although the thing is gone."""
    bob, admin = await api.as_user("bob"), await api.as_user("root", "admin")
    config = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    await api.register("other")
    for client, path in (
        (bob, f"{shared}/participants/bob"),
        (alice, shared),
        (alice, f"/configs/{config}"),
        (admin, "/applications/other"),
    ):
        headers = keyed()
        first = await client.delete(path, headers=headers)
        assert first.status_code == (204 if client is bob else 200), first.text
        again = await client.delete(path, headers=headers)
        assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true"), path
    transferred = keyed()
    session = await new_session(alice)
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "editor"})
    for _ in range(2):
        answer = await alice.post(f"{session}/transfer", json={"user_id": "bob"}, headers=transferred)
        assert answer.status_code == 200


async def test_application_keys_are_replayed_to_key_managers(api: Api, sql: Sql) -> None:
    admin, created, again = await api.as_user("root", "admin"), keyed(), keyed()
    body = {"app_id": "new", "app_name": "New"}
    first = await admin.post("/applications", json=body, headers=created)
    own = await admin.post("/applications/admin/keys", json={"name": "second"}, headers=again)
    sql("update applications set is_admin = false where app_id = 'admin'")
    api.app.state.authenticator.forget()
    refused = await admin.post("/applications", json=body, headers=created)
    assert_problem(refused, 403, "Only admin applications may do this")
    replayed = await admin.post("/applications/admin/keys", json={"name": "second"}, headers=again)
    assert replayed.content == own.content, "an application may see itself"
    sql("update applications set is_admin = true where app_id = 'admin'")
    api.app.state.authenticator.forget()
    assert (await admin.post("/applications", json=body, headers=created)).content == first.content
    await admin.delete("/applications/new")
    assert_problem(await admin.post("/applications", json=body, headers=created), 404, GONE)
    assert sql("select app_id from applications where app_id = 'new'") == []
