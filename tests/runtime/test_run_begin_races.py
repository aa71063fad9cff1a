"""Sessions are completed and transcripts repaired while runs begin and forks are made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.test_forks import said, transcript
from tests.support.live import until
from tests.support.stage import ALICE, HERE, WAITING, Sql, Stage, holding, staged


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Yields a session of alice and bob."""
    async with staged(dsn, sql) as stage:
        yield stage


def complete(stage: Stage) -> Any:
    nothing = {"title": None, "tags": None, "metadata": None, "merges": False, "own_config_id": None, "if_seqs": None}
    return stage.queries.sessions.update(**ALICE, **nothing, status="completed")


@pytest.mark.parametrize("name", ["start", "enqueue"])
async def test_message_does_not_become_run_of_session_that_was_just_completed(stage: Stage, name: str) -> None:
    async with stage.open():
        assert await complete(stage) is not None
        sent = stage.soon(getattr(stage, name)("late", "bob"))
        await stage.until_waiting()
    assert await sent is None
    assert (stage.statuses(), stage.log()) == ({}, ["session.updated"])


async def test_waiting_message_fails_in_session_that_was_just_completed(stage: Stage) -> None:
    await stage.enqueue("queued", "bob")
    async with stage.open():
        assert await complete(stage) is not None
        claim = stage.soon(stage.claim())
        await stage.until_waiting()
    assert (await claim)["status"] == "failed"
    assert (stage.statuses(), stage.log()) == ({"queued": "failed"}, ["run.queued", "session.updated", "run.failed"])


async def test_second_claim_of_session_begins_nothing(stage: Stage) -> None:
    """The snapshot of the second claim, which waited for the session's row, does not contain the running run."""
    await stage.enqueue("first", "alice")
    await stage.enqueue("second", "bob")
    async with stage.open():
        assert (await stage.claim("first"))["status"] == "running"
        claim = stage.soon(stage.claim("second", process_id="two"))
        await stage.until_waiting()
    assert await claim is None
    assert stage.statuses() == {"first": "running", "second": "queued"}


async def test_last_place_in_queue_is_taken_once(stage: Stage) -> None:
    """The first of two users gets it. The snapshot of the second one counts fewer queued runs than there are."""
    for number in range(19):
        await stage.enqueue(f"queued-{number}")
    async with stage.open():
        assert await stage.enqueue("last") is not None
        sent = stage.soon(stage.enqueue("late", "bob"))
        await stage.until_waiting()
    assert await sent is None
    assert len(stage.statuses()) == 20


FORK = {"new_session_id": "fork", "own_config_id": None, "title": None, "up_to_seq": None, "most": 100}


def append(stage: Stage, count: int, actor_id: str = "alice") -> Any:
    messages = b"[" + b",".join([b'{"role": "user", "content": "x"}'] * count) + b"]"
    return stage.queries.messages.append(**(ALICE | {"actor_id": actor_id}), messages=messages, expected_seq=None)


async def fork(stage: Stage) -> Any:
    key = HERE | {"actor_id": "alice"}
    await stage.queries.sessions.lock_source(**key, own_config_id=None)
    return await stage.queries.sessions.fork(**ALICE, **FORK)


def copy(stage: Stage, up_to_seq: int) -> Any:
    return stage.queries.transcripts.copy(**HERE, actor_id="alice", fork_id="fork", up_to_seq=up_to_seq)


async def test_fork_beside_repair_has_whole_transcript(stage: Stage) -> None:
    """The repair waits, because it would move messages beyond the sequence number up to which they are copied."""
    await append(stage, 6)
    async with stage.open():
        row = await fork(stage)
        moved = {"seqs": [6, 5, 4, 3], "added": b"[]", "expected_seq": 6}
        repair = stage.soon(stage.queries.transcripts.repair(**(ALICE | {"actor_id": "bob"}), **moved))
        await stage.until_waiting()
        assert await copy(stage, row["last_seq"]) == 6
    assert (await repair)["moved"] == 4
    assert stage.sql("select count(*), max(seq) from messages where session_id = 'fork'") == [(6, 6)]


async def test_append_does_not_wait_for_fork(stage: Stage) -> None:
    await append(stage, 2)
    async with stage.open():
        row = await fork(stage)
        assert (await stage.soon(append(stage, 3, "bob")))["last_seq"] == 5
        assert await copy(stage, row["last_seq"]) == 2
    assert stage.sql("select message_count, last_seq from sessions where session_id = 'fork'") == [(2, 2)]


async def test_fork_waits_for_running_repair(alice: httpx.AsyncClient, session_id: str, dsn: str, sql: Sql) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json=said("a", "b"))
    with holding(dsn, "select from sessions for update") as release:  # as a repair does
        made = asyncio.create_task(alice.post(f"/sessions/{session_id}/fork", json={}))
        await until(lambda: sql(WAITING) == [(1,)])
        release()
        answer = await made
    assert answer.status_code == 201, answer.text
    assert len(await transcript(alice, answer.json()["session_id"])) == 2
