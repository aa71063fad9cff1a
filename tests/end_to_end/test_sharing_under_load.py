"""Sharing under load through two applications on one database: the log explains the state, and removals hold."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import assert_problem, serving, settings_for
from tests.support.sharing import LOG, PEOPLE, Done, Shared, change, replay

FIRST = """
select pid from pg_locks
where
    database = (select oid from pg_database where datname = current_database())
    and relation = 'sessions'::regclass
    and locktype = 'tuple'
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
Sql = Callable[..., list[Any]]


@pytest.fixture
async def shared(dsn: str, sql: Sql) -> AsyncIterator[Shared]:
    """A shared session. Every caller gets a connection at once, so that calls wait for locks only."""
    settings = settings_for(dsn, database_pool_max_size=32)
    async with serving(settings) as one, serving(settings) as two:
        two.keys["app"] = await one.register("app")
        clients = {name: [await app.as_user(name) for app in (one, two)] for name in PEOPLE}
        yield await Shared(one, sql, clients).renewed()


@pytest.mark.parametrize("seed", range(6))
async def test_log_explains_calls_of_50_concurrent_callers(shared: Shared, sql: Sql, seed: int) -> None:
    await shared.add("owner", "bob", "carol")
    await shared.add("editor", "dave", "erin")
    statuses: Counter[int] = Counter()
    done: Done = Counter({("participant.added", "alice"): 4})
    dice = random.Random(seed)
    for _ in range(4):
        await asyncio.gather(*(change(shared, dice, done, statuses) for _ in range(50)))
    assert set(statuses) <= {200, 201, 204, 403, 404, 409, 410}, statuses
    assert min(statuses[201], statuses[403], statuses[404]) > 0, "some were let do it, some were not"
    events = sql(LOG)
    ((last_seq, owner),) = sql("select last_seq, owner_user_id from sessions")
    assert [seq for seq, *_ in events] == list(range(1, last_seq + 1))
    assert Counter((type_, actor) for _, type_, actor, _ in events) == done
    people = replay(events)
    rows = sql("select user_id, role, permissions from session_participants")
    assert people == {user_id: (role, permissions) for user_id, role, permissions in rows}
    assert people[owner][0] == "owner"


async def test_user_added_before_accepting_uses_no_invitation(shared: Shared, sql: Sql) -> None:
    await shared.add("owner", "bob")
    made = await shared.call("alice", 0, "POST", "/invitations", {"role": "viewer"})
    claim = shared.clients["frank"][0].post("/invitations/accept", json={"token": made.json()["token"]})
    added = shared.call("bob", 1, "POST", "/participants", {"user_id": "frank", "role": "editor"})
    assert await shared.queued(added, claim) == [201, 200]
    assert sql("select uses from session_invitations") == [(0,)]


async def test_one_of_two_owners_who_demote_each_other_stays(shared: Shared, sql: Sql) -> None:
    await shared.add("owner", "bob")
    for turn in range(30):
        pairs = enumerate([("alice", "bob"), ("bob", "alice")], turn)
        calls = [shared.call(a, n % 2, "PATCH", f"/participants/{b}", {"role": "editor"}) for n, (a, b) in pairs]
        assert sorted(answer.status_code for answer in await asyncio.gather(*calls)) == [200, 403]
        roles = "select role, user_id = owner_user_id from session_participants join sessions using (session_id)"
        assert sorted(sql(roles)) == [("editor", False), ("owner", True)]
        sql("update session_participants set role = 'owner'")


async def assert_out(shared: Shared, user_id: str) -> None:
    """Checks that the user cannot reach the session through either application."""
    for app, client in enumerate(shared.clients[user_id]):
        assert_problem(await shared.append(user_id, app), 404, "Session not found")
        for path in ("", "/transcript", "/participants"):
            assert_problem(await shared.call(user_id, app, "GET", path), 404, "Session not found")
        assert (await client.get("/sessions")).json()["sessions"] == []


