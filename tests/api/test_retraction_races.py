"""Retractions beside the work of others on a session: appends, runs, forks and other retractions."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.api.test_retractions import retracted, seqs
from tests.api.test_transcripts import append, message
from tests.conftest import Api
from tests.runtime.test_run_begin_races import append as add
from tests.support.stage import ALICE, Sql, Stage, staged


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Yields a session of alice and bob with three messages."""
    async with staged(dsn, sql) as stage:
        await add(stage, 3)
        yield stage


def take_back(stage: Stage, actor_id: str = "alice", **given: Any) -> Any:
    """Takes the newest message back."""
    usual = {"seqs": None, "last": 1, "after": None, "expected_seq": None, "erases": False}
    sizes = {"most": 1000, "max_bytes": 1_000_000}
    return stage.queries.retractions.create(**(ALICE | usual | sizes | {"actor_id": actor_id} | given))


def left(sql: Sql) -> list[int]:
    return [seq for (seq,) in sql("select seq from messages order by seq")]


async def test_waiting_retraction_takes_another_message(stage: Stage) -> None:
    """The snapshot of the second statement has the message that the first one took."""
    async with stage.open():
        [first] = await take_back(stage)
        second = stage.soon(take_back(stage, "bob"))
        await stage.until_waiting()
    [row] = await second
    assert (first["seq"], row["seq"], row["last_seq"], row["messages_total"]) == (3, 2, 5, 1)
    assert left(stage.sql) == [1]


async def test_waiting_retraction_takes_message_that_was_just_added(stage: Stage) -> None:
    async with stage.open():
        await add(stage, 1)
        waiting = stage.soon(take_back(stage, "bob"))
        await stage.until_waiting()
    assert [row["seq"] for row in await waiting] == [4]


async def test_waiting_retraction_compares_the_clock_again(stage: Stage) -> None:
    async with stage.open():
        await add(stage, 1)
        waiting = stage.soon(take_back(stage, "bob", expected_seq=3))
        await stage.until_waiting()
    assert (await waiting, left(stage.sql)) == ([], [1, 2, 3, 4])


@pytest.mark.parametrize("name", ["start", "enqueue"])
async def test_nothing_is_taken_back_from_session_whose_run_just_began(stage: Stage, name: str) -> None:
    async with stage.open():
        assert await getattr(stage, name)("run") is not None
        waiting = stage.soon(take_back(stage, "bob"))
        await stage.until_waiting()
    assert (await waiting, left(stage.sql)[:3]) == ([], [1, 2, 3])


async def test_removed_participant_takes_nothing_back(stage: Stage) -> None:
    async with stage.open():
        await stage.queries.database.execute("delete from session_participants where user_id = 'bob'")
        waiting = stage.soon(take_back(stage, "bob"))
        await stage.until_waiting()
    assert (await waiting, left(stage.sql)) == ([], [1, 2, 3])


async def test_fork_waits_and_has_the_message_or_not(stage: Stage) -> None:
    key = {"session_id": "here", "actor_id": "alice", "own_config_id": None}
    async with stage.open():
        await take_back(stage)
        locked = stage.soon(stage.queries.sessions.lock_source(**key))
        await stage.until_waiting()
    await locked
    async with stage.open():
        await stage.queries.sessions.lock_source(**key)
        waiting = stage.soon(take_back(stage))
        await stage.until_waiting()
        assert left(stage.sql) == [1, 2]
    assert [row["seq"] for row in await waiting] == [2]


async def test_service_can_take_back_messages_and_no_more(stage: Stage) -> None:
    """The service's role has functions for it."""
    await take_back(stage)
    for statement in (
        "delete from messages",
        "delete from retracted_messages",
        "update retracted_messages set message = '{}'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stage.queries.database.execute(statement)
    erase = "select messages_erase('here', array[1, 3])"
    assert [row[0] for row in await stage.queries.database.fetch(erase)] == [3]
    stage.sql("set role amplifier_readonly")
    for function in ("messages_retract(text, bigint[], bigint, text, text, boolean)", "messages_erase(text, bigint[])"):
        assert stage.sql("select has_function_privilege(%s, 'execute')", function) == [(False,)]


async def test_each_of_many_gets_another_message(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [message(str(number)) for number in range(8)])
    answers = await asyncio.gather(*(retracted(alice, session_id, last=1) for _ in range(10)))
    assert sorted(seq for answer in answers for seq in seqs(answer)) == list(range(1, 9))
    session = (await alice.get(f"/sessions/{session_id}")).json()
    assert (session["last_seq"], session["messages_total"], session["message_count"]) == (16, 0, 0)
