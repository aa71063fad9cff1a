"""Limits of running and queued runs for each user and session, and the order in which users take turns."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import assert_problem, serving
from tests.support.agents import Agent, agent, model, settings, waiting
from tests.support.live import until
from tests.support.llm import Gate, Reply, Stub
from tests.support.stage import Stage, staged

Sql = Callable[..., list[Any]]
PATIENT: dict[str, Any] = {
    "database_acquire_timeout": 60,
    "database_lock_timeout": 60,
    "database_statement_timeout": 60,
}
SLOWLY = PATIENT | {"run_lease": 600}  # no periodic housekeeping during the test


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Yields a session of alice and bob."""
    async with staged(dsn, sql) as stage:
        yield stage


def statuses(sql: Sql) -> dict[str, int]:
    return dict(sql("select status, count(*) from runs group by status"))


async def sessions(client: httpx.AsyncClient, stub: Stub, count: int) -> list[Agent]:
    """Creates sessions of one config."""
    first = await agent(client, model(stub))
    config_id = (await client.get(first.path)).json()["config_id"]
    more = [await client.post("/sessions", json={"config_id": config_id}) for _ in range(count - 1)]
    return [first, *(Agent(client, one.json()["session_id"]) for one in more)]


async def test_queue_of_session_is_exact(dsn: str, sql: Sql, stub: Stub, installed: None) -> None:
    """Two users send 45 messages at once."""
    async with serving(settings(dsn, stub, max_queued_runs=20, database_pool_max_size=10, **PATIENT)) as api:
        here, gate = await agent(await api.as_user("alice"), model(stub)), Gate()
        await here.client.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
        there = here._replace(client=await api.as_user("bob"))
        stub.when("first", Reply("1", gate=gate))
        async with waiting(here.say("first")):
            await until(lambda: stub.requests)
            send = [
                (here, there)[n % 2].client.post(f"{here.path}/messages", json={"message": "Hi"}) for n in range(45)
            ]
            sent = [asyncio.create_task(one) for one in send]
            await until(lambda: sum(one.done() for one in sent) + statuses(sql).get("queued", 0) >= 45)
            refused = [one.result() for one in sent if one.done()]
            assert (len(refused), statuses(sql)) == (25, {"running": 1, "queued": 20})
            for answer in refused:
                assert_problem(answer, 429, "The session has 20 messages waiting (MAX_QUEUED_RUNS): try again later")
                assert answer.headers["retry-after"] == "5"
            gate.open()
        assert Counter(answer.status_code for answer in await asyncio.gather(*sent)) == {200: 20, 429: 25}


async def test_messages_of_user_that_wait_are_counted_over_sessions(
    dsn: str, sql: Sql, stub: Stub, installed: None
) -> None:
    async with serving(settings(dsn, stub, max_runs_per_user=1, max_queued_runs_per_user=3, **SLOWLY)) as api:
        agents, gate = await sessions(await api.as_user("alice"), stub, 9), Gate()
        stub.when("first", Reply("1", gate=gate))
        async with waiting(agents[0].say("first")):
            await until(lambda: stub.requests)
            sent = [
                asyncio.create_task(one.client.post(f"{one.path}/messages", json={"message": "Hi"}))
                for one in agents[1:]
            ]
            await until(lambda: sum(one.done() for one in sent) + statuses(sql).get("queued", 0) >= 8)
            refused = [one.result() for one in sent if one.done()]
            assert (len(refused), statuses(sql)) == (5, {"running": 1, "queued": 3})
            detail = "You have 3 messages waiting (MAX_QUEUED_RUNS_PER_USER): try again later"
            for answer in refused:
                assert_problem(answer, 429, detail)
            gate.open()
        assert Counter(answer.status_code for answer in await asyncio.gather(*sent)) == {200: 3, 429: 5}