@pytest.mark.parametrize("order", ["append remove append", "remove append append"])
async def test_removed_participant_is_out_despite_waiting_calls(shared: Shared, sql: Sql, order: str) -> None:
    await shared.add("editor", "bob")
    assert [(await shared.append("bob", app)).status_code for app in (0, 1)] == [201, 201]
    calls = [getattr(shared, name)("bob", turn % 2) for turn, name in enumerate(order.split())]
    statuses = await shared.queued(*calls)
    assert statuses == ([201, 204, 404] if order.startswith("append") else [204, 404, 404])
    assert sql("select count(*) from messages") == [(2 + statuses.count(201),)]
    await assert_out(shared, "bob")


async def flooded(shared: Shared, writers: list[tuple[str, int]], end: Awaitable[httpx.Response]) -> int:
    """Appends without pause until `end` succeeds and appends are refused. Returns the number of messages."""
    done: list[httpx.Response] = []

    async def flood(user_id: str, app: int) -> int:
        while (response := await shared.append(user_id, app)).status_code == 201:
            done.append(response)
        return response.status_code

    async with asyncio.timeout(60):
        floods = [asyncio.create_task(flood(*writer)) for writer in writers]
        while len(done) < 30:
            await asyncio.sleep(0.01)
        assert (await end).is_success
        assert set(await asyncio.gather(*floods)) == {404}
    return len(done)


async def test_continuous_appends_do_not_delay_removal(shared: Shared, sql: Sql) -> None:
    await shared.add("editor", "bob")
    appends = await flooded(shared, [("bob", 0), ("bob", 1)] * 8, shared.remove("bob", 1))
    kinds = [type_ for _, type_, *_ in sql(LOG)]
    assert kinds == ["participant.added", *["message"] * appends, "participant.removed"]


@pytest.mark.parametrize("path", ["/sessions/{0.session_id}", "/configs/{0.config_id}?force=true"])
async def test_session_deleted_during_appends_leaves_no_rows(shared: Shared, sql: Sql, path: str) -> None:
    for turn in range(6):
        shared = await shared.renewed()
        await shared.add("editor", "bob")
        assert (await shared.call("alice", 0, "POST", "/invitations", {"role": "viewer"})).status_code == 201
        delete = shared.clients["alice"][turn % 2].delete(path.format(shared))
        await flooded(shared, [("alice", 0), ("alice", 1), ("bob", 0), ("bob", 1)] * 2, delete)
        for table in ("sessions", "session_participants", "messages", "session_events", "session_invitations"):
            assert sql(f"select count(*) from {table} where session_id = %s", shared.session_id) == [(0,)]


async def test_session_is_deleted_during_append_of_new_participant(shared: Shared, sql: Sql, dsn: str) -> None:
    """The newcomer is added while the deletion waits for another participant's row."""
    await shared.add("owner", "bob", "carol")
    sql("begin; select from session_participants where user_id = 'bob' for update")
    deletion = asyncio.create_task(shared.call("alice", 0, "DELETE", ""))
    await shared.until_waiting(1)
    await shared.add("editor", "dave", actor="carol")
    with psycopg.connect(dsn) as other:
        other.execute("select from sessions for update")
        sql("commit")
        async with asyncio.timeout(10):  # until the deletion is the first to wait for the session's row
            while not sql(FIRST):
                await asyncio.sleep(0.01)
        append = asyncio.create_task(shared.append("dave", 1))
        await shared.until_waiting(2)
    assert [(await task).status_code for task in (deletion, append)] == [200, 404]


async def test_adding_participant_costs_the_same_in_long_session(shared: Shared, sql: Sql) -> None:
    query = shared.one.app.state.queries.participants.create
    sql(f"prepare adding as {query.statement}")
    touched = []
    for appends, size in ((1, 10), (10, 1000)):
        shared = await shared.renewed()
        for _ in range(appends):
            body = {"messages": [{"role": "user", "content": "x" * 100}] * size}
            assert (await shared.call("alice", 0, "POST", "/transcript", body)).status_code == 201
        values = {"actor_id": "alice", "session_id": shared.session_id, "user_id": "bob", "role": "editor"}
        arguments = ", ".join(f"'{values.get(name, '{}')}'" for name in query.parameters)
        ((explained,),) = sql(f"explain (analyze, buffers, format json) execute adding({arguments})")
        nodes = [explained[0]["Plan"]]
        for node in nodes:
            nodes += node.get("Plans", [])
        touched.append(sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in nodes))
    assert 0 < touched[1] <= touched[0] + 20, touched
