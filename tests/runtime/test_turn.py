"""The end of a turn: the answer and the end of its run are one commit, and two where one does not do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.runtime import execution, turn
from tests.conftest import Api, serving
from tests.support.agents import Agent, agent, echo, model, settings
from tests.support.llm import Call, Reply, Stub
from tests.support.stage import HERE, Stage, staged

Sql = Callable[..., list[Any]]
COMMITS = "select m.seq, m.xmin::text = r.xmin::text from messages as m cross join runs as r order by m.seq"
ONCE = """
create sequence ends;
grant usage on sequence ends to public;
create function fail() returns trigger language plpgsql as $$
begin
    if new.status = 'completed' and nextval('ends') = 1 then raise 'full' using errcode = '53100'; end if;
    return new;
end $$;
create trigger fail before update on runs for each row execute function fail()
"""
FULL = """
create function fail() returns trigger language plpgsql as $$
begin
    if new.message ->> 'role' = 'assistant' then raise 'too large' using errcode = '54000'; end if;
    return new;
end $$;
create trigger fail before insert on messages for each row execute function fail()
"""


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """A session of alice and bob."""
    async with staged(dsn, sql) as stage:
        yield stage


async def assert_answered(here: Agent) -> None:
    """Checks that a greeting has one answer, which the run knows."""
    assert (await here.say("Hi"))["response"] == "You said: Hi"
    assert await here.said() == [("user", "Hi"), ("assistant", "You said: Hi")]
    assert [run["status"] for run in await here.runs()] == ["completed"]


async def test_answer_and_end_are_one_commit(alice: httpx.AsyncClient, stub: Stub, sql: Sql) -> None:
    """Calls of tools and their results are committed when they happen."""
    here = await agent(alice, model(stub), tools=[{"module": "tool-some"}])
    stub.when("go", Reply(calls=[Call("say", {"text": "x"})]), Reply("Well."))
    assert (await here.say("go"))["response"] == "Well."
    assert [together for _, together in sql(COMMITS)] == [False, False, False, True]


@pytest.mark.parametrize("seconds", [0, 60])
async def test_answer_is_written_once_whenever_the_run_ends(
    alice: httpx.AsyncClient, sql: Sql, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(turn, "_HELD", seconds)
    await assert_answered(await agent(alice, echo()))
    assert [together for _, together in sql(COMMITS)] == [False, seconds > 0]


async def test_large_answer_is_written_at_once(
    alice: httpx.AsyncClient, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_MOST_HELD", 10)
    await assert_answered(await agent(alice, echo()))
    assert [together for _, together in sql(COMMITS)] == [False, False]


async def test_answer_is_written_once_although_the_end_fails(alice: httpx.AsyncClient, sql: Sql) -> None:
    await asyncio.to_thread(sql, ONCE)  # the runner may have a transaction open meanwhile
    await assert_answered(await agent(alice, echo()))


@pytest.mark.parametrize("seconds", [0, 60])
async def test_run_fails_whose_answer_cannot_be_written(
    alice: httpx.AsyncClient, sql: Sql, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(turn, "_HELD", seconds)
    here = await agent(alice, echo())
    await asyncio.to_thread(sql, FULL)
    failed = await here.client.post(f"{here.path}/messages", json={"message": "Hi"})
    assert failed.status_code >= 400, failed.text
    [run] = await here.runs()
    assert (run["status"], run["error"]["type"]) == ("failed", "refused")


async def test_answer_waits_for_the_database_so_long_only(dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_ANSWER_TIMEOUT", 0.5)
    async with serving(settings(dsn, run_lease=1)) as api:
        here = await agent(await api.as_user("alice"), echo())
        await asyncio.to_thread(sql, FULL.replace("54000", "53100"))
        answer = await here.client.post(f"{here.path}/messages", json={"message": "Hi"})
        assert answer.status_code == 503, answer.text
        assert (await here.run("failed"))["error"]["type"] == "interrupted"
        assert await here.said() == [("user", "Hi")]


@pytest.mark.parametrize(
    "change",
    [
        "update session_participants set role = 'viewer' where user_id = 'alice'",
        "delete from session_participants where user_id = 'alice'",
        "update sessions set status = 'completed'",
    ],
)
async def test_run_that_may_not_answer_ends_without_answer_only(stage: Stage, change: str) -> None:
    await stage.start("going")
    stage.sql(change)
    said = b'[{"role": "assistant", "content": "Hi"}]'
    assert await stage.finish(messages=said, answers=True) is None
    assert stage.statuses() == {"going": "running"}
    assert stage.log() == ["run.started", "message"]
    assert await stage.finish(status="failed") is not None
    assert stage.log()[2:] == ["run.failed"]


async def test_removal_waits_for_the_answer(stage: Stage) -> None:
    await stage.start("going", "bob")
    async with stage.open():
        assert await stage.finish(messages=b'[{"role": "assistant", "content": "Hi"}]', answers=True) is not None
        who = HERE | {"actor_id": "alice", "user_id": "bob"}
        removed = stage.soon(stage.queries.participants.delete(**who))
        await stage.until_waiting()
    assert await removed is not None
    assert stage.log()[2:4] == ["message", "run.completed"]