async def test_user_takes_no_more_than_a_share_of_a_process(dsn: str, sql: Sql, stub: Stub, installed: None) -> None:
    """Further runs of the user begin when one ends; a run of another user begins at once."""
    async with serving(settings(dsn, stub, max_runs_per_user=2, **SLOWLY)) as api:
        agents, gate = await sessions(await api.as_user("alice"), stub, 7), Gate()
        stub.when("long", Reply("1", gate=gate))
        sent = [asyncio.create_task(one.say("long")) for one in agents]
        await until(lambda: statuses(sql) == {"running": 2, "queued": 5} and len(stub.requests) == 2)
        bob = await agent(await api.as_user("bob"), model(stub))
        assert (await bob.say("Hi"))["response"] == "You said: Hi"
        assert statuses(sql) == {"running": 2, "queued": 5, "completed": 1}
        gate.open()
        async with asyncio.timeout(30):
            await asyncio.gather(*sent)
        assert statuses(sql) == {"completed": 8}


async def test_place_is_free_again_when_run_did_not_begin(dsn: str, stub: Stub, installed: None) -> None:
    async with serving(settings(dsn, stub, max_runs_per_user=1, **SLOWLY)) as api:
        here, other = await sessions(await api.as_user("alice"), stub, 2)
        await here.client.patch(here.path, json={"status": "completed"})
        for _ in range(3):
            await here.say("Hi", 409)
        assert (await other.say("Hi"))["response"] == "You said: Hi"


async def test_users_take_turns(dsn: str, sql: Sql, stub: Stub, installed: None) -> None:
    """The oldest run of each user comes first, regardless of session ids; the user served last comes last."""
    async with serving(settings(dsn, stub, max_runs_per_process=1, **SLOWLY)) as api:
        alices = await sessions(await api.as_user("alice"), stub, 3)
        bobs, carols = [await agent(await api.as_user(name), model(stub)) for name in ("bob", "carol")]
        gate = Gate()
        stub.when("first", Reply("1", gate=gate))
        order = [
            (alices[0], "a1"),
            (alices[1], "a2"),
            (alices[2], "a3"),
            (alices[0], "a4"),
            (bobs, "b1"),
            (carols, "c1"),
        ]
        async with waiting(alices[0].say("first")):
            await until(lambda: stub.requests)
            sent = []
            for number, (one, text) in enumerate(order, 1):
                sent.append(asyncio.create_task(one.say(text)))
                await until(lambda: statuses(sql).get("queued") == number)  # noqa: B023
            gate.open()
        async with asyncio.timeout(30):
            await asyncio.gather(*sent)
    assert [seen.asked for seen in stub.requests] == ["first", "b1", "c1", "a1", "a2", "a3", "a4"]


async def test_failed_session_comes_last(stage: Stage, sql: Sql) -> None:
    columns = "session_id, config_id, owner_user_id, created_by_app_id"
    sql(f"insert into sessions ({columns}) select 's' || n, 'config', 'alice', 'app' from generate_series(1, 4) as n")
    columns = "session_id, run_id, status, message, user_id, app_id, queued_at"
    row = (
        "'s' || n, 'r', 'queued', '{}', case when n = 3 then 'bob' else 'alice' end, 'app', now() + n * interval '1 s'"
    )
    sql(f"insert into runs ({columns}) select {row} from generate_series(1, 4) as n")

    async def found(full: list[str], failed: list[str], served: tuple[str, ...] = ()) -> list[str]:
        rows = await stage.queries.runs.list_waiting(
            full_user_ids=full, served_user_ids=served, failed_session_ids=failed, limit=9
        )
        return [row["session_id"] for row in rows]

    assert await found([], []) == ["s1", "s3", "s2", "s4"]
    assert await found([], ["s1"]) == ["s2", "s3", "s4", "s1"]
    assert await found(["alice"], []) == ["s3"]
    assert await found([], [], ("alice",)) == await found([], [], ("bob", "alice")) == ["s3", "s1", "s2", "s4"]
