"""The sessions of sub-agents: their parent, the list of a parent's children, and the people who see neither."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]


@pytest.fixture
async def child(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> str:
    """The id of a session of alice that an agent of `session_id` started."""
    made = (await alice.post("/sessions", json={"title": "Explore"})).json()["session_id"]
    sql("update sessions set parent_session_id = %s where session_id = %s", session_id, made)
    await alice.post(f"/sessions/{made}/transcript", json={"messages": [{"role": "user", "content": "look"}]})
    return str(made)


async def parent_of(client: httpx.AsyncClient, session_id: str) -> str | None:
    """Returns the parent of a session."""
    row = (await client.get(f"/sessions/{session_id}")).json()
    parent: str | None = row["parent_session_id"]
    return parent


async def children(client: httpx.AsyncClient, session_id: str, **query: Any) -> tuple[list[str], int]:
    """Returns the children of a session, and how many there are."""
    page = (await client.get("/sessions", params={"parent_session_id": session_id, **query})).json()
    return [one["session_id"] for one in page["sessions"]], page["total"]


async def share(client: httpx.AsyncClient, session_id: str) -> None:
    """Lets bob read a session."""
    answer = await client.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    assert answer.is_success


async def test_parent_and_children_are_shown(alice: httpx.AsyncClient, session_id: str, child: str) -> None:
    assert (await parent_of(alice, child), await parent_of(alice, session_id)) == (session_id, None)
    for query in ({}, {"include": "preview"}, {"sort": "created_at"}, {"limit": 1, "offset": 0}):
        assert await children(alice, session_id, **query) == ([child], 1), query
    assert await children(alice, child) == ([], 0)
    changed = await alice.patch(f"/sessions/{child}", json={"title": "Look"})
    assert changed.json()["parent_session_id"] == session_id


LISTS = [
    "/sessions",
    "/sessions?include=preview",
    "/sessions?sort=created_at",
    "/sessions?q=look",
    "/users/me/sessions",
    "/users/me/sessions?include=preview",
    "/users/me/sessions?owned=false&sort=created_at",
]


@pytest.mark.parametrize("path", LISTS)
async def test_lists_name_parents_to_their_participants(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, child: str, path: str
) -> None:
    async def listed(client: httpx.AsyncClient) -> dict[str, str | None]:
        page = (await client.get(path)).json()
        return {one["session_id"]: one["parent_session_id"] for one in page.get("sessions") or page["items"]}

    assert (await listed(alice))[child] == session_id
    await share(alice, child)
    assert await listed(bob) == {child: None}
    await share(alice, session_id)
    assert (await listed(bob))[child] == session_id
    assert (await alice.delete(f"/sessions/{session_id}")).is_success
    assert await listed(bob) == {child: None}


async def test_admin_sees_parents_that_the_user_sees(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, child: str
) -> None:
    admin = await api.as_user("x", "admin")
    await share(alice, child)
    for user, parent in (("alice", session_id), ("bob", None)):
        page = (await admin.get(f"/users/{user}/sessions")).json()["items"]
        assert {one["session_id"]: one["parent_session_id"] for one in page}[child] == parent


@pytest.mark.parametrize("query", [{}, {"include": "preview"}, {"limit": 1, "offset": 1}])
async def test_participants_of_child_alone_learn_no_parent(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, child: str, query: dict[str, Any]
) -> None:
    await share(alice, child)
    assert await parent_of(bob, child) is None
    assert await children(bob, session_id, **query) == ([], 0)
    await share(alice, session_id)
    assert await parent_of(bob, child) == session_id
    assert (await children(bob, session_id, **query))[1] == 1


async def test_participants_of_parent_alone_see_no_children(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, child: str
) -> None:
    await share(alice, session_id)
    assert await children(bob, session_id) == ([], 0)
    assert_problem(await bob.get(f"/sessions/{child}"), 404)


async def test_deleted_parent_is_no_parent(alice: httpx.AsyncClient, session_id: str, child: str) -> None:
    assert (await alice.delete(f"/sessions/{session_id}")).is_success
    assert await parent_of(alice, child) is None
    assert await children(alice, session_id) == ([], 0)


async def test_search_takes_no_parent(alice: httpx.AsyncClient, session_id: str) -> None:
    answer = await alice.get("/sessions", params={"parent_session_id": session_id, "q": "look"})
    assert_problem(answer, 422, "parent_session_id: does not go with q")
