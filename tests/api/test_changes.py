"""Answers to changes name the fields that changed. A change without effect leaves all rows as they are."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for

Sql = Callable[..., list[Any]]
Call = tuple[str, str, dict[str, Any]]
TABLES = ("sessions", "session_events", "session_participants", "configs", "config_versions", "applications")
ROLE = {"role": "editor", "permissions": {"invite": True}}
CHANGES: dict[str, Call] = {
    "session": ("PATCH", "/sessions/{session}", {"title": "T", "tags": {"a": "b"}, "metadata": {"n": 1}}),
    "status": ("PATCH", "/sessions/{session}", {"status": "completed"}),
    "application": (
        "PATCH",
        "/applications/app",
        {"app_name": "App", "is_active": False, "settings": {"a": 1}, "key_managers": ["mia"]},
    ),
    "participant": ("PATCH", "/sessions/{session}/participants/bob", ROLE),
    "put participant": ("POST", "/sessions/{session}/participants", {"user_id": "bob", **ROLE}),
    "config": (
        "PUT",
        "/configs/{config}",
        {"name": "N", "description": "D", "tags": {"a": "b"}, "config_data": {"bundle": {"name": "b"}, "token": "s-1"}},
    ),
    "section": ("PUT", "/configs/{config}", {"providers": [{"module": "p", "config": {"api_key": "s-2"}}]}),
    "setting": ("PUT", "/settings/a", {"value": {"x": [1, None]}, "scope": "ui"}),
}
FIELDS = {"section": {"config_data"}, "put participant": set(ROLE)}  # otherwise those of the body


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    """A client of alice through an admin application."""
    await api.register("app")
    return await api.as_user("alice", "admin")


@pytest.fixture
async def places(admin: httpx.AsyncClient) -> dict[str, str]:
    """The ids of a config and of a session with a viewer, bob."""
    config = (await admin.post("/configs", json=CONFIG)).json()["config_id"]
    session = (await admin.post("/sessions", json={"config_id": config})).json()["session_id"]
    await admin.post(f"/sessions/{session}/participants", json={"user_id": "bob", "role": "viewer"})
    return {"config": config, "session": session}


def rows(sql: Sql) -> list[Any]:
    """Returns what the database has, without times of activity."""
    tables = [*TABLES, "configuration", "audit_log"]
    return [sql(f"select to_jsonb(t) - 'last_active_at' from {table} as t order by 1") for table in tables]


@pytest.mark.parametrize("case", CHANGES)
async def test_change_names_what_changed_and_repeated_changes_nothing(
    admin: httpx.AsyncClient, places: dict[str, str], case: str, sql: Sql
) -> None:
    method, path, body = CHANGES[case]
    path = path.format_map(places)
    first = await admin.request(method, path, json=body)
    assert first.status_code == 200, first.text
    assert set(first.json()["changed"]) == FIELDS.get(case, set(body))
    before = rows(sql)
    bodies = [body, *({name: value} for name, value in body.items()), {}] if method != "POST" else [body]
    for same in bodies if case != "setting" else [body]:
        again = await admin.request(method, path, json=same)
        assert (again.status_code, again.json()["changed"]) == (200, []), same
        assert again.json().get("message") in ("Nothing changed", None)
        assert again.json() | {"changed": 0, "message": 0} == first.json() | {"changed": 0, "message": 0}
        assert again.headers.get("etag") == first.headers.get("etag")
        assert rows(sql) == before


async def test_contract_routes_say_that_nothing_changed(admin: httpx.AsyncClient, places: dict[str, str]) -> None:
    session, config = f"/sessions/{places['session']}", f"/configs/{places['config']}"
    for answer in (
        await admin.patch(session, json={}),
        await admin.post(f"{session}/resume"),
        await admin.put(config, json={"name": CONFIG["name"]}),
    ):
        assert (answer.status_code, answer.json()["message"], answer.json()["changed"]) == (200, "Nothing changed", [])
    await admin.patch(session, json={"status": "failed"})
    resumed = (await admin.post(f"{session}/resume")).json()
    assert (resumed["message"], resumed["changed"]) == ("Session resumed successfully", ["status"])
    assert "changed" not in (await admin.get(session)).json()


async def test_restored_version_without_difference_is_no_new_version(
    admin: httpx.AsyncClient, places: dict[str, str]
) -> None:
    path = f"/configs/{places['config']}"
    for name in ("other", CONFIG["name"]):
        await admin.put(path, json={"name": name})
    same = (await admin.post(f"{path}/versions/1/restore")).json()
    assert (same["version"], same["message"], same["changed"]) == (3, None, [])
    restored = (await admin.post(f"{path}/versions/2/restore")).json()
    assert (restored["version"], restored["changed"]) == (4, ["name"])


async def test_null_removes_title_and_description(admin: httpx.AsyncClient, places: dict[str, str]) -> None:
    for path, method, name in (
        (f"/sessions/{places['session']}", "PATCH", "title"),
        (f"/configs/{places['config']}", "PUT", "description"),
    ):
        await admin.request(method, path, json={name: "given"})
        await admin.request(method, path, json={"tags": {"a": "b"}})
        assert (await admin.get(path)).json()[name] == "given"
        removed = (await admin.request(method, path, json={name: None})).json()
        assert (removed[name], removed["changed"]) == (None, [name])


@pytest.mark.parametrize("case", ["session", "status", "application", "participant"])
async def test_null_is_refused_where_it_would_remove_nothing(
    admin: httpx.AsyncClient, places: dict[str, str], case: str, sql: Sql
) -> None:
    method, path, body = CHANGES[case]
    before = rows(sql)
    for name in body.keys() - {"title"}:
        assert_problem(await admin.request(method, path.format_map(places), json={name: None}), 422)
    assert rows(sql) == before


async def test_put_config_ignores_null_of_other_fields(admin: httpx.AsyncClient, places: dict[str, str]) -> None:
    nothing = dict.fromkeys(["name", "config_data", "tags", "session", "includes", "tools", "providers"])
    answer = (await admin.put(f"/configs/{places['config']}", json=nothing)).json()
    assert (answer["changed"], answer["version"], answer["config_data"]) == ([], 1, CONFIG["config_data"])


async def test_if_match_is_checked_although_nothing_changes(admin: httpx.AsyncClient, places: dict[str, str]) -> None:
    session, config = f"/sessions/{places['session']}", f"/configs/{places['config']}"
    for method, path in (("PATCH", session), ("POST", f"{session}/resume"), ("PUT", config)):
        body = {} if method != "POST" else None
        assert_problem(await admin.request(method, path, json=body, headers={"If-Match": '"7"'}), 412)
        known = await admin.request(method, path, json=body, headers={"If-Match": '"1"'})
        assert (known.status_code, known.headers["etag"], known.json()["changed"]) == (200, '"1"', [])


async def test_viewers_and_strangers_learn_nothing_from_changes_without_effect(
    api: Api, admin: httpx.AsyncClient, places: dict[str, str]
) -> None:
    bob, eve = await api.as_user("bob", "other"), await api.as_user("eve", "other")
    session = f"/sessions/{places['session']}"
    for method, path, body in (
        ("PATCH", session, {"status": "active"}),
        ("PATCH", f"{session}/participants/alice", {"role": "owner"}),
        ("POST", f"{session}/participants", {"user_id": "alice", "role": "owner"}),
    ):
        assert_problem(await bob.request(method, path, json=body), 403)
        assert_problem(await eve.request(method, path, json=body), 404, "Session not found")
    assert_problem(await eve.put(f"/configs/{places['config']}", json={}), 404, "Config not found")
    last_owner = await admin.patch(f"{session}/participants/alice", json={"role": "owner"})
    assert (last_owner.status_code, last_owner.json()["changed"]) == (200, [])


async def test_same_change_at_once_happens_once(admin: httpx.AsyncClient, places: dict[str, str], sql: Sql) -> None:
    cases = CHANGES | {"config": ("PUT", "/configs/{config}", {"name": "N", "config_data": {"bundle": {"name": "b"}}})}
    for case in ("session", "status", "application", "participant", "config"):
        method, path, body = cases[case]
        calls = (admin.request(method, path.format_map(places), json=body) for _ in range(5))
        changed = [answer.json()["changed"] for answer in await asyncio.gather(*calls)]
        assert sorted(map(len, changed)) == [0, 0, 0, 0, len(body)], case
    assert sql("select count(*) from session_events where type <> 'participant.added'") == [(3,)]
    assert sql("select version from configs") == [(2,)]
    method, path, body = CHANGES["setting"]
    answers = await asyncio.gather(*(admin.request(method, path, json=body) for _ in range(5)))
    assert [answer.json()["value"] for answer in answers] == [body["value"]] * 5


async def test_secret_that_stays_the_same_keeps_its_encrypted_text(dsn: str, sql: Sql) -> None:
    """Until the config is written again under a new key."""
    config = {"bundle": {"name": "b"}, "tools": [{"module": "t", "config": {"token": 5, "api_key": "s"}}]}
    async with serving(settings_for(dsn, config_encryption_key="k" * 32)) as api:
        alice = await api.as_user("alice")
        path = (
            f"/configs/{(await alice.post('/configs', json={'name': 'n', 'config_data': config})).json()['config_id']}"
        )
        [(stored,)] = sql("select config_json from configs")
        assert (await alice.put(path, json={"config_data": config})).json()["version"] == 1
        changed = (await alice.put(path, json={"config_data": config | {"session": {"a": 1}}})).json()
        assert (changed["version"], changed["config_data"]["tools"]) == (2, stored["tools"])
        config["tools"][0]["config"]["token"] = True
        assert (await alice.put(path, json={"tools": config["tools"]})).json()["changed"] == ["config_data"]
        clear = (await alice.get(path, params={"decrypt": True})).json()["config_data"]
        assert clear == config | {"session": {"a": 1}}
    async with serving(settings_for(dsn, config_encryption_key=f"{'n' * 32},{'k' * 32}")) as api:
        again = (await (await api.as_user("alice", "later")).put(path, json={"config_data": clear})).json()
        assert (again["version"], again["changed"]) == (4, ["config_data"])
        [(renewed,)] = sql("select config_json from configs")
        assert renewed["tools"][0]["config"]["api_key"] != stored["tools"][0]["config"]["api_key"]


async def test_new_secret_that_is_sent_twice_at_once_makes_one_version(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, config_encryption_key="k" * 32)) as api:
        alice = await api.as_user("alice")
        made = await alice.post("/configs", json={"name": "n", "config_data": {"bundle": {"name": "b"}}})
        path, tools = f"/configs/{made.json()['config_id']}", [{"module": "t", "config": {"api_key": "s"}}]
        for body in ({"tools": tools}, {"config_data": {"bundle": {"name": "c"}, "tools": tools}}):
            version = sql("select version from configs")[0][0]
            answers = await asyncio.gather(*(alice.put(path, json=body) for _ in range(6)))
            assert [answer.json()["version"] for answer in answers] == [version + 1] * 6
            assert sorted(answer.json()["changed"] for answer in answers) == [[]] * 5 + [["config_data"]]
