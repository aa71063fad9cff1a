"""Sessions over HTTP: works, stranger 404, viewer refused, lists and pages."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

UNKNOWN = "00000000-0000-4000-8000-000000000000"


async def create(client: httpx.AsyncClient, config_id: str, **body: Any) -> dict[str, Any]:
    response = await client.post("/sessions", json={"config_id": config_id, **body})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_create_read_delete(alice: httpx.AsyncClient, config_id: str) -> None:
    created = await create(alice, config_id, title="Trip", tags={"team": "red"}, metadata={"n": [1, 2.5, None]})
    expected = {
        "config_id": config_id,
        "status": "active",
        "title": "Trip",
        "tags": {"team": "red"},
        "metadata": {"n": [1, 2.5, None]},
        "role": "owner",
        "owner_user_id": "alice",
        "created_by_app_id": "app",
        "message_count": 0,
        "messages_total": 0,
        "last_seq": 0,
        "message": "Session created successfully",
    }
    assert created.items() >= expected.items()
    assert created["created_at"].endswith("Z")
    path = f"/sessions/{created['session_id']}"
    read = await alice.get(path)
    assert read.status_code == 200
    assert read.json() == {**created, "message": None}
    deleted = await alice.delete(path)
    assert deleted.status_code == 200
    assert deleted.json() == {"message": "Session deleted successfully"}
    assert_problem(await alice.get(path), 404, "Session not found")


async def test_unknown_or_foreign_config(alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str) -> None:
    for client, wanted in ((alice, UNKNOWN), (bob, config_id)):
        response = await client.post("/sessions", json={"config_id": wanted})
        assert_problem(response, 404, f"Config not found: {wanted}")


async def test_change(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}"
    before = (await alice.get(path)).json()
    changed = await alice.patch(path, json={"title": "New", "tags": {"a": "b"}, "status": "completed"})
    assert changed.status_code == 200
    assert changed.json()["message"] == "Session updated successfully"
    after = (await alice.get(path)).json()
    assert (after["title"], after["tags"], after["status"]) == ("New", {"a": "b"}, "completed")
    assert after["metadata"] == before["metadata"]
    assert after["updated_at"] > before["updated_at"]
    resumed = await alice.post(f"{path}/resume")
    assert resumed.status_code == 200
    assert (resumed.json()["status"], resumed.json()["message"]) == ("active", "Session resumed successfully")
    assert (await alice.patch(path, json={"title": ""})).json()["title"] is None
    assert (await alice.patch(path, json={})).json()["tags"] == {"a": "b"}


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("DELETE", "", None),
        ("POST", "/resume", None),
        ("POST", "/transcript", {"messages": [{"role": "user", "content": "x"}]}),
        ("GET", "/transcript", None),
        ("GET", "/transcript?view=plain", None),
    ],
)
async def test_access(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., Any], method: str, suffix: str, body: Any
) -> None:
    path = f"/sessions/{session_id}{suffix}"
    stranger, viewer = await api.as_user("stranger"), await api.as_user("viewer")
    sql("insert into session_participants (session_id, user_id, role) values (%s, 'viewer', 'viewer')", session_id)
    absent = await stranger.request(method, f"/sessions/{UNKNOWN}{suffix}", json=body)
    refused = await stranger.request(method, path, json=body)
    assert_problem(refused, 404, "Session not found")
    assert refused.json() == absent.json()  # nothing tells whether it exists
    seen = await viewer.request(method, path, json=body)
    if method == "GET":
        assert seen.status_code == 200
    else:
        assert_problem(seen, 403)
    assert (await alice.get(f"/sessions/{session_id}")).json()["last_seq"] == 0
    # the session belongs to people, not to the application it was made through
    assert (await (await api.as_user("alice", "other")).request(method, path, json=body)).is_success


async def test_list_pages_and_totals(alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str) -> None:
    made = [(await create(alice, config_id, tags={"n": str(n % 2), "all": "yes"}))["session_id"] for n in range(5)]
    newest_first = made[::-1]
    page = (await alice.get("/sessions")).json()
    assert [row["session_id"] for row in page["sessions"]] == newest_first
    assert (page["total"], page["next"]) == (5, None)
    shape = {"session_id", "config_id", "status", "message_count", "created_at", "updated_at"}
    assert page["sessions"][0].keys() >= shape
    page = (await alice.get("/sessions", params={"limit": 2, "offset": 1})).json()
    assert [row["session_id"] for row in page["sessions"]] == newest_first[1:3]
    assert page["total"] == 5
    collected, cursor = [], None
    while True:
        page = (await alice.get("/sessions", params={"limit": 2, **({"after": cursor} if cursor else {})})).json()
        assert page["total"] == 5
        collected += [row["session_id"] for row in page["sessions"]]
        if (cursor := page["next"]) is None:
            break
    assert collected == newest_first
    tagged = (await alice.get("/sessions", params={"tag": ["n:1", "all:yes"]})).json()
    assert [row["session_id"] for row in tagged["sessions"]] == [made[3], made[1]]
    assert tagged["total"] == 2
    assert (await bob.get("/sessions")).json() == {"sessions": [], "total": 0, "next": None}
    assert (await alice.get("/sessions", params={"offset": 9})).json() == {"sessions": [], "total": 5, "next": None}


async def test_append_moves_session_to_the_front(alice: httpx.AsyncClient, config_id: str) -> None:
    first, _ = [(await create(alice, config_id))["session_id"] for _ in range(2)]
    await alice.post(f"/sessions/{first}/transcript", json={"messages": [{"role": "user", "content": "x"}]})
    row = (await alice.get("/sessions")).json()["sessions"][0]
    assert (row["session_id"], row["message_count"], row["last_seq"]) == (first, 1, 1)


async def test_figures_are_kept(
    api: Api, alice: httpx.AsyncClient, config_id: str, sql: Callable[..., list[Any]]
) -> None:
    session_id = (await create(alice, config_id))["session_id"]
    other = await api.as_user("alice", "other")
    await other.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}]})
    after = (await alice.get(f"/sessions/{session_id}")).json()
    assert (after["created_by_app_id"], after["last_accessed_by_app_id"]) == ("app", "other")
    assert after["last_accessed_at"] > after["created_at"]
    assert (await alice.get("/users/me")).json()["total_sessions"] == 1
    assert sql("select role from session_participants where session_id = %s", session_id) == [("owner",)]


async def test_deleting_a_config_deletes_its_sessions(alice: httpx.AsyncClient, session_id: str) -> None:
    config_id = (await alice.get(f"/sessions/{session_id}")).json()["config_id"]
    assert (await alice.delete(f"/configs/{config_id}")).status_code == 200
    assert_problem(await alice.get(f"/sessions/{session_id}"), 404, "Session not found")


async def test_create_while_the_config_is_deleted(alice: httpx.AsyncClient) -> None:
    """Concurrent callers: each create either finds the config or a 404, never an error of the database."""
    config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    creates = [alice.post("/sessions", json={"config_id": config_id}) for _ in range(10)]
    answers = await asyncio.gather(*creates[:5], alice.delete(f"/configs/{config_id}"), *creates[5:])
    assert {answer.status_code for answer in answers} <= {200, 201, 404}
    assert (await alice.get("/sessions")).json()["total"] == 0
