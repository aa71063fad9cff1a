"""Deleting a config takes no session away from other people, and a session that changes hands keeps its agent."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for
from tests.support.live import until
from tests.support.stage import WAITING, holding

Sql = Callable[..., list[Any]]
SECRET = {"name": "one", "config_data": CONFIG["config_data"] | {"providers": [{"module": "p", "api_key": "sk-1"}]}}


async def new(client: httpx.AsyncClient, config_id: str, **participants: str) -> str:
    """A session of a config, and who takes part in it as what."""
    session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    for user_id, role in participants.items():
        body = {"user_id": user_id, "role": role}
        assert (await client.post(f"/sessions/{session_id}/participants", json=body)).status_code == 201
    return str(session_id)


async def test_config_with_own_sessions_is_deleted_with_them(
    alice: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    for _ in range(2):
        await new(alice, config_id)
    deleted = await alice.delete(f"/configs/{config_id}")
    assert deleted.json() == {"message": "Config deleted successfully", "deleted_sessions": 2}
    assert sql("select count(*) from sessions") == [(0,)]
    assert sql("select details from audit_log where action = 'delete_config'") == [({"deleted_sessions": 2},)]


async def test_config_of_shared_sessions_is_deleted_only_by_force_of_its_owner(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    await new(alice, config_id)
    shared = [await new(alice, config_id, bob="viewer"), await new(alice, config_id, bob="owner", carol="editor")]
    path = f"/configs/{config_id}"
    refused = assert_problem(await alice.delete(path), 409)
    assert refused["shared_sessions"] == 2
    assert "force=true" in refused["detail"]
    assert_problem(await bob.delete(path, params={"force": "true"}), 404, "Config not found")
    assert_problem(await alice.delete(path, params={"force": "true"}, headers={"If-Match": '"9"'}), 412)
    for session_id in shared:
        assert (await bob.get(f"/sessions/{session_id}")).status_code == 200
    deleted = await alice.delete(path, params={"force": "true"})
    assert deleted.json() == {"message": "Config deleted successfully", "deleted_sessions": 3}
    assert sql("select count(*) from sessions") == [(0,)]


async def transfer(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transfer", json={"user_id": "bob"})


async def leave(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.delete(f"/sessions/{session_id}/participants/alice")


async def step_down(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.patch(f"/sessions/{session_id}/participants/alice", json={"role": "viewer"})


@pytest.mark.parametrize("hand_over", [transfer, leave, step_down])
async def test_session_that_changes_hands_runs_a_copy_that_nobody_reads(dsn: str, sql: Sql, hand_over: Any) -> None:
    async with serving(settings_for(dsn, config_encryption_key="a key for tests of thirty-two bytes and more")) as api:
        alice, bob = await api.as_user("alice"), await api.as_user("bob")
        config_id = (await alice.post("/configs", json=SECRET)).json()["config_id"]
        await alice.put(f"/configs/{config_id}", json={"description": "another version"})
        session_id = await new(alice, config_id, bob="owner")
        assert (await hand_over(alice, session_id)).is_success
        copy = (await bob.get(f"/sessions/{session_id}")).json()["config_id"]
        assert copy != config_id
        for client in (alice, bob):
            for method, path in (("GET", f"/configs/{copy}?decrypt=true"), ("GET", f"/configs/{copy}/versions")):
                assert_problem(await client.request(method, path), 404)
            assert_problem(await client.put(f"/configs/{copy}", json=SECRET), 404, "Config not found")
            assert_problem(await client.delete(f"/configs/{copy}?force=true"), 404, "Config not found")
        assert (await alice.delete(f"/configs/{config_id}")).json()["deleted_sessions"] == 0
        assert await run_by(api, session_id) == "sk-1"
        assert sql("select user_id, version from configs") == [(None, 2)]
        assert (
            await bob.post(f"/sessions/{session_id}/participants", json={"user_id": "carol", "role": "owner"})
        ).is_success
        assert (await bob.post(f"/sessions/{session_id}/transfer", json={"user_id": "carol"})).is_success
        carol = await api.as_user("carol")
        assert (await carol.get(f"/sessions/{session_id}")).json()["config_id"] == copy, "one copy is enough"
        assert (await carol.delete(f"/sessions/{session_id}")).status_code == 200
        assert sql("select count(*) from configs") == [(0,)]


async def run_by(api: Api, session_id: str) -> str:
    """The secret with which the session's agent runs."""
    row = await api.app.state.queries.runs.start(
        actor_id="bob",
        actor_app_id="app",
        session_id=session_id,
        run_id="run",
        message=b'{"role": "user", "content": "Hello"}',
        process_id="one",
        seconds=60.0,
    )
    config = api.app.state.keyring.decrypt(msgspec.json.decode(row["config_json"]), row["config_id"])
    return str(config["providers"][0]["api_key"])


async def test_session_given_to_the_owner_of_its_config_keeps_the_config(
    alice: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    session_id = await new(alice, config_id, bob="owner")
    sql("update sessions set owner_user_id = 'bob'")
    copies = sql("select config_id from configs where user_id is null")
    assert len(copies) == 1
    sql("update sessions set config_id = %s", config_id)
    sql("update sessions set owner_user_id = 'alice'")
    assert (await alice.get(f"/sessions/{session_id}")).json()["config_id"] == config_id


async def test_session_shared_while_its_config_is_deleted_is_not_lost(
    dsn: str, alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    """The invited person has no row yet that the deletion could wait for."""
    session_id = await new(alice, config_id)
    invited = await alice.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})
    with holding(dsn, "select from sessions for no key update") as release:
        accepting = asyncio.create_task(bob.post("/invitations/accept", json={"token": invited.json()["token"]}))
        await until(lambda: sql(WAITING) == [(1,)])
        deleting = asyncio.create_task(alice.delete(f"/configs/{config_id}"))
        await until(lambda: sql(WAITING) == [(2,)])
        release()
        assert (await accepting).is_success
        assert_problem(await deleting, 409)
    assert (await bob.get(f"/sessions/{session_id}")).status_code == 200


@pytest.mark.parametrize("deleted_first", [True, False])
async def test_session_handed_over_while_its_config_is_deleted(
    dsn: str, alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, sql: Sql, deleted_first: bool
) -> None:
    session_id = await new(alice, config_id, bob="editor")
    calls = [lambda: alice.delete(f"/configs/{config_id}?force=true"), lambda: transfer(alice, session_id)]
    with holding(dsn, "select from session_participants for update") as release:
        tasks = []
        for number, call in enumerate(calls if deleted_first else reversed(calls), 1):
            tasks.append(asyncio.create_task(call()))
            await until(lambda number=number: sql(WAITING) == [(number,)])  # type: ignore[misc]
        release()
        answers = [answer.status_code for answer in await asyncio.gather(*tasks)]
    assert answers == ([200, 404] if deleted_first else [200, 200])
    left = (await bob.get(f"/sessions/{session_id}")).status_code
    assert left == (404 if deleted_first else 200)
    assert sql("select count(*) from configs") == [(0 if deleted_first else 1,)]
