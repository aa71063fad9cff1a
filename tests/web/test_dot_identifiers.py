"""Users called . and ..: a client resolves them in a path, so that removing such a participant deleted the session."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import psycopg.errors
import pytest

from tests.conftest import Api, assert_problem, token

DOTS = [".", "..", "a/..", "../a", "a/./b", "/.."]
PLAIN = ["...", ".a", "a.", "..a", "a..b", "a/.b", "auth0|a.b", "https://id.example/.x"]
CONSTRAINT = "session_participants_user_id_dots_check"
INSERT = "insert into session_participants (session_id, user_id, role) values (%s, %s, 'viewer')"
REFUSED = "user_id must not be . or .., nor have them between slashes"


@pytest.mark.parametrize("user_id", DOTS)
async def test_dot_user_id_is_refused_for_participant(
    alice: httpx.AsyncClient, session_id: str, user_id: str, sql: Callable[..., list[Any]]
) -> None:
    path = f"/sessions/{session_id}"
    for _ in range(2):
        answer = await alice.post(f"{path}/participants", json={"user_id": user_id, "role": "viewer"})
        assert_problem(answer, 422, REFUSED)
    assert (await alice.post(f"{path}/transfer", json={"user_id": user_id})).status_code in (404, 409, 422)
    assert sql("select user_id from session_participants") == [("alice",)]


@pytest.mark.parametrize("user_id", DOTS)
async def test_dot_user_id_is_refused_in_token(api: Api, user_id: str, sql: Callable[..., list[Any]]) -> None:
    key = await api.register("app")
    for claims in ({"sub": user_id}, {"sub": user_id, "app_id": "app"}):
        client = api.client({"X-API-Key": key, "Authorization": f"Bearer {token(**claims)}"})
        refused = await client.get("/users/me")
        assert_problem(refused, 401, "Invalid JWT: 'sub' must not be . or .., nor have them between slashes")
    assert sql("select user_id from users") == []


@pytest.mark.parametrize("user_id", PLAIN)
async def test_user_id_with_other_dots_is_accepted(
    api: Api, alice: httpx.AsyncClient, session_id: str, user_id: str
) -> None:
    path = f"/sessions/{session_id}"
    assert (await alice.post(f"{path}/participants", json={"user_id": user_id, "role": "viewer"})).status_code == 201
    assert (await (await api.as_user(user_id)).get(path)).status_code == 200
    assert (await alice.delete(f"{path}/participants/{quote(user_id, safe='')}")).status_code == 204


async def test_database_refuses_dot_user_id(session_id: str, sql: Callable[..., list[Any]]) -> None:
    for user_id in DOTS:
        with pytest.raises(psycopg.errors.CheckViolation):
            sql(
                "insert into session_participants (session_id, user_id, role) values (%s, %s, 'viewer')",
                session_id,
                user_id,
            )
        with pytest.raises(psycopg.errors.CheckViolation):
            sql("insert into users (user_id) values (%s)", user_id)


async def test_older_dot_user_id_is_removed_with_session(
    alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    """The constraint is not validated: what was there stays, and stops nothing."""
    definition = "select pg_get_constraintdef(oid) from pg_constraint where conname = %s"
    [(rule,)] = sql(definition, CONSTRAINT)
    assert rule.endswith("NOT VALID")
    sql(f"alter table session_participants drop constraint {CONSTRAINT}")
    sql(INSERT, session_id, "..")
    sql(f"alter table session_participants add constraint {CONSTRAINT} {rule}")
    people = (await alice.get(f"/sessions/{session_id}/participants")).json()["items"]
    assert [one["user_id"] for one in people] == ["..", "alice"]
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert (await alice.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 201
    assert (await alice.delete(f"/sessions/{session_id}")).status_code == 200


@pytest.mark.parametrize("key", [".", "..", "a/.."])
async def test_dot_setting_key_is_refused(api: Api, key: str) -> None:
    admin = await api.as_user("root", "admin")
    path = f"/settings/{key.replace('.', '%2E').replace('/', '%2F')}"
    assert_problem(await admin.put(path, json={"value": 1}), 404, "Not found: there is no such route")
