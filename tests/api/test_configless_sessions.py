"""Sessions without a config only record, until their owner sets one."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_forks import said, transcript
from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]


@pytest.fixture
async def bare_id(alice: httpx.AsyncClient) -> str:
    """The id of a session of alice without a config."""
    return str((await alice.post("/sessions", json={"title": "Bare"})).json()["session_id"])


async def people(alice: httpx.AsyncClient, session_id: str, **roles: str) -> None:
    for user_id, role in roles.items():
        added = await alice.post(f"/sessions/{session_id}/participants", json={"user_id": user_id, "role": role})
        assert added.status_code == 201


async def test_session_without_config_records(alice: httpx.AsyncClient, bare_id: str) -> None:
    session = (await alice.get(f"/sessions/{bare_id}")).json()
    assert (session["config_id"], session["config_version"]) == (None, None)
    assert (await alice.post(f"/sessions/{bare_id}/transcript", json=said("needle"))).status_code == 201
    assert (await alice.get("/search", params={"q": "needle"})).json()["items"][0]["session_id"] == bare_id
    for listed in ("/sessions", "/sessions?sort=created_at", "/sessions?q=needle", "/sessions?status=active"):
        answer = (await alice.get(listed)).json()
        [row] = answer["sessions"]
        assert (row["session_id"], row["config_id"], row["title"]) == (bare_id, None, "Bare"), listed
    [row] = (await alice.get("/users/me/sessions")).json()["items"]
    assert row["config_id"] is None
    assert (await alice.delete(f"/sessions/{bare_id}")).status_code == 200


@pytest.mark.parametrize(("route", "on_busy"), [("messages", "enqueue"), ("stream", "enqueue"), ("messages", "reject")])
async def test_message_to_the_agent_says_what_is_missing(
    alice: httpx.AsyncClient, bare_id: str, sql: Sql, route: str, on_busy: str
) -> None:
    refused = await alice.post(f"/sessions/{bare_id}/{route}", json={"message": "Hi", "on_busy": on_busy})
    detail = f"The session has no config for an agent: set config_id with PATCH /sessions/{bare_id}"
    assert_problem(refused, 409, detail)
    assert sql("select count(*) from runs") == [(0,)]


async def test_config_is_set_later_and_replaced(
    alice: httpx.AsyncClient, config_id: str, bare_id: str, sql: Sql
) -> None:
    changed = await alice.patch(f"/sessions/{bare_id}", json={"config_id": config_id})
    assert (changed.json()["config_id"], changed.json()["config_version"]) == (config_id, 1)
    assert changed.json()["changed"] == ["config_id"]
    same = await alice.patch(f"/sessions/{bare_id}", json={"config_id": config_id})
    assert same.json()["message"] == "Nothing changed"
    other = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    await alice.put(f"/configs/{other}", json={"name": "newer"})
    changed = await alice.patch(f"/sessions/{bare_id}", json={"config_id": other, "title": "Both"})
    assert (changed.json()["config_version"], sorted(changed.json()["changed"])) == (2, ["config_id", "title"])
    assert_problem(await alice.patch(f"/sessions/{bare_id}", json={"config_id": None}), 422)
    assert (await alice.delete(f"/configs/{config_id}")).json()["deleted_sessions"] == 0
    events = sql("select data ->> 'config_id' from session_events where type = 'session.updated' order by seq")
    assert events == [(config_id,), (other,)]


async def test_only_the_owner_user_sets_a_config_of_their_own(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, bare_id: str, config_id: str
) -> None:
    await people(alice, bare_id, bob="owner", carol="editor", dave="viewer")
    own = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    forbidden = "Only the user who is the session's owner_user_id may set its config_id"
    target = f"/sessions/{bare_id}"
    for user_id, given, status, detail in (
        ("bob", own, 403, forbidden),
        ("bob", config_id, 403, forbidden),
        ("carol", config_id, 403, forbidden),
        ("dave", config_id, 403, "Only owners and editors may change a session"),
        ("erin", config_id, 404, "Session not found"),
        ("alice", own, 404, f"Config not found: {own}"),
        ("alice", "unknown", 404, "Config not found: unknown"),
    ):
        client = await api.as_user(user_id)
        assert_problem(await client.patch(target, json={"config_id": given, "title": "x"}), status, detail)
    session = (await alice.get(target)).json()
    assert (session["config_id"], session["title"]) == (None, "Bare")
    stale = await alice.patch(target, json={"config_id": config_id}, headers={"If-Match": '"99"'})
    assert_problem(stale, 412)


async def test_fork_and_transfer_without_config(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, bare_id: str, config_id: str
) -> None:
    await alice.post(f"/sessions/{bare_id}/transcript", json=said("a", "b"))
    await people(alice, bare_id, bob="viewer")
    fork = (await bob.post(f"/sessions/{bare_id}/fork", json={})).json()
    assert (fork["config_id"], fork["owner_user_id"], fork["messages_total"]) == (None, "bob", 2)
    assert len(await transcript(bob, fork["session_id"])) == 2
    assert (await alice.post(f"/sessions/{bare_id}/fork", json={"config_id": config_id})).json()[
        "config_id"
    ] == config_id
    refused = await bob.post(f"/sessions/{bare_id}/fork", json={"config_id": config_id})
    assert_problem(refused, 404, f"Config not found: {config_id}")
    handed = await alice.post(f"/sessions/{bare_id}/transfer", json={"user_id": "bob"})
    assert (handed.json()["config_id"], handed.json()["owner_user_id"]) == (None, "bob")


async def test_copy_of_a_config_goes_when_the_new_owner_sets_their_own(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await people(alice, session_id, bob="editor")
    await alice.post(f"/sessions/{session_id}/transfer", json={"user_id": "bob"})
    copies = "select count(*) from configs where copied_from_config_id is not null"
    assert sql(copies) == [(1,)]
    own = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    assert (await bob.patch(f"/sessions/{session_id}", json={"config_id": own})).json()["config_id"] == own
    assert sql(copies) == [(0,)]
