"""Hostile bodies: with duplicate keys, with fields of others, or with many tiny values."""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, assert_problem, serving, settings_for
from tests.support.hostile import JSON, LENIENT, UNUSUAL, Target, each_route
from tests.support.hostile import target as target

Sql = Callable[..., list[Any]]
APPEND = "POST /sessions/{session_id}/transcript"
PEOPLE = "/sessions/{session_id}/participants"


async def stored(target: Target, route: str, body: str) -> list[Any]:
    """Sends a body, which is answered with 201, and returns the last message stored with its role."""
    answer = await target.send(route, body)
    assert answer.status_code == 201, answer.text
    rows = target.sql("select message, role from messages order by seq desc limit %s", 1)
    return list(rows[0])


async def test_last_of_two_keys_in_message_counts_everywhere(target: Target) -> None:
    for first, last in itertools.permutations(["user", "assistant", "tool"], 2):
        for key in ("role", "r\\u006fle"):
            before = (await target.client.get(target.fill("/sessions/{session_id}"))).json()["message_count"]
            message = f'{{"role": "{first}", "content": "first", "{key}": "{last}", "content": "last"}}'
            assert await stored(target, APPEND, f'{{"messages": [{message}]}}') == [
                {"role": last, "content": "last"},
                last,
            ]
            session = (await target.client.get(target.fill("/sessions/{session_id}"))).json()
            assert session["message_count"] - before == (last == "user")
            path = target.fill(f"/sessions/{{session_id}}/transcript?view=plain&after={session['last_seq'] - 1}")
            assert (await target.client.get(path)).json() == [{"role": last, "content": "last"}]
            found = (
                await target.client.get("/search", params={"q": "last", "role": last, "sort": "recent", "limit": 1})
            ).json()
            assert found["items"][0]["seq"] == session["last_seq"]
    rows = target.rows()
    target.refused(await target.send(APPEND, '{"messages": [{"role": "user", "role": 5}]}'))
    assert target.rows() == rows
    assert await stored(target, APPEND, '{"messages": [{"role": 5, "role": "user"}]}') == [
        {"role": "user"},
        "user",
    ]


async def test_last_of_two_fields_in_body_counts(target: Target) -> None:
    hi, ho = (json.dumps([{"role": "user", "content": text}]) for text in ("hi", "ho"))
    assert (await stored(target, APPEND, f'{{"messages": {hi}, "messages": {ho}}}'))[0]["content"] == "ho"
    stale = await target.send(APPEND, f'{{"expected_seq": null, "messages": {hi}, "expected_seq": 0}}')
    assert stale.status_code == 412
    for roles in (("viewer", "editor"), ("editor", "viewer")):
        first, last = (
            '"user_id": "{}", "role": "{}"'.format(*pair) for pair in zip(("nobody", "dave"), roles, strict=True)
        )
        body = f"{{{first}, {last}}}"
        assert (await target.send(f"POST {PEOPLE}", body)).json()["role"] == roles[1]
    rights = '{"permissions": {"send": true}, "permissions": {"invite": true, "invite": false}}'
    assert (await target.send(f"PATCH {PEOPLE}/dave", rights)).json()["permissions"] == {"invite": False}
    tags = await target.send("PATCH /sessions/{session_id}", '{"tags": {"a": "1"}, "tags": {"b": "1", "b": "2"}}')
    assert tags.json()["tags"] == {"b": "2"}
    secret = '{"bundle": {"name": "a"}, "api_key": "one-secret", "api_key": "other-secret"}'
    config = await target.send("POST /configs", f'{{"name": "x", "name": "y", "config_data": {secret}}}')
    assert config.json()["name"] == "y"
    assert target.sql("select user_id from session_participants order by 1") == [("alice",), ("dave",)]


# What no caller may set, each with a value that is nowhere else.
TEXTS = """
    owner_user_id user_id author_user_id actor_id actor_user_id created_by_user_id created_by_app_id author_app_id
    last_accessed_by_app_id last_seen_app_id reader_app_id app_id api_key api_key_hash api_key_prefix token_hash token
    session_id config_id invitation_id config_json message headline event type data
"""
MOMENTS = """
    created_at updated_at joined_at last_active_at last_accessed_at first_seen last_seen expires_at revoked_at since
    searched_at token_expires_at
"""
COUNTS = """
    seq first_seq last_seq message_count last_read_seq unread uses size total_sessions version total hits
"""
TEXT = dict.fromkeys(TEXTS.split(), "qx-evil")
TIMES = dict.fromkeys(MOMENTS.split(), "1987-06-05T04:03:02Z")
NUMBERS = dict.fromkeys(COUNTS.split(), 987654321)
FLAGS = {
    "is_admin": True,
    "is_active": False,
    "is_new": True,
    "encrypted": True,
    "search_truncated": True,
    "is_owner": True,
}
RIGHTS = {"role": "owner", "permissions": {"send": True, "cancel": True, "invite": True}}
EVIL: dict[str, Any] = {**TEXT, **TIMES, **NUMBERS, **FLAGS, **RIGHTS}
QUERY = httpx.QueryParams(TEXT | NUMBERS)
MARKS = "qx-evil|1987-06-05|987654321"
# what an admin application may set besides the fields of the good body
FIELDS = {"POST /applications": {"is_admin", "app_id"}, "PATCH /applications/other": {"is_active"}}


