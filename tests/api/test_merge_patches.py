"""JSON merge patches (RFC 7396) of sessions and configs over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from amplifier.configs.validation import MAX_VALUES
from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for

Sql = Callable[..., list[Any]]

TYPE = "application/merge-patch+json"
ECHO = {"bundle": {"name": "b"}, "providers": [{"module": "provider-echo", "config": {"api_key": "s-1"}}]}


async def merge(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await client.patch(path, content=content, headers={"Content-Type": TYPE, **headers})


async def made(client: httpx.AsyncClient, **body: Any) -> str:
    return f"/sessions/{(await client.post('/sessions', json=body)).json()['session_id']}"


async def test_members_of_a_session_merge(alice: httpx.AsyncClient) -> None:
    path = await made(
        alice, title="T", tags={"a": "1", "b": "2"}, metadata={"x": {"y": 1, "z": [1, {"k": None}]}, "n": 0}
    )
    patch = {"tags": {"a": None, "c": "3"}, "metadata": {"x": {"y": None, "w": {"v": None}}, "n": None, "new": [None]}}
    merged = await merge(alice, path, patch)
    assert merged.status_code == 200, merged.text
    session = merged.json()
    assert session["tags"] == {"b": "2", "c": "3"}
    assert session["metadata"] == {"x": {"z": [1, {"k": None}], "w": {}}, "new": [None]}
    assert (session["title"], session["status"], sorted(session["changed"])) == ("T", "active", ["metadata", "tags"])
    assert (await merge(alice, path, {"metadata": {"absent": None}})).json()["message"] == "Nothing changed"
    cleared = (await merge(alice, path, {"title": None, "tags": None, "metadata": None})).json()
    assert (cleared["title"], cleared["tags"], cleared["metadata"]) == (None, {}, {})
    replaced = (await alice.patch(path, json={"metadata": {"a": None}})).json()
    assert replaced["metadata"] == {"a": None}


async def test_patches_of_different_members_all_persist(alice: httpx.AsyncClient, config_id: str) -> None:
    path = await made(alice)
    patches = [merge(alice, path, {"metadata": {"at": {f"m{n}": n}}, "tags": {f"t{n}": "x"}}) for n in range(10)]
    assert {answer.status_code for answer in await asyncio.gather(*patches)} == {200}
    session = (await alice.get(path)).json()
    assert session["metadata"] == {"at": {f"m{n}": n for n in range(10)}}
    assert session["tags"] == {f"t{n}": "x" for n in range(10)}
    path = f"/configs/{config_id}"
    parts = [merge(alice, path, {"config_data": {"session": {f"m{n}": n}}}) for n in range(10)]
    assert sorted(answer.json()["version"] for answer in await asyncio.gather(*parts)) == list(range(2, 12))
    assert (await alice.get(path)).json()["config_data"]["session"] == {f"m{n}": n for n in range(10)}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"metadata": {"x": "é" * 33_000}}, "metadata must not be larger than 64 kB"),
        ({"metadata": {"more": "x" * 40_000}}, "metadata must not be larger than 64 kB"),  # after the merge
        ({"tags": {f"more{n}": "x" for n in range(30)}}, "There may be 50 tags"),
        ({"tags": {"a": 1}}, "tags.a: Expected `str | null`, got `int`"),
        ({"status": None}, "status"),
        ({"config_id": None}, "config_id"),
        ({"owner_user_id": "bob"}, "owner_user_id"),
        (b'{"metadata": ' + b'{"a": ' * 70 + b"1" + b"}" * 71, "The JSON is nested too deeply"),
        (b"[]", "Expected `object`, got `array`"),
    ],
    ids=str,
)
async def test_session_out_of_bounds_is_refused(alice: httpx.AsyncClient, body: Any, detail: str) -> None:
    path = await made(alice, metadata={"x": "x" * 30_000}, tags={f"t{n}": "x" for n in range(30)})
    before = (await alice.get(path)).json()
    refused = await merge(alice, path, body)
    assert detail in assert_problem(refused, 422)["detail"]
    assert (await alice.get(path)).json() == before


async def test_roles_and_conditions_hold_for_merge_patches(api: Api, alice: httpx.AsyncClient, config_id: str) -> None:
    path, body = await made(alice, config_id=config_id), {"metadata": {"a": 1}}
    for user_id, role in (("bob", "editor"), ("carol", "viewer")):
        await alice.post(f"{path}/participants", json={"user_id": user_id, "role": role})
    bob, carol, dave = [await api.as_user(name) for name in ("bob", "carol", "dave")]
    assert (await merge(bob, path, body)).json()["metadata"] == {"a": 1}
    assert_problem(await merge(carol, path, body), 403, "Only owners and editors may change a session")
    assert_problem(await merge(dave, path, body), 404, "Session not found")
    assert_problem(await merge(alice, path, body, **{"If-Match": '"99"'}), 412)
    config = f"/configs/{config_id}"
    assert_problem(await merge(bob, config, {"name": "x"}), 404, "Config not found")
    assert_problem(await merge(alice, config, {"name": "x"}, **{"If-Match": '"99"'}), 412)
    assert_problem(await merge(api.client(), config, {"name": "x"}), 401)


async def test_members_of_a_config_merge(alice: httpx.AsyncClient, sql: Sql) -> None:
    data = {"bundle": {"name": "b", "version": "1"}, "session": {"raw": True}, "tools": [{"module": "t"}]}
    made = await alice.post("/configs", json={"name": "n", "description": "d", "tags": {"a": "1"}, "config_data": data})
    path = f"/configs/{made.json()['config_id']}"
    patch = {"description": None, "tags": {"b": "2"}, "config_data": {"bundle": {"version": None}, "session": None}}
    changed = (await merge(alice, path, patch)).json()
    assert (changed["name"], changed["description"], changed["tags"]) == ("n", None, {"a": "1", "b": "2"})
    assert changed["config_data"] == {"bundle": {"name": "b"}, "tools": [{"module": "t"}]}
    assert (changed["version"], sorted(changed["changed"])) == (2, ["config_data", "description", "tags"])
    assert (await merge(alice, path, {"name": "n", "tags": {"a": "1"}})).json()["version"] == 2
    assert (await merge(alice, path, {"name": "m", "tags": None})).json()["tags"] == {}
    assert (await alice.get(f"{path}/versions/1")).json()["config_data"] == data
    assert sql("select count(*) from audit_log where action = 'patch_config'") == [(2,)]


async def test_secrets_stay_encrypted_and_readable(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, config_encryption_key="k" * 32)) as api:
        alice = await api.as_user("alice")
        data = ECHO | {"session": {"keys": {"api_key": "s-2", "other_token": "s-3"}, "plain": 1}}
        path = f"/configs/{(await alice.post('/configs', json={'name': 'n', 'config_data': data})).json()['config_id']}"
        shown = (await alice.get(path)).json()["config_data"]
        assert (await merge(alice, path, {"config_data": shown})).json()["version"] == 1
        assert (await merge(alice, path, {"config_data": data})).json()["version"] == 1
        patch = {"session": {"keys": {"api_key": "s-4", "other_token": None, "new_secret": "s-5"}, "plain": 2}}
        changed = (await merge(alice, path, {"config_data": patch})).json()
        assert changed["encrypted"]
        [(stored,)] = sql("select config_json::text from configs")
        assert "s-" not in stored
        assert stored.count("enc:") == 3
        clear = (await alice.get(path, params={"decrypt": True})).json()["config_data"]
        assert clear == ECHO | {"session": {"keys": {"api_key": "s-4", "new_secret": "s-5"}, "plain": 2}}


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"config_data": {"bundle": None}}, 400, "Missing required section: 'bundle'"),
        ({"config_data": {"bundle": {"name": None}}}, 400, "Missing required field: 'bundle.name'"),
        ({"config_data": {"tools": [{}]}}, 400, "tools[0] missing 'module' field"),
        ({"config_data": {"more": [0] * (MAX_VALUES // 2)}}, 422, f"config_data must not have more than {MAX_VALUES}"),
        ({"config_data": None}, 422, "config_data"),
        ({"name": None}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"session": {}}, 422, "session"),
    ],
    ids=str,
)
async def test_config_that_is_not_valid_is_refused(
    alice: httpx.AsyncClient, body: dict[str, Any], status: int, detail: str
) -> None:
    data = {"bundle": {"name": "b"}, "some": [0] * (MAX_VALUES // 2)}
    path = f"/configs/{(await alice.post('/configs', json={'name': 'n', 'config_data': data})).json()['config_id']}"
    before = (await alice.get(path)).json()
    assert detail in assert_problem(await merge(alice, path, body), status)["detail"]
    assert (await alice.get(path)).json() == before


async def test_patch_of_a_config_must_say_that_it_merges(alice: httpx.AsyncClient, config_id: str) -> None:
    refused = await alice.patch(f"/configs/{config_id}", json={"name": "x"})
    assert_problem(refused, 415, f"Send the body as Content-Type: {TYPE}")
    assert refused.headers["accept-patch"] == TYPE
    assert (await alice.get(f"/configs/{config_id}")).json()["name"] == CONFIG["name"]
