"""Sessions and configs are deleted while statements about their runs execute, without deadlocks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.stage import HERE, Sql, Stage, holding, staged


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    """Yields a session of alice and bob."""
    async with staged(dsn, sql) as stage:
        yield stage


@pytest.mark.parametrize("deletes", ["session", "config"])
@pytest.mark.parametrize("deleted_first", [True, False])
@pytest.mark.parametrize("name", ["finish", "append", "ask", "expire", "refuse"])
async def test_deletion_and_statement_do_not_deadlock(
    stage: Stage, deletes: str, name: str, deleted_first: bool
) -> None:
    """All statements take their locks in one order."""
    await stage.start("going")
    await stage.ask()
    if name == "refuse":
        await stage.enqueue("queued", "bob")
        await stage.finish()
        stage.sql("delete from session_participants where user_id = 'bob'")
    key = HERE | {"run_id": "going", "process_id": "one"}
    statements: dict[str, Callable[[], Any]] = {
        "finish": stage.finish,
        "append": lambda: stage.queries.runs.append(**key, messages=b'[{"role": "assistant"}]'),
        "ask": lambda: stage.ask("another"),
        "expire": lambda: stage.queries.approval_decisions.expire(**HERE, approval_id="question"),
        "refuse": stage.claim,
    }
    # the session's row is locked, so that the first statement stops while it holds all its other locks
    with holding(stage.queries.database.dsn, "select from sessions for no key update") as release:
        calls = [statements[name], lambda: delete(stage, deletes)]
        tasks = []
        for call in reversed(calls) if deleted_first else calls:
            tasks.append(stage.soon(call()))
            await stage.until_waiting(len(tasks))
        release()
        await asyncio.gather(*tasks)
    assert stage.sql("select count(*) from sessions") == [(0,)]


async def delete(stage: Stage, what: str) -> None:
    queries = stage.queries
    async with queries.database.transaction():
        if what == "session":
            key = HERE | {"actor_id": "alice"}
            await queries.sessions.lock(**key)
            await queries.sessions.delete(**key, if_seqs=None)
        else:
            of = {"actor_id": "alice", "config_id": "config"}
            await queries.configs.lock(**of)
            await queries.configs.lock_sessions(**of)
            await queries.configs.delete(**of, if_versions=None)


async def test_leases_are_renewed_in_order_of_locks(stage: Stage, sql: Sql) -> None:
    """Deleting a config locks the runs of its sessions in the same order."""
    columns = "session_id, config_id, owner_user_id, created_by_app_id"
    sql(f"insert into sessions ({columns}) values ('there', 'config', 'alice', 'app')")
    columns = "session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at"
    going = "'going', 'running', '{}', 'alice', 'app', now(), 'one', now()"
    sql(f"insert into runs ({columns}) values ('there', {going}), ('here', {going})")
    sql("analyze runs")  # without statistics they happen to be read in order
    lease = {"session_ids": ["there", "here"], "run_ids": ["going", "going"], "process_id": "one", "seconds": 60.0}
    with holding(stage.queries.database.dsn, "select from runs where session_id = 'here' for update") as release:
        deleted = stage.soon(delete(stage, "config"))
        await stage.until_waiting()
        renewed = stage.soon(stage.queries.runs.renew(**lease))
        await stage.until_waiting(2)
        release()
        await deleted
        assert await renewed == []