@each_route
async def test_body_and_query_cannot_set_other_fields(target: Target, route: str) -> None:
    good = json.loads(target.good(route))
    more = {name: value for name, value in EVIL.items() if name not in good and name not in FIELDS.get(route, ())}
    target.refused(await target.send(f"{route}?{QUERY}", json.dumps(good)))
    for body in ({**more, **good}, {**good, **more}):
        answer = await target.send(route, json.dumps(body))
        if route in LENIENT:
            assert answer.status_code in (200, 201, 403, 409, *UNUSUAL.get(route, ())), answer.text
        else:
            target.refused(answer)
    for table in target.tables:
        assert target.sql(f"select * from {table} as t where t::text ~ %s", MARKS) == [], table
    owners = "select user_id, role, permissions from session_participants order by 1"
    known = {user_id: (role, rights) for user_id, role, rights in target.sql(owners)}
    assert set(known) <= {"alice", "dave", "new"}
    if "participants" not in route and "transfer" not in route:
        assert known == {"alice": ("owner", {}), "dave": ("viewer", {})}
    assert target.sql("select app_id from applications where is_admin order by 1") == [("admin",)]
    assert target.sql("select count(*) from applications where not is_active") == [(0,)]


async def test_fields_in_message_change_no_column(target: Target) -> None:
    """They are returned as sent, and the columns of the row have the values of the service."""
    message = {**EVIL, "role": "user"}
    assert await stored(target, APPEND, json.dumps({"messages": [message]})) == [message, "user"]
    columns = "select author_user_id, author_app_id, seq < 1000, created_at > now() - interval '1 day' from messages"
    assert target.sql(f"{columns} order by seq desc limit 1") == [("alice", "admin", True, True)]


BOMBS: dict[str, Callable[[], bytes]] = {
    "lists": lambda: b'{"messages": [{"role": "user", "content": [' + b",".join([b"[]"] * 1_000_000) + b"]}]}",
    "words": lambda: b'{"messages": [{"role": "user", "content": [' + b",".join([b'"a"'] * 2_000_000) + b"]}]}",
    "calls": lambda: b'{"messages": [{"role": "assistant", "tool_calls": [' + b",".join([b"{}"] * 2_700_000) + b"]}]}",
    "nested": lambda: (
        b'{"messages": [{"role": "user", "content": ['
        + b",".join([b"[" + b",".join([b"[]"] * 15_000) + b"]"] * 170)
        + b"]}]}"
    ),
    "thoughts": lambda: (
        b'{"messages": [{"role": "assistant", "reasoning_details": ['
        + b",".join([b'{"text": "a"}'] * 500_000)
        + b"]}]}"
    ),
    "keys": lambda: (
        b'{"messages": [{"role": "user", ' + b",".join(b'"%d": 1' % number for number in range(600_000)) + b"}]}"
    ),
    "same keys": lambda: b'{"messages": [{"role": "user", ' + b",".join([b'"a": 1'] * 1_000_000) + b"}]}",
    "messages": lambda: b'{"messages": [' + b",".join([b"{}"] * 2_700_000) + b"]}",
    "numbers": lambda: b'{"messages": [' + b",".join([b"1"] * 4_000_000) + b"]}",
    "depth": lambda: (
        b'{"messages": [' + b",".join([b'{"role": "user", "x": ' + b"[" * 60 + b"]" * 60 + b"}"] * 1000) + b"]}"
    ),
    "tags": lambda: b'{"messages": [], "tags": {' + b",".join([b'"a": "1"'] * 900_000) + b"}}",
}
TAKEN = {"lists", "words", "calls", "nested", "thoughts", "keys", "same keys", "depth"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
async def test_many_tiny_values_are_stored_or_refused_whole(target: Target, name: str) -> None:
    bomb = BOMBS[name]()
    answer = await target.send(APPEND, bomb, JSON)
    if name not in TAKEN:
        target.refused(answer)
        assert target.rows() == target.stored
        return
    assert answer.status_code == 201, answer.text
    path = target.fill(f"/sessions/{{session_id}}/transcript?view=plain&limit=1&after={answer.json()['first_seq'] - 1}")
    read = await target.client.get(path)
    assert read.json() == json.loads(bomb)["messages"][:1]
    assert (await target.client.get("/health")).json()["status"] == "healthy"


@pytest.mark.slow
async def test_append_beyond_time_limit_stores_nothing(dsn: str, sql: Sql) -> None:
    zeros = b'{"messages": [{"role": "user", "content": [' + b",".join([b"0"] * 4_000_000) + b"]}]}"
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        path = f"/sessions/{session_id}/transcript"
        keys = api.keys
    async with serving(settings_for(dsn, database_statement_timeout=0.1, database_pool_max_size=1)) as api:
        api.keys.update(keys)
        alice = await api.as_user("alice")
        answer = await alice.post(path, content=zeros, headers=JSON)
        # the server ends the statement, or the service no longer waits for it
        assert re.search("took too long|did not answer in time", assert_problem(answer, 503)["detail"])
        assert sql("select last_seq, (select count(*) from messages) from sessions") == [(0, 0)]
        good = {"messages": [{"role": "user", "content": "hi"}], "expected_seq": 0}
        assert (await alice.post(path, json=good)).status_code == 201, "the only connection works on"
