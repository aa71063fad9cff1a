"""Versions of configs: every change keeps the former, and any of them can come back."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for

MISSING = "00000000-0000-4000-8000-000000000000"


async def test_every_change_keeps_the_former(alice: httpx.AsyncClient, config_id: str) -> None:
    path = f"/configs/{config_id}"
    created = (await alice.get(path)).json()
    await alice.put(path, json={"name": "second", "tags": {"a": "b"}})
    third = (await alice.put(path, json={"tools": [{"module": "t"}], "description": "d"})).json()
    assert (created["version"], third["version"]) == (1, 3)
    page = (await alice.get(f"{path}/versions")).json()
    assert [(v["version"], v["name"], v["description"], v["tags"]) for v in page["items"]] == [
        (3, "second", "d", {"a": "b"}),
        (2, "second", None, {"a": "b"}),
        (1, "assistant", None, {}),
    ]
    assert page["next"] is None
    former = (await alice.get(f"{path}/versions/2")).json()
    assert former["config_data"] == CONFIG["config_data"]
    assert (await alice.get(f"{path}/versions/3")).json()["config_data"] == third["config_data"]
    assert page["items"][2]["created_at"] == created["updated_at"]


async def test_change_that_changes_nothing_makes_no_version(alice: httpx.AsyncClient, config_id: str) -> None:
    same = await alice.put(f"/configs/{config_id}", json={"name": CONFIG["name"]})
    assert same.json()["version"] == 1


async def test_change_by_hand_keeps_the_former_too(
    alice: httpx.AsyncClient, config_id: str, sql: Callable[..., list[Any]]
) -> None:
    sql("update configs set name = 'by hand'")
    page = (await alice.get(f"/configs/{config_id}/versions")).json()
    assert [version["name"] for version in page["items"]] == ["by hand", "assistant"]


async def test_pages(alice: httpx.AsyncClient, config_id: str) -> None:
    for number in range(4):
        await alice.put(f"/configs/{config_id}", json={"name": str(number)})
    seen, after = [], ""
    while True:
        page = (await alice.get(f"/configs/{config_id}/versions?limit=2{after}")).json()
        seen += [version["version"] for version in page["items"]]
        if page["next"] is None:
            break
        after = f"&cursor={page['next']}"
    assert seen == [5, 4, 3, 2, 1]


async def test_restore(alice: httpx.AsyncClient, config_id: str) -> None:
    path = f"/configs/{config_id}"
    await alice.put(path, json={"name": "second", "config_data": {"bundle": {"name": "other"}}})
    restored = await alice.post(f"{path}/versions/1/restore")
    assert restored.status_code == 200
    body = restored.json()
    assert (body["version"], body["name"], body["config_data"]) == (3, "assistant", CONFIG["config_data"])
    assert body["message"] is None
    assert restored.headers["etag"] == '"3"'
    assert (await alice.get(f"{path}/versions/2")).json()["name"] == "second"  # nothing is lost
    assert_problem(await alice.post(f"{path}/versions/3/restore"), 404, "Config version not found")  # it is the present
    stale = await alice.post(f"{path}/versions/1/restore", headers={"If-Match": '"2"'})
    assert_problem(stale, 412)
    assert (await alice.get(path)).json()["version"] == 3


async def test_secrets_stay_encrypted_and_come_back(dsn: str) -> None:
    async with serving(settings_for(dsn, config_encryption_key="k" * 32)) as api:
        alice = await api.as_user("alice")
        body = {"name": "n", "config_data": {"bundle": {"name": "b", "api_key": "sk-first"}}}
        path = f"/configs/{(await alice.post('/configs', json=body)).json()['config_id']}"
        body["config_data"] = {"bundle": {"name": "b", "api_key": "sk-second"}}
        await alice.put(path, json=body)
        former = await alice.get(f"{path}/versions/1")
        assert former.json()["config_data"]["bundle"]["api_key"].startswith("enc:")
        assert "sk-first" not in former.text
        await alice.post(f"{path}/versions/1/restore")
        shown = (await alice.get(path, params={"decrypt": True})).json()
        assert shown["config_data"]["bundle"]["api_key"] == "sk-first"


async def test_strangers(bob: httpx.AsyncClient, config_id: str) -> None:
    for identifier in (config_id, MISSING):
        for path in (f"/configs/{identifier}/versions", f"/configs/{identifier}/versions/1"):
            assert_problem(await bob.get(path), 404, "Config not found")
        assert_problem(await bob.post(f"/configs/{identifier}/versions/1/restore"), 404, "Config not found")


@pytest.mark.parametrize("version", ["0", "-1", "x", "9" * 19, "1e3"])
async def test_bad_input(alice: httpx.AsyncClient, config_id: str, version: str) -> None:
    read = await alice.get(f"/configs/{config_id}/versions/{version}")
    assert read.status_code in (404, 422)
    assert_problem(await alice.get(f"/configs/{config_id}/versions?limit=0"), 422)


async def test_sessions_remember_the_version_they_began_with(
    alice: httpx.AsyncClient, config_id: str, session_id: str
) -> None:
    await alice.put(f"/configs/{config_id}", json={"name": "second"})
    assert (await alice.get(f"/sessions/{session_id}")).json()["config_version"] == 1
    later = (await alice.post("/sessions", json={"config_id": config_id})).json()
    assert later["config_version"] == 2


async def test_changes_at_once_all_become_versions(api: Api, alice: httpx.AsyncClient, config_id: str) -> None:
    async with serving(api.settings) as elsewhere:
        clients = [alice, elsewhere.client(dict(alice.headers))]
        names = [str(number) for number in range(20)]
        answers = await asyncio.gather(
            *(clients[n % 2].put(f"/configs/{config_id}", json={"name": name}) for n, name in enumerate(names))
        )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 22))
    versions = (await alice.get(f"/configs/{config_id}/versions?limit=100")).json()["items"]
    assert sorted(version["name"] for version in versions) == sorted([*names, "assistant"])


async def test_deleted_with_the_config(alice: httpx.AsyncClient, config_id: str, sql: Callable[..., list[Any]]) -> None:
    await alice.put(f"/configs/{config_id}", json={"name": "second"})
    assert (await alice.delete(f"/configs/{config_id}")).status_code == 200
    assert sql("select count(*) from config_versions") == [(0,)]
