"""Sessions by the caller's own keys: one for each key, application and owner, whoever creates and deletes at once."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]

BAD = "external_id must have 1 to 512 characters, at most 1536 bytes, no control characters, and not be . or .."
ODD = [
    "a/b",
    "/",
    "a//b/",
    "50%",
    "%2F",
    "a?b#c&d=e",
    "später 漢字 😀",
    "../x/..",
    "a..b",
    " ",
    '"',
    "resume",
    "漢" * 512,
]


def path(key: str) -> str:
    return f"/sessions/by-key/{quote(key, safe='')}"


async def put(client: httpx.AsyncClient, key: str, **body: Any) -> httpx.Response:
    return await client.put(path(key), json=body)


async def test_put_creates_once_and_returns_the_session_afterwards(
    alice: httpx.AsyncClient, config_id: str, sql: Sql
) -> None:
    created = await put(alice, "trip", config_id=config_id, title="Trip", tags={"a": "b"}, metadata={"n": 1})
    assert created.status_code == 201, created.text
    session = created.json()
    assert (session["external_id"], session["title"], session["tags"]) == ("trip", "Trip", {"a": "b"})
    assert (session["config_id"], session["metadata"], session["role"]) == (config_id, {"n": 1}, "owner")
    assert (session["message"], created.headers["etag"]) == ("Session created successfully", '"0"')
    again = await put(alice, "trip", title="Another", config_id="unknown")
    assert (again.status_code, again.json()) == (200, session | {"message": None})
    assert (await alice.get(path("trip"))).json() == session | {"message": None}
    assert (await alice.get(f"/sessions/{session['session_id']}")).json()["external_id"] == "trip"
    assert [row["external_id"] for row in (await alice.get("/sessions")).json()["sessions"]] == ["trip"]
    assert [row["external_id"] for row in (await alice.get("/users/me/sessions")).json()["items"]] == ["trip"]
    [audited] = sql("select target_id from audit_log where action = 'put_session_by_key'")
    assert audited == (session["session_id"],)


async def test_body_may_be_absent(alice: httpx.AsyncClient) -> None:
    created = await alice.put(path("plain"))
    assert (created.status_code, created.json()["config_id"], created.json()["title"]) == (201, None, None)
    assert (await alice.post("/sessions")).status_code == 201
    assert_problem(await alice.put(path("plain text"), content="x"), 415)


@pytest.mark.parametrize("key", ODD)
async def test_key_of_any_characters_works_percent_encoded(alice: httpx.AsyncClient, key: str) -> None:
    created = await put(alice, key)
    assert (created.status_code, created.json()["external_id"]) == (201, key)
    assert (await put(alice, key)).json()["session_id"] == created.json()["session_id"]
    assert (await alice.get(path(key))).json()["session_id"] == created.json()["session_id"]


@pytest.mark.parametrize("key", ["x" * 513, "a\x01", "a\x7f", "a\n", "a\x85", "😀" * 512])
async def test_key_out_of_bounds_is_refused(alice: httpx.AsyncClient, key: str) -> None:
    assert_problem(await put(alice, key), 422, BAD)
    assert (await alice.post("/sessions", json={"external_id": key})).status_code == 422
    assert_problem(await alice.get(path(key)), 404, "Session not found")


@pytest.mark.parametrize("key", [".", ".."])
async def test_key_that_clients_would_resolve_is_refused(alice: httpx.AsyncClient, key: str) -> None:
    assert_problem(await alice.post("/sessions", json={"external_id": key}), 422, BAD)


async def test_post_refuses_a_key_that_is_taken(alice: httpx.AsyncClient) -> None:
    body = {"external_id": "a/b", "title": "First"}
    assert (await alice.post("/sessions", json=body)).json()["external_id"] == "a/b"
    detail = "You have a session with this external_id already: get it with GET /sessions/by-key/a%2Fb"
    assert_problem(await alice.post("/sessions", json=body), 409, detail)
    assert_problem(await alice.post("/sessions", json=body | {"config_id": "no"}), 404, "Config not found: no")
    assert_problem(await put(alice, "new", config_id="no"), 404, "Config not found: no")
    assert_problem(await alice.get(path("new")), 404, "Session not found")


async def test_key_belongs_to_owner_and_application(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    elsewhere = await api.as_user("alice", "other")
    own = (await put(alice, "key")).json()["session_id"]
    await alice.post(f"/sessions/{own}/participants", json={"user_id": "bob", "role": "owner"})
    for client in (bob, elsewhere):
        assert_problem(await client.get(path("key")), 404, "Session not found")
        other = await put(client, "key")
        assert (other.status_code, other.json()["session_id"] != own) == (201, True)
    assert (await alice.get(path("key"))).json()["session_id"] == own
    assert_problem(await api.client().get(path("key")), 401)


async def test_key_is_free_after_deletion(alice: httpx.AsyncClient) -> None:
    first = (await put(alice, "key")).json()["session_id"]
    await alice.delete(f"/sessions/{first}")
    assert_problem(await alice.get(path("key")), 404, "Session not found")
    second = await put(alice, "key")
    assert (second.status_code, second.json()["session_id"] != first) == (201, True)


async def test_one_of_racing_creators_creates(alice: httpx.AsyncClient, config_id: str, sql: Sql) -> None:
    for key in ("one", "two", "three"):
        answers = await asyncio.gather(*(put(alice, key, config_id=config_id) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.json()["session_id"] for answer in answers}) == 1
    assert sql("select count(*) from audit_log where action = 'put_session_by_key'") == [(3,)]
    assert sql("select total_sessions from users where user_id = 'alice'") == [(3,)]


async def test_creators_race_with_deletions(alice: httpx.AsyncClient) -> None:
    async def replaced() -> list[int]:
        answers = [await put(alice, "key")]
        answers.append(await alice.delete(f"/sessions/{answers[0].json()['session_id']}"))
        return [answer.status_code for answer in answers]

    for _ in range(5):
        for created, deleted in await asyncio.gather(*(replaced() for _ in range(8))):
            assert created in (200, 201)
            assert deleted in (200, 404)


async def test_idempotency_key_returns_the_first_answer(alice: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await alice.put(path("key"), json={}, headers=headers)
    again = await alice.put(path("key"), json={}, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert (await alice.put(path("key"), json={}, headers={"Idempotency-Key": "twice"})).status_code == 200


async def test_transfer_to_an_owner_with_the_same_key_is_refused(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    session_id = (await put(alice, "key")).json()["session_id"]
    others = (await put(bob, "key")).json()["session_id"]
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    transfer = f"/sessions/{session_id}/transfer", {"user_id": "bob"}
    refused = await alice.post(transfer[0], json=transfer[1])
    assert_problem(
        refused,
        409,
        "The session's next owner has a session with this external_id in its application already: delete one of them",
    )
    await bob.delete(f"/sessions/{others}")
    assert (await alice.post(transfer[0], json=transfer[1])).json()["external_id"] == "key"
    assert_problem(await alice.get(path("key")), 404, "Session not found")
    assert (await bob.get(path("key"))).json()["session_id"] == session_id


async def test_fork_has_no_key(alice: httpx.AsyncClient, config_id: str) -> None:
    session_id = (await put(alice, "key", config_id=config_id)).json()["session_id"]
    assert (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["external_id"] is None


async def test_unknown_field_is_named_in_warnings(alice: httpx.AsyncClient) -> None:
    known = "Unknown field 'external_id' was ignored: known are config_id, title, tags, metadata"
    assert (await put(alice, "key", external_id="other")).json()["warnings"] == [known]
    assert_problem(await alice.put(path("more"), json=CONFIG | {"title": 1}), 422)
