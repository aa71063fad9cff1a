"""Users over HTTP: one's own figures and sessions, for oneself and for admin applications."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from amplifier.api.users import User, UserSession
from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]
NOTHING: dict[str, Any] = {"items": [], "next": None}


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct) if field.required}


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def read(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def create(client: httpx.AsyncClient, config_id: str, count: int) -> list[str]:
    """The ids of new sessions."""
    answers = [await client.post("/sessions", json={"config_id": config_id}) for _ in range(count)]
    return [str(answer.json()["session_id"]) for answer in answers]


async def walk(client: httpx.AsyncClient, limit: int) -> list[str]:
    """The ids of all the caller's sessions, page by page."""
    collected: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = await read(client, "/users/me/sessions", **query)
        assert len(page["items"]) <= limit
        collected += [row["session_id"] for row in page["items"]]
        if page["next"] is None:
            return collected
        query["cursor"] = page["next"]


async def test_me_is_the_caller(alice: httpx.AsyncClient) -> None:
    me, own = await read(alice, "/users/me"), await read(alice, "/users/alice")
    assert me.keys() == own.keys() == names(User) | {"app_id", "is_admin"}
    assert (me["app_id"], me["is_admin"]) == ("app", False)
    assert me.items() >= {"user_id": "alice", "last_seen_app_id": "app", "total_sessions": 0, "metadata": {}}.items()
    del me["last_seen"], own["last_seen"]  # may move between the two
    assert me == own


async def test_others_are_not_found(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await read(bob, "/users/me")
    for user_id in ("bob", "nobody"):  # nothing tells whether somebody exists
        for path in (f"/users/{user_id}", f"/users/{user_id}/sessions"):
            assert_problem(await alice.get(path), 404, "User not found")


async def test_admin_application_may_ask_for_anybody(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    admin = await api.as_user("x", "admin")
    own, seen = await read(alice, "/users/me"), await read(admin, "/users/alice")
    assert (seen["user_id"], seen["total_sessions"]) == ("alice", 1)
    assert seen.keys() == names(User), "app_id and is_admin are of the request"
    assert seen["first_seen"] == own["first_seen"]
    me = await read(admin, "/users/me")
    assert (me["user_id"], me["app_id"], me["is_admin"]) == ("x", "admin", True)
    sessions = await read(admin, "/users/alice/sessions")
    assert sessions == await read(alice, "/users/me/sessions")
    assert [row["session_id"] for row in sessions["items"]] == [session_id]
    assert_problem(await admin.get("/users/nobody"), 404, "User not found")
    assert await read(admin, "/users/nobody/sessions") == NOTHING
    assert await read(admin, "/users/me/sessions") == NOTHING


async def test_total_sessions_counts_those_created(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str
) -> None:
    made = await create(alice, config_id, 3)
    await alice.post(f"/sessions/{made[0]}/participants", json={"user_id": "bob", "role": "owner"})
    await alice.delete(f"/sessions/{made[1]}")
    assert_problem(await alice.post("/sessions", json={"config_id": "unknown"}), 404)
    assert (await read(alice, "/users/me"))["total_sessions"] == 3
    assert (await read(bob, "/users/me"))["total_sessions"] == 0


async def test_sessions_are_own_and_shared_ones(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, session_id: str
) -> None:
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    body = {"title": "Trip", "tags": {"team": "red"}, "status": "active"}
    await alice.patch(f"/sessions/{session_id}", json=body)
    await bob.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}]})
    (shared,) = (await read(bob, "/users/bob/sessions"))["items"]
    assert shared.keys() == names(UserSession)
    session = (await bob.get(f"/sessions/{session_id}")).json()
    (_, part) = (await bob.get(f"/sessions/{session_id}/participants")).json()["items"]
    own = {"joined_at": part["joined_at"], "last_active_at": shared["last_active_at"], "last_read_seq": 0, "unread": 0}
    assert shared == {name: session[name] for name in names(UserSession) - own.keys()} | own
    assert (shared["role"], shared["owner_user_id"], shared["config_id"]) == ("editor", "alice", config_id)
    (owned,) = (await read(alice, "/users/me/sessions"))["items"]
    assert (owned["role"], owned["last_seq"], owned["message_count"]) == ("owner", 3, 1)
    await alice.delete(f"/sessions/{session_id}/participants/bob")
    assert await read(bob, "/users/me/sessions") == NOTHING


async def test_pages_cover_all_in_the_order_of_activity(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    made = await create(alice, config_id, 7)
    for session_id in made[:3]:
        sql("insert into session_participants (session_id, user_id, role) values (%s, 'bob', 'viewer')", session_id)
    days = (3, 9, 1, 5, 5, 5, 8)
    moments = {session_id: f"2026-01-{day:02}T12:00:00.123456Z" for session_id, day in zip(made, days, strict=True)}
    for session_id, moment in moments.items():
        sql("update session_participants set last_active_at = %s where session_id = %s", moment, session_id)
    expected = sorted(made, key=lambda session_id: (moments[session_id], session_id), reverse=True)
    for limit in (1, 2, 3, 7, 200):  # some of them end between rows of the same moment
        assert await walk(alice, limit) == expected
    assert await walk(bob, 2) == [session_id for session_id in expected if session_id in made[:3]]
    rows = (await read(alice, "/users/me/sessions"))["items"]
    assert [row["last_active_at"] for row in rows] == [moments[session_id] for session_id in expected]
    for wrong in ({"limit": 0}, {"limit": 201}, {"limit": "x"}):
        assert_problem(await alice.get("/users/me/sessions", params=wrong), 422)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "!!!",
        "x" * 2001,
        cursor("{}"),
        cursor("[]"),
        cursor('["sessions",["2026-01-01T00:00:00Z","x"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00","x"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z","x","y"]]'),
        cursor('["user_sessions",["2026-13-01T00:00:00Z","x"]]'),
        cursor('["user_sessions",["9999-12-31T23:59:59-14:00","x"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z","\\u0000"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z","\\ud800"]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z",7]]'),
        cursor('["user_sessions",["2026-01-01T00:00:00Z","%s"]]' % ("x" * 256)),
        "é",
    ],
    ids=lambda text: repr(text)[:40],
)
async def test_broken_cursor_is_refused(alice: httpx.AsyncClient, session_id: str, wrong: str) -> None:
    assert_problem(await alice.get("/users/me/sessions", params={"cursor": wrong}), 422)


async def test_cursor_gives_no_right_to_anything(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str
) -> None:
    await create(alice, config_id, 2)
    page = await read(alice, "/users/me/sessions", limit=1)
    assert page["next"] is not None
    assert await read(bob, "/users/me/sessions", cursor=page["next"]) == NOTHING
