"""The lists of sessions by status, config, time and participant, in each order, alone and with a search."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]
LISTS = {"/sessions": "sessions", "/users/me/sessions": "items"}
each_list = pytest.mark.parametrize("path", LISTS)
SORTS = ["updated_at", "created_at", "last_active_at"]


class World(NamedTuple):
    """Eight sessions of alice's, four of which bob shares, and as many of bob's own; times differ in each column."""

    alice: httpx.AsyncClient
    rows: list[dict[str, Any]]  # of alice's sessions, as the database has them

    async def found(self, path: str, **params: Any) -> list[str]:
        """The ids on the only page."""
        answer = await self.alice.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        if path == "/sessions":
            assert page["total"] == len(page["sessions"])
        return [row["session_id"] for row in page[LISTS[path]]]

    async def walked(self, path: str, **params: Any) -> list[str]:
        """The ids on all pages, by `Link`."""
        ids, url = [], str(httpx.URL(path, params={"limit": 3, **params}))
        while url:
            answer = await self.alice.get(url)
            ids += [row["session_id"] for row in answer.json()[LISTS[path]]]
            url = answer.links.get("next", {}).get("url", "")
        return ids


@pytest.fixture
async def world(api: Api, sql: Sql) -> World:
    alice, bob = await api.as_user("alice"), await api.as_user("bob")
    configs = [(await client.post("/configs", json=CONFIG)).json()["config_id"] for client in (alice, alice, bob)]
    rows = []
    for number in range(8):
        body = {"config_id": configs[number % 2], "title": "needle", "tags": {"n": str(number % 3)}}
        session_id = (await alice.post("/sessions", json=body)).json()["session_id"]
        await bob.post("/sessions", json={"config_id": configs[2], "title": "needle", "tags": {"n": "0"}})
        status = ("active", "completed", "failed")[number % 3]
        times = {"created_at": (number * 3) % 8, "updated_at": (number * 5) % 4, "last_active_at": 7 - number}
        days = {name: f"2026-01-{day + 10:02}T12:00:00Z" for name, day in times.items()}
        if number % 2:
            await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
            await api.app.state.activity.flush()  # or it would write `last_active_at` later
        sql("alter table sessions disable trigger user")
        sql(
            "update sessions set status = %s, created_at = %s, updated_at = %s where session_id = %s",
            *(status, days["created_at"], days["updated_at"], session_id),
        )
        sql("alter table sessions enable trigger user")
        sql(
            "update session_participants set last_active_at = %s where session_id = %s and user_id = 'alice'",
            *(days["last_active_at"], session_id),
        )
        shared = bool(number % 2)
        rows.append(
            {"session_id": session_id, "config_id": body["config_id"], "status": status, "shared": shared, **days}
        )
    return World(alice, rows)


def filters(world: World) -> list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]]:
    noon, config_id = "2026-01-12T12:00:00Z", world.rows[0]["config_id"]
    return [
        ({"status": "completed"}, lambda row: row["status"] == "completed"),
        ({"config_id": config_id}, lambda row: row["config_id"] == config_id),
        ({"participant": "bob"}, lambda row: row["shared"]),
        ({"participant": "alice"}, lambda row: True),
        ({"participant": "nobody"}, lambda row: False),
        ({"created_after": noon}, lambda row: row["created_at"] >= noon),
        ({"created_before": "2026-01-15T12:00:00"}, lambda row: row["created_at"] < "2026-01-15T12:00:00Z"),
        ({"updated_after": noon}, lambda row: row["updated_at"] >= noon),
        ({"updated_before": noon}, lambda row: row["updated_at"] < noon),
    ]


@each_list
async def test_filters_alone_and_together(world: World, path: str) -> None:
    for count in (1, 2):
        for chosen in itertools.combinations(filters(world), count):
            params = {name: value for given, _ in chosen for name, value in given.items()}
            if len(params) < count:
                continue
            expected = {row["session_id"] for row in world.rows if all(keeps(row) for _, keeps in chosen)}
            assert set(await world.found(path, **params)) == expected, params
            if path == "/sessions":
                assert set(await world.found(path, q="needle", **params)) == expected, params


@each_list
async def test_each_order_through_pages(world: World, path: str) -> None:
    for sort, order in itertools.product(SORTS, ("asc", "desc")):
        if path == "/sessions" and sort == "last_active_at":
            continue
        rows = sorted(world.rows, key=lambda row: (row[sort], row["session_id"]), reverse=order == "desc")
        expected = [row["session_id"] for row in rows]
        assert await world.found(path, sort=sort, order=order) == expected
        assert await world.walked(path, sort=sort, order=order) == expected
        shared = [row["session_id"] for row in rows if row["shared"]]
        assert await world.walked(path, sort=sort, order=order, participant="bob") == shared


async def test_order_of_creation_is_stable_while_sessions_are_added(world: World, config_id: str) -> None:
    for order in ("asc", "desc"):
        params = {"sort": "created_at", "order": order, "limit": 5}
        first = (await world.alice.get("/sessions", params=params)).json()
        await world.alice.post("/sessions", json={"config_id": config_id})
        rest = (await world.alice.get("/sessions", params=params | {"cursor": first["next"], "limit": 200})).json()
        seen = [row["session_id"] for row in first["sessions"] + rest["sessions"]]
        assert len(set(seen)) == len(seen)
        assert {row["session_id"] for row in world.rows} <= set(seen)


async def test_total_counts_what_filters_match(world: World) -> None:
    page = (await world.alice.get("/sessions", params={"participant": "bob", "limit": 1})).json()
    assert (len(page["sessions"]), page["total"]) == (1, 4)
    page = (await world.alice.get("/sessions", params={"participant": "bob", "limit": 1, "q": "needle"})).json()
    assert (len(page["sessions"]), page["total"]) == (1, 4)


async def test_filters_show_no_sessions_of_others(api: Api, world: World) -> None:
    stranger, admin = await api.as_user("stranger"), await api.as_user("x", "admin")
    for (params, _), path in itertools.product(filters(world), LISTS):
        assert (await stranger.get(path, params=params)).json()[LISTS[path]] == [], params
    assert (await stranger.get("/sessions", params={"participant": "bob", "q": "needle"})).json()["sessions"] == []
    assert_problem(await stranger.get("/users/alice/sessions?participant=stranger"), 404, "User not found")
    seen = (await admin.get("/users/bob/sessions?participant=alice&owned=false")).json()["items"]
    assert {row["session_id"] for row in seen} == {row["session_id"] for row in world.rows if row["shared"]}
    assert (await admin.get("/users/bob/sessions?participant=alice&owned=true")).json()["items"] == []


async def test_cursor_belongs_to_list_and_order(world: World) -> None:
    cursor = (await world.alice.get("/sessions?limit=1")).json()["next"]
    for url in (
        "/sessions?sort=created_at&",
        "/sessions?order=asc&",
        "/users/me/sessions?sort=updated_at&",
        "/configs?",
    ):
        answer = await world.alice.get(f"{url}cursor={cursor}")
        assert_problem(answer, 422, "cursor: not a cursor of this list; use the `next` of the page before")
    both = await world.alice.get("/sessions", params={"cursor": cursor, "after": cursor})
    assert_problem(both, 422, "after: is the former name of cursor; give cursor alone")
    assert (await world.alice.get("/sessions", params={"after": cursor})).status_code == 200


@each_list
@pytest.mark.parametrize(
    "query",
    [
        "status=open",
        "sort=title",
        "order=up",
        "created_after=x",
        "updated_before=",
        "created_after=2026-01-02T00:00:00Z&created_before=2026-01-01T00:00:00Z",
        "updated_after=2026-01-02T00:00:00Z&updated_before=2026-01-01T00:00:00Z",
        "participant=%00",
        f"participant={'x' * 256}",
        f"config_id={'x' * 256}",
    ],
)
async def test_bad_input(alice: httpx.AsyncClient, path: str, query: str) -> None:
    assert_problem(await alice.get(f"{path}?{query}"), 422)


async def test_search_has_its_own_order(alice: httpx.AsyncClient) -> None:
    for name, value in (("sort", "created_at"), ("order", "desc")):
        answer = await alice.get("/sessions", params={"q": "needle", name: value})
        assert_problem(answer, 422, f"{name}: does not go with q, which sorts by rank")


@each_list
async def test_shared_sessions_are_those_of_other_owners(api: Api, config_id: str, path: str) -> None:
    alice, bob = await api.as_user("alice"), await api.as_user("bob")
    own, viewed, edited = [(await client.post("/sessions")).json()["session_id"] for client in (alice, bob, bob)]
    for session_id, role in ((viewed, "viewer"), (edited, "editor")):
        await bob.post(f"/sessions/{session_id}/participants", json={"user_id": "alice", "role": role})
    for given, expected in (({"shared": "true"}, {viewed, edited}), ({"shared": "false"}, {own, viewed, edited})):
        for include in ({}, {"include": "participants"}):
            page = (await alice.get(path, params={**given, **include})).json()
            assert {row["session_id"] for row in page[LISTS[path]]} == expected
            assert page.get("total", len(expected)) == len(expected)
    assert (await alice.get(path, params={"shared": "true", "owned": "true"})).json()[LISTS[path]] == []


@each_list
async def test_unread_sessions_have_messages_that_the_user_has_not_read(api: Api, path: str) -> None:
    alice, bob = await api.as_user("alice"), await api.as_user("bob")
    ids = [(await bob.post("/sessions")).json()["session_id"] for _ in range(3)]
    for session_id in ids:
        await bob.post(f"/sessions/{session_id}/participants", json={"user_id": "alice", "role": "editor"})
    said = {"messages": [{"role": "user", "content": "hello"}]}
    await bob.post(f"/sessions/{ids[0]}/transcript", json=said)
    await alice.post(f"/sessions/{ids[1]}/transcript", json=said)  # her own

    async def unread(client: httpx.AsyncClient, **params: Any) -> list[str]:
        page = (await client.get(path, params={"unread": "true", **params})).json()
        assert page.get("total", len(page[LISTS[path]])) == len(page[LISTS[path]])
        return [row["session_id"] for row in page[LISTS[path]]]

    for include in ({}, {"include": "run"}):
        assert await unread(alice, **include) == ids[:1]
        assert await unread(bob, **include) == ids[1:2]
    last_seq = (await alice.get(f"/sessions/{ids[0]}")).json()["last_seq"]
    await alice.post(f"/sessions/{ids[0]}/read", json={"seq": last_seq})
    assert await unread(alice) == []


async def test_shared_and_unread_do_not_go_with_a_search(alice: httpx.AsyncClient) -> None:
    for name in ("shared", "unread"):
        assert_problem(await alice.get(f"/sessions?q=needle&{name}=true"), 422, f"{name}: does not go with q")
        assert (await alice.get(f"/sessions?q=needle&{name}=false")).status_code == 200
