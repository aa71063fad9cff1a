"""State documents of sessions, users and applications: merge patches alone and with appends, versions, rights."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving, settings_for, token
from tests.support.stage import ALICE, Stage, staged

Sql = Callable[..., list[Any]]
SAID = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    async with staged(dsn, sql) as stage:
        yield stage


async def append(client: httpx.AsyncClient, session_id: str, state: Any, **more: Any) -> httpx.Response:
    body = {"messages": SAID, "state": state, **more}
    return await client.post(f"/sessions/{session_id}/transcript", json=body)


async def patch(client: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    return await client.patch(path, json=body)


async def read(client: httpx.AsyncClient, session_id: str) -> dict[str, tuple[Any, int]]:
    """Document and version by scope."""
    answer = (await client.get(f"/sessions/{session_id}/state")).json()
    return {scope: (one["document"], one["version"]) for scope, one in answer.items()}


async def test_append_merges_all_scopes(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    before = (await alice.get(f"/sessions/{session_id}/state")).json()
    assert before["user"] == {"document": {}, "version": 0, "updated_at": None}
    patches = {"session": {"step": 1, "a": {"b": 1}}, "user": {"name": "Ann"}, "application": {"model": "x"}}
    done = await append(alice, session_id, patches)
    assert done.status_code == 201
    assert done.json() == {
        "session_id": session_id,
        "first_seq": 1,
        "last_seq": 2,
        "message_count": 1,
        "messages_total": 1,
        "state": {scope: {"document": document, "version": 1} for scope, document in patches.items()},
    }
    again = (await append(alice, session_id, {"session": {"a": {"b": None, "c": 2}}, "user": {"name": "Ann"}})).json()
    assert again["state"] == {
        "session": {"document": {"step": 1, "a": {"c": 2}}, "version": 2},
        "user": {"document": {"name": "Ann"}, "version": 1},
    }
    assert await read(alice, session_id) == {
        "session": ({"step": 1, "a": {"c": 2}}, 2), "user": ({"name": "Ann"}, 1), "application": ({"model": "x"}, 1)
    }  # fmt: skip
    assert sql("select seq, data from session_events where type = 'state.updated' order by seq") == [
        (2, {"version": 1, "names": ["a", "step"]}),
        (4, {"version": 2, "names": ["a"]}),
    ]


async def test_state_goes_with_keys_and_without_messages(alice: httpx.AsyncClient, session_id: str) -> None:
    state = {"session": {"a": 1}}
    first = (await append(alice, session_id, state, keys=["k"])).json()
    assert (first["seqs"], first["last_seq"], first["state"]["session"]["version"]) == ([1], 2, 1)
    again = (await append(alice, session_id, state, keys=["k"])).json()
    assert (again["skipped"], again["last_seq"], again["state"]["session"]["version"]) == ([0], 2, 1)
    grown = {"messages": [{"role": "user", "content": "Hello!"}], "keys": ["k"], "on_conflict": "replace"}
    both = (await append(alice, session_id, {"session": {"a": 2}}, **grown)).json()
    assert (both["replaced"], both["last_seq"], both["state"]["session"]["version"]) == ([0], 4, 2)
    alone = (await append(alice, session_id, {"session": {"a": 3}}, messages=[])).json()
    assert (alone["first_seq"], alone["last_seq"], alone["messages_total"]) == (6, 5, 1)
    nothing = await append(alice, session_id, {}, messages=[])
    assert_problem(nothing, 422, "Expected `array` of length >= 1 - at `$.messages`")


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        ({"user": {"a": "x" * 70_000}}, "The state of the user would be larger than 64 kB as text after this patch"),
        (
            {"session": {"a": "x" * 70_000}},
            "The state of the session would be larger than 64 kB as text after this patch",
        ),
    ],
)
async def test_nothing_is_stored_if_a_document_is_too_large(
    alice: httpx.AsyncClient, session_id: str, state: Any, detail: str
) -> None:
    assert_problem(await append(alice, session_id, state | {"application": {"b": 1}}), 422, detail)
    assert (await alice.get(f"/sessions/{session_id}")).json()["last_seq"] == 0
    assert {version for _, version in (await read(alice, session_id)).values()} == {0}


async def test_stale_append_leaves_state(alice: httpx.AsyncClient, session_id: str) -> None:
    assert (await append(alice, session_id, {"user": {"a": 1}}, expected_seq=7)).status_code == 412
    assert (await read(alice, session_id))["user"] == ({}, 0)


async def test_patches_compare_versions(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}/state"
    one = await patch(alice, path, session={"a": 1}, user={"b": 1}, versions={"session": 0, "application": 0})
    assert one.json() == {
        scope: {"document": {name: 1}, "version": 1} for scope, name in (("session", "a"), ("user", "b"))
    }
    two = await patch(alice, path, user={"b": 2}, session={"a": 2}, versions={"session": 1, "user": 0})
    assert_problem(two, 412, "The state of the user has version 1, not 0: read it, and patch it again")
    assert two.json()["versions"] == {"session": 1, "user": 1, "application": 0}
    own = await patch(alice, "/state", user={"b": None, "c": {"d": 1}}, versions={"user": 1})
    assert own.json() == {"user": {"document": {"c": {"d": 1}}, "version": 2}}
    assert (await patch(alice, "/state", user={"b": 3}, versions={"user": 1})).status_code == 412
    assert (await alice.get("/state")).json()["user"]["document"] == {"c": {"d": 1}}
    for body in ("{}", '{"versions": {"user": 1}}', '{"user": 1}', '{"other": {}}', '{"user": {"a": 1e999999}}'):
        refused = await alice.patch(path, content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 422, body
    assert (await patch(alice, "/state", session={"a": 1})).status_code == 422


async def test_people_see_their_own(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    bob, other = await api.as_user("bob"), await api.as_user("alice", "other")
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    await append(alice, session_id, {"session": {"s": 1}, "user": {"u": 1}, "application": {"a": 1}})
    assert await read(bob, session_id) == {"session": ({"s": 1}, 1), "user": ({}, 0), "application": ({"a": 1}, 1)}
    assert await read(other, session_id) == {"session": ({"s": 1}, 1), "user": ({}, 0), "application": ({}, 0)}
    refused = await patch(bob, f"/sessions/{session_id}/state", session={"s": 2})
    said = "Only owners, editors and whoever has the permission send may change the state of a session"
    assert_problem(refused, 403, said)
    assert (await patch(bob, "/state", user={"mine": True})).json()["user"]["version"] == 1
    assert (await alice.get("/state")).json()["user"]["document"] == {"u": 1}
    stranger = await api.as_user("stranger")
    assert_problem(await stranger.get(f"/sessions/{session_id}/state"), 404, "Session not found")
    assert_problem(await patch(stranger, f"/sessions/{session_id}/state", user={"a": 1}), 404, "Session not found")
    assert (await stranger.get("/state")).json()["application"]["document"] == {"a": 1}
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    closed = await patch(alice, f"/sessions/{session_id}/state", session={"s": 2})
    assert_problem(closed, 409, "The session is completed: resume it before you change its state")


async def test_token_alone_writes_no_state_of_an_application(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only")) as api:
        await api.register("app")
        client = api.client({"Authorization": f"Bearer {token(sub='alice', app_id='app')}"})
        assert (await patch(client, "/state", user={"a": 1})).status_code == 200
        refused = await patch(client, "/state", application={"a": 1})
        assert refused.status_code == 403
        assert refused.json()["detail"].startswith("The state of an application is written with the application's key")


async def test_concurrent_patches_of_a_new_document_all_persist(api: Api, config_id: str) -> None:
    alice = await api.as_user("alice")
    made = [await alice.post("/sessions", json={"config_id": config_id}) for _ in range(4)]
    sessions = [one.json()["session_id"] for one in made]
    patches = [
        append(alice, sessions[number % 4], {scope: {f"k{number}": 1} for scope in ("user", "application", "session")})
        for number in range(12)
    ]
    assert {answer.status_code for answer in await asyncio.gather(*patches)} == {201}
    own = (await alice.get("/state")).json()
    assert {scope: (len(one["document"]), one["version"]) for scope, one in own.items()} == {
        "user": (12, 12), "application": (12, 12)
    }  # fmt: skip
    assert [(await read(alice, one))["session"][1] for one in sessions] == [3] * 4


async def test_lists_include_the_state_of_sessions(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.post("/sessions", json={})
    await append(alice, session_id, {"session": {"a": 1}, "user": {"b": 1}})
    for path, parameters in (
        ("/sessions", {"include": "state"}),
        ("/users/me/sessions", {"include": "state,metadata"}),
    ):
        answer = (await alice.get(path, params=parameters)).json()
        rows = answer["sessions"] if "sessions" in answer else answer["items"]
        states = [{"document": {"a": 1}, "version": 1}, {"document": {}, "version": 0}]
        assert sorted((row["state"] for row in rows), key=str) == states


async def test_forks_copy_the_state_of_the_session(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, {"session": {"a": 1}})
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    await patch(alice, f"/sessions/{session_id}/state", session={"a": 2})
    assert (await read(alice, fork))["session"] == ({"a": 1}, 1)


async def test_state_goes_with_session_and_application(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    admin = await api.as_user("root", "admin")
    await append(alice, session_id, {"session": {"a": 1}, "user": {"a": 1}, "application": {"a": 1}})
    await alice.delete(f"/sessions/{session_id}")
    assert sql("select count(*) from session_states") == [(0,)]
    assert (await admin.delete("/applications/app")).status_code == 200
    assert sql("select count(*) from user_states union all select count(*) from application_states") == [(0,), (0,)]


def appending(stage: Stage, state: bytes | None, actor_id: str = "alice") -> Any:
    given = ALICE | {"actor_id": actor_id, "messages": b'[{"role": "user", "content": "x"}]', "keys": []}
    return stage.queries.appends.create(**given, replaces=False, expected_seq=None, state=state, versions=None)


async def test_append_without_state_does_not_wait_for_one_that_waits(stage: Stage) -> None:
    """A transaction holds the application's document; an append waits for it before it locks the session."""
    given = {"actor_id": "carol", "actor_app_id": "app", "versions": None}
    async with stage.open():
        await stage.queries.states.update(**given, state=b'{"application": {"carol": 1}}')
        waiting = stage.soon(appending(stage, b'{"application": {"alice": 1}, "session": {"alice": 1}}'))
        await stage.until_waiting()
        assert (await stage.soon(appending(stage, b'{"session": {"bob": 1}}', "bob")))["last_seq"] == 2
    row = await waiting
    assert json.loads(bytes(row["state"])) == {
        "session": {"document": {"alice": 1, "bob": 1}, "version": 2},
        "application": {"document": {"alice": 1, "carol": 1}, "version": 2},
    }
    assert stage.log() == ["message", "state.updated", "message", "state.updated"]
