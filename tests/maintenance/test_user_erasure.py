"""Erasure of a user: the id is nowhere afterwards, others keep what they shared, and the order of locks holds."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.maintenance import user_erasure
from amplifier.maintenance.operator_database import MaintenanceError, connected
from amplifier.maintenance.user_erasure import Erasure
from amplifier.maintenance.user_renaming import Renaming
from tests.conftest import CONFIG, Api
from tests.support.old_sessions import insert_config, insert_run, insert_session, places
from tests.support.service import wait_until

Sql = Callable[..., list[Any]]
ANN = 'ann.o\'hara "x" %s {0}\\@example.org'


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


def erase(connection: psycopg.Connection[Any], user_id: str = "ann") -> Erasure:
    """Erases a user."""
    erasure = Erasure(connection, user_id, "legal-hold")
    erasure.apply(lambda *_: None)
    return erasure


def owners(sql: Sql) -> list[tuple[str, str]]:
    """Returns the sessions that are left with their owner_user_id."""
    return sql("select session_id, owner_user_id from sessions order by session_id")


async def fill(api: Api, sql: Sql, user_id: str) -> str:
    """Makes rows of a user in every table, most of them through the API. Returns a session shared with bob."""
    ann, bob = await api.as_user(user_id), await api.as_user("bob")
    admin = await api.as_user(user_id, "admin")
    given = {"app_id": "desk", "app_name": "desk", "key_managers": ["bob", user_id]}
    assert (await admin.post("/applications", json=given)).status_code == 201
    for managers in ([user_id], [user_id, "bob"]):
        assert (await admin.patch("/applications/desk", json={"key_managers": managers})).status_code == 200
    config_id = (await ann.post("/configs", json=CONFIG)).json()["config_id"]
    assert (await ann.put(f"/configs/{config_id}", json={"name": "second"})).status_code == 200
    headers = {"Idempotency-Key": "the-first-session"}
    own = (await ann.post("/sessions", json={"config_id": config_id}, headers=headers)).json()["session_id"]
    shared = (await ann.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    messages = {"messages": [{"role": "user", "content": "A flight to Geneva"}]}
    for session_id in (own, shared):
        assert (await ann.post(f"/sessions/{session_id}/transcript", json=messages)).status_code == 201
    person = {"user_id": "bob", "role": "editor"}
    assert (await ann.post(f"/sessions/{shared}/participants", json=person)).status_code == 201
    assert (await ann.post(f"/sessions/{shared}/invitations", json={"role": "viewer"})).status_code == 201
    assert (await bob.post(f"/sessions/{shared}/transcript", json=messages)).status_code == 201
    bobs_config = (await bob.post("/configs", json=CONFIG)).json()["config_id"]
    for user, other in ((bob, user_id), (ann, "bob")):
        config = bobs_config if user is bob else config_id
        passed = (await user.post("/sessions", json={"config_id": config})).json()["session_id"]
        await user.post(f"/sessions/{passed}/participants", json={"user_id": other, "role": "editor"})
        await user.post(f"/sessions/{passed}/transfer", json={"user_id": other})
        await user.post(f"/sessions/{passed}/transcript", json=messages)
    assert (await bob.post(f"/sessions/{shared}/fork", json={"config_id": bobs_config})).status_code == 201
    for client in (ann, bob):  # a message of each, taken back by the user
        assert (await client.post(f"/sessions/{shared}/transcript", json=messages)).status_code == 201
    back = await ann.post(f"/sessions/{shared}/transcript/retract", json={"last": 2})
    assert back.status_code == 200, back.text
    insert_run(sql, shared, user_id, "r")
    sql("update runs set cancelled_by_user_id = user_id")
    sql(
        "insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at, granted, decision,"
        " decided_by_user_id, decided_at) values (%s, 'q', 'r', '?', '{yes}', now(), true, 'yes', %s, now())",
        shared,
        user_id,
    )
    await ann.post("/events/ticket")
    sql("insert into searches values (%s, 'app', now(), 'messages', 1, 0, 0, 1)", user_id)
    sql("insert into streams (stream_id, process_id, user_id) values ('x', 'p', %s)", user_id)
    sql("insert into rate_limits values ('app', %s, 1, now())", user_id)
    await api.app.state.activity.flush()
    return str(shared)


async def test_id_is_nowhere_afterwards(api: Api, sql: Sql, connection: psycopg.Connection[Any]) -> None:
    shared = await fill(api, sql, "ann@example.org")
    tables = places(sql, "ann@example.org")
    assert tables == [
        "applications", "audit_log", "configs", "idempotency_keys", "messages", "rate_limits", "retracted_messages",
        "run_approvals", "runs", "searches", "session_events", "session_invitations", "session_participants",
        "sessions", "stream_tickets", "streams", "users",
    ]  # fmt: skip
    erasure = await asyncio.to_thread(erase, connection, "ann@example.org")
    assert re.fullmatch(r"erased-[0-9a-f]{16}", erasure.pseudonym)
    assert places(sql, "ann@example.org") == []
    assert places(sql, erasure.pseudonym) == [
        "audit_log", "messages", "retracted_messages", "run_approvals", "runs", "session_events", "session_invitations"
    ]  # fmt: skip
    kept = sql("select author_user_id, retracted_by_user_id from retracted_messages")
    assert kept == [("bob", erasure.pseudonym)], "the user's own are deleted"
    assert erasure.done["retracted messages deleted"] == 1
    bob = await api.as_user("bob")
    transcript = (await bob.get(f"/sessions/{shared}/transcript")).json()
    assert [one["author_user_id"] for one in transcript["messages"]] == [erasure.pseudonym, "bob"]
    found = (await bob.get("/search", params={"q": "geneva"})).json()["items"]
    assert len(found) == 6, "everything that bob takes part in, with the fork"
    [session] = [one for one in (await bob.get("/sessions")).json()["sessions"] if one["session_id"] == shared]
    assert session["role"] == "owner"
    assert (await bob.patch(f"/sessions/{shared}", json={"title": "mine"})).status_code == 200
    assert (await bob.post(f"/sessions/{shared}/transcript", json={"messages": [{"role": "user"}]})).status_code == 201
    assert sql("select address from audit_log where user_id = %s and address is not null", erasure.pseudonym) == []


async def test_any_id_is_erased(api: Api, sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "s", users=(ANN, "bob"))
    insert_session(sql, "own", users=(ANN,))
    sql("insert into audit_log (user_id, app_id, action, target_type, details) values (%s, 'a', 'x', 'y', '{}')", ANN)
    await asyncio.to_thread(erase, connection, ANN)
    assert places(sql, "hara") == []
    assert owners(sql) == [("s", "bob")]


def test_plan_says_what_is_then_done(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "own", messages=3)
    insert_session(sql, "shared", users=("ann", "bob"))
    insert_session(sql, "theirs", users=("bob", "ann"), config_id="c2")
    insert_session(sql, "viewed", users=("ann", "bob"), roles=("owner", "viewer"))
    insert_config(sql, "ann", "unused")
    sql("insert into users (user_id) values ('ann'), ('bob')")
    before = owners(sql)
    erasure = Erasure(connection, "ann", "legal-hold")
    plan = erasure.plan(erasure.sessions())
    assert owners(sql) == before
    assert plan == {
        "sessions deleted": 1,
        "messages deleted": 3,
        "sessions kept for others": 3,
        "sessions passed to the editor who joined first": 1,
        "sessions passed to the viewer who joined first": 1,
        "configs deleted": 2,
        "users deleted": 1,
    }
    done = erase(connection).done
    assert done == plan | Counter({"messages renamed": 3})
    assert owners(sql) == [("shared", "bob"), ("theirs", "bob"), ("viewed", "bob")]
    [details] = sql("select details from audit_log")
    assert details == (dict(done),)


@pytest.mark.parametrize(
    ("roles", "heir"),
    [
        (("owner", "viewer", "editor", "owner"), "dan"),
        (("owner", "viewer", "editor", "editor"), "cem"),
        (("owner", "viewer", "viewer", "viewer"), "bob"),
    ],
)
def test_session_passes_to_who_joined_first_with_the_highest_role(
    sql: Sql, connection: psycopg.Connection[Any], roles: tuple[str, ...], heir: str
) -> None:
    insert_session(sql, "s", users=("ann", "bob", "cem", "dan"), roles=roles, messages=0)
    erasure = erase(connection)
    assert owners(sql) == [("s", heir)]
    assert sql("select role from session_participants where user_id = %s", heir) == [("owner",)]
    assert sql("select seq, type, data, actor_user_id from session_events order by seq") == [
        (1, "ownership.transferred", {"user_id": heir, "former_user_id": erasure.pseudonym}, None),
        (2, "participant.removed", {"user_id": erasure.pseudonym, "role": "owner", "permissions": {}}, None),
    ]
    assert sql("select last_seq from sessions") == [(2,)]
    [(config,)] = sql("select c.user_id from sessions inner join configs as c using (config_id)")
    assert config is None, "a copy that belongs to nobody"


def test_session_that_passes_on_loses_its_key(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    for session_id, users in (("kept", ("bob",)), ("passed", ("ann", "bob"))):
        insert_session(sql, session_id, users=users, roles=("owner", "editor")[: len(users)], messages=0)
    sql("update sessions set external_id = 'key'")
    erase(connection)
    assert owners(sql) == [("kept", "bob"), ("passed", "bob")]
    assert sql("select external_id from sessions order by session_id") == [("key",), (None,)]


def test_one_of_two_owners_leaves_without_transfer(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "s", users=("bob", "ann"), roles=("owner", "owner"), messages=0)
    assert erase(connection).done["sessions kept for others"] == 1
    assert sql("select type from session_events") == [("participant.removed",)]
    assert sql("select user_id, role from session_participants") == [("bob", "owner")]


def test_legal_hold_blocks(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "s", users=("bob", "ann"), tags={"legal-hold": ""})
    erasure = Erasure(connection, "ann", "legal-hold")
    assert erasure.held(erasure.sessions()) == ["s"]
    with pytest.raises(MaintenanceError, match="1 sessions under a legal hold: s"):
        erase(connection)
    assert "session_participants" in places(sql, "ann")
    assert sql("select details from audit_log") == [({"erasing": "ann"},)]


def test_interrupted_erasure_continues_with_its_pseudonym(
    sql: Sql, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        insert_session(sql, name, users=("bob", "ann"))

    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    first = Erasure(connection, "ann", "legal-hold")
    with pytest.raises(KeyboardInterrupt):
        first.apply(interrupt)
    assert sql("select session_id from session_participants where user_id = 'ann'") == [("c",)]
    second = erase(connection)
    assert second.pseudonym == first.pseudonym
    assert second.done == {"sessions kept for others": 3, "messages renamed": 3}
    assert places(sql, "ann") == []
    assert sql("select count(*) from audit_log") == [(1,)]


def test_many_messages_are_renamed_before_the_session_is_locked(
    sql: Sql, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_erasure, "_AHEAD", 2)
    insert_session(sql, "own", messages=3)
    insert_session(sql, "s", users=("bob", "ann"), messages=11)
    left: list[int] = []
    rename = Renaming.in_session

    def watched(self: Renaming, session_id: str) -> int:
        left.extend(sql("select count(*) from messages where author_user_id = 'ann'")[0])
        return rename(self, session_id)

    monkeypatch.setattr(Renaming, "in_session", watched)
    assert erase(connection).done["messages renamed"] == 5
    assert left == [0]
    assert places(sql, "ann") == []


def test_other_texts_are_left_as_they_are(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "s", users=("bob", "ann"), messages=0)
    sql(
        "insert into session_events (session_id, type, data) values"
        """ ('s', 'session.updated', '{"title": "ann", "user": "ann"}')"""
    )
    sql(
        "insert into audit_log (user_id, app_id, action, target_type, target_id, details)"
        """ values ('bob', 'a', 'x', 'config', 'ann', '{"changed": {"title": {"old": "ann", "new": "x"}}}')"""
    )
    erase(connection)
    assert sql("select data from session_events where type = 'session.updated'") == [({"title": "ann", "user": "ann"},)]
    assert sql("select target_id from audit_log where user_id = 'bob'") == [("ann",)]


def test_audit_details_are_renamed_where_they_are_ids(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    sql(
        "insert into audit_log (user_id, app_id, action, target_type, details) values"
        """ ('bob', 'a', '1', 's', '{"user_id": "ann", "role": "ann"}'),"""
        """ ('bob', 'a', '2', 's', '{"key_managers": ["bob", "ann"]}'),"""
        """ ('bob', 'a', '3', 's', '{"changed": {"title": {}, "owner_user_id": {"old": "ann", "new": "bob"}}}'),"""
        """ ('bob', 'a', '4', 's', '{"key_managers": []}'),"""
        """ ('bob', 'a', '5', 's', '{"changed": {"owner_user_id": {}}, "user_id": "ann"}'),"""
        """ ('bob', 'a', '6', 's', '{"changed": {"key_managers": {"old": ["ann", "bob"], "new": []}}}')"""
    )
    new = erase(connection).pseudonym
    assert [row[0] for row in sql("select details from audit_log where user_id = 'bob' order by action")] == [
        {"user_id": new, "role": "ann"},
        {"key_managers": ["bob", new]},
        {"changed": {"title": {}, "owner_user_id": {"old": new, "new": "bob"}}},
        {"key_managers": []},
        {"changed": {"owner_user_id": {}}, "user_id": new},
        {"changed": {"key_managers": {"old": [new, "bob"], "new": []}}},
    ]


def test_user_who_never_stops_is_reported(
    sql: Sql, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    def go_on(*_: int) -> None:
        nonlocal made
        made += 1
        insert_session(sql, f"s{made}", users=("ann",))

    insert_session(sql, "s0", users=("ann",))
    with pytest.raises(MaintenanceError, match="ann keeps sending: block the user"):
        Erasure(connection, "ann", "h").apply(go_on)
    assert made == user_erasure._ROUNDS


def test_erasure_waits_for_an_append_without_a_lock_that_it_needs(
    sql: Sql, connection: psycopg.Connection[Any], dsn: str
) -> None:
    insert_session(sql, "s", users=("ann", "bob"))
    waiting = "select 1 from pg_locks where pid = %s and not granted"
    append = (
        "insert into messages (session_id, message, author_user_id, author_app_id) values ('s', '{}', 'ann', 'app')"
    )
    with psycopg.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        other.execute("select from session_participants where session_id = 's' and user_id = 'ann' for no key update")
        erasing = pool.submit(erase, connection)
        wait_until(lambda: bool(sql(waiting, connection.info.backend_pid)))
        other.execute("set local lock_timeout = '1ms'")
        other.execute(append)
        other.commit()
        assert erasing.result().done["messages renamed"] == 2
    assert sql("select count(*) from messages") == [(3,)]
    assert places(sql, "ann") == []


@pytest.mark.slow
async def test_user_who_sends_meanwhile_leaves_a_consistent_state(
    api: Api, sql: Sql, connection: psycopg.Connection[Any]
) -> None:
    ann, bob = await api.as_user("ann"), await api.as_user("bob")
    config_id = (await ann.post("/configs", json=CONFIG)).json()["config_id"]
    sessions = []
    for _ in range(6):
        session_id = (await ann.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        await ann.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
        sessions.append(session_id)
    statuses: Counter[int] = Counter()
    over = asyncio.Event()

    async def send(client: httpx.AsyncClient, number: int) -> None:
        while not over.is_set():
            session_id = sessions[number % len(sessions)]
            body = {"messages": [{"role": "user", "content": "x"}]}
            statuses[(await client.post(f"/sessions/{session_id}/transcript", json=body)).status_code] += 1
            number += 1

    async def erased() -> Erasure:
        try:
            return await asyncio.to_thread(erase, connection)
        finally:
            over.set()

    erasure, *_ = await asyncio.gather(erased(), *(send(client, n) for n, client in enumerate((ann, bob, ann))))
    assert set(statuses) <= {201, 404}
    assert sql("select distinct role, user_id from session_participants") == [("owner", "bob")]
    assert sql("select distinct author_user_id from messages where author_user_id <> 'bob'") in (
        [(erasure.pseudonym,)],
        [],
    )
    counts = """
        select session_id, last_seq, messages_total, message_count from sessions order by session_id
    """
    stored = """
        select session_id, max(seq), count(*) filter (where is_message), count(*) filter (where is_message)
        from (
            select session_id, seq, true as is_message from messages
            union all select session_id, seq, false from session_events
        ) as entries
        group by session_id order by session_id
    """
    assert sql(counts) == sql(stored)
    for session_id in sessions:
        assert (await ann.get(f"/sessions/{session_id}")).status_code == 404
        assert (await bob.get(f"/sessions/{session_id}")).status_code == 200
