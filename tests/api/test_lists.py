"""Every list in pages: the rows of the whole list, also while rows are added, and no cursor of another list."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]
SESSION = "/sessions/{session_id}"
# each list with the column that identifies a row
LISTS = {
    "/applications": "app_id",
    "/applications/app/keys": "key_id",
    "/audit": "audit_id",
    "/configs": "config_id",
    "/configs?sort=created_at&order=asc": "config_id",
    "/configs/{config_id}/versions": "version",
    "/sessions": "session_id",
    "/settings": "key",
    "/users/me/sessions": "session_id",
    f"{SESSION}/approvals": "approval_id",
    f"{SESSION}/invitations": "invitation_id",
    f"{SESSION}/participants": "user_id",
    f"{SESSION}/presence": "user_id",
    f"{SESSION}/runs": "run_id",
}
each_list = pytest.mark.parametrize("path", LISTS)
RUNS = """
insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at)
values ('{0}', 'run-1', 'running', '{{"role": "user"}}', 'alice', 'app', now(), 'p', 'infinity');
insert into runs (session_id, run_id, status, message, user_id, app_id)
select '{0}', 'run-' || n, 'queued', '{{"role": "user"}}', 'alice', 'app' from generate_series(2, 4) as n;
insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
select '{0}', 'approval-' || n, 'run-1', 'May I?', '{{Allow, Deny}}', 'infinity' from generate_series(1, 4) as n;
insert into streams (stream_id, process_id, session_id, user_id)
select n || user_id, 'p', '{0}', user_id from session_participants cross join generate_series(1, 2) as n
where session_id = '{0}'
"""


class World(NamedTuple):
    """An admin application's client with at least four rows in every list."""

    client: httpx.AsyncClient
    ids: dict[str, str]

    def url(self, path: str, **query: Any) -> str:
        path, mark, given = path.format(**self.ids).partition("?")
        text = "&".join([*([given] if mark else []), *(f"{name}={quote(str(value))}" for name, value in query.items())])
        return f"{path}?{text}"

    async def rows(self, url: str) -> tuple[list[Any], str]:
        """The rows of a page, and the address of the next one."""
        answer = await self.client.get(url)
        assert answer.status_code == 200, answer.text
        page, following = answer.json(), answer.links.get("next", {}).get("url", "")
        if isinstance(page, dict):
            assert (page["next"] is None) == (following == "")
            page = next(page[name] for name in ("items", "configs", "sessions") if name in page)
        return page, following


@pytest.fixture
async def world(api: Api, sql: Sql) -> World:
    client = await api.as_user("alice", "admin")
    await api.register("app")
    for number in range(4):
        await client.post("/applications", json={"app_id": f"app-{number}", "app_name": "A"})
        await client.post("/applications/app/keys", json={"name": str(number)})
        await client.put(f"/settings/{number}", json={"value": number})
        config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    path = f"/sessions/{session_id}"
    for number in range(4):
        await client.put(f"/configs/{config_id}", json={"name": str(number)})
        await client.post(f"{path}/participants", json={"user_id": f"user {number}", "role": "viewer"})
        await client.post(f"{path}/invitations", json={"role": "viewer"})
    for statement in RUNS.format(session_id).split(";"):
        sql(statement.replace("%", "%%"))
    return World(client, {"config_id": config_id, "session_id": session_id})


@each_list
async def test_pages_have_the_rows_of_the_whole_list(world: World, path: str) -> None:
    whole, end = await world.rows(world.url(path))
    assert (len(whole) >= 4, end) == (True, "")
    for limit in (1, 3, len(whole)):
        rows, url = [], world.url(path, limit=limit)
        while url:
            page, url = await world.rows(url)
            assert len(page) <= limit
            rows += page
        assert [row[LISTS[path]] for row in rows] == [row[LISTS[path]] for row in whole]


@each_list
async def test_cursor_of_another_list_is_refused(world: World, path: str) -> None:
    for other in LISTS:
        if other != path:
            cursor = httpx.URL((await world.rows(world.url(other, limit=1)))[1]).params["cursor"]
            answer = await world.client.get(world.url(path, cursor=cursor))
            assert_problem(answer, 422, "cursor: not a cursor of this list; use the `next` of the page before")


@each_list
async def test_bad_pages_are_refused(world: World, path: str) -> None:
    for query in (
        {"limit": 0},
        {"limit": 1001},
        {"limit": "x"},
        {"cursor": ""},
        {"cursor": "x"},
        {"cursor": "x" * 2001},
    ):
        assert_problem(await world.client.get(world.url(path, **query)), 422)


async def test_rows_added_meanwhile_repeat_and_hide_none(world: World) -> None:
    path = f"/sessions/{world.ids['session_id']}/participants"
    first, url = await world.rows(f"{path}?limit=2")
    for name in ("aaa", "zzz"):  # before and after the place of the cursor
        await world.client.post(path, json={"user_id": name, "role": "viewer"})
    rest, _ = await world.rows(url.replace("limit=2", "limit=100"))
    expected = ["alice", *(f"user {number}" for number in range(4)), "zzz"]
    assert [row["user_id"] for row in first + rest] == expected


async def test_link_replaces_former_parameters(world: World) -> None:
    _, url = await world.rows("/configs?limit=1&offset=1")
    assert set(httpx.URL(url).params) == {"limit", "cursor"}
    cursor = httpx.URL(url).params["cursor"]
    by_former_name, following = await world.rows(f"/configs?limit=1&after={cursor}")
    assert by_former_name == (await world.rows(url))[0]
    assert set(httpx.URL(following).params) == {"limit", "cursor"}


async def test_existing_clients_get_all_applications(world: World, sql: Sql) -> None:
    sql(
        "insert into applications (app_id, app_name, api_key_hash, api_key_prefix)"
        " select 'bulk-' || n, 'A', repeat('a', 64), 'bulk-' || n from generate_series(1, 900) as n"
    )
    rows, end = await world.rows("/applications")
    assert (len(rows), end) == (906, "")


async def test_runs_by_status(world: World, api: Api) -> None:
    path = world.url(f"{SESSION}/runs", status="queued")
    assert [row["run_id"] for row in (await world.rows(path))[0]] == ["run-4", "run-3", "run-2"]
    assert (await world.rows(path.replace("queued", "failed")))[0] == []
    assert_problem(await world.client.get(path.replace("queued", "open")), 422)
    assert_problem(await (await api.as_user("stranger")).get(path), 404, "Session not found")


async def test_configs_by_name_and_order(world: World, api: Api) -> None:
    for name in ("Travel DESK", "desk_2", "100% desk", "Élan"):
        await world.client.post("/configs", json={"name": name, "config_data": json.loads('{"bundle": {"name": "b"}}')})

    async def named(name: str, **query: str) -> list[str]:
        return [row["name"] for row in (await world.rows(world.url("/configs", name=name, **query)))[0]]

    assert await named("desk") == ["100% desk", "desk_2", "Travel DESK"]
    assert await named("desk", sort="created_at", order="asc") == ["Travel DESK", "desk_2", "100% desk"]
    assert (await named("%"), await named("_"), await named("élan"), await named("nothing")) == (
        *(["100% desk"], ["desk_2"], ["Élan"], []),
    )
    page = (await world.client.get("/configs?name=desk&limit=1&order=asc")).json()
    assert (page["total"], page["configs"][0]["name"]) == (3, "Travel DESK")
    assert (await (await api.as_user("bob")).get("/configs?name=desk")).json()["configs"] == []
    for query in ("sort=name", "order=up", f"name={'x' * 256}", "name=%00"):
        assert_problem(await world.client.get(f"/configs?{query}"), 422)
