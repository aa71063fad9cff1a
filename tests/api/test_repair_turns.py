"""Repairs and diagnoses beside the work of others: no transaction while they read, and one at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.api import repair
from amplifier.web import turns
from tests.api.test_repair import MENDED, SPOILT, append, ask_repair, multiset, plain
from tests.conftest import CONFIG, Api, assert_problem
from tests.support.live import until
from tests.support.stage import holding

Sql = Callable[..., list[Any]]
WAITING = (
    "select xact_start = query_start from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock'"
)


@contextlib.asynccontextmanager
async def reading(dsn: str, requests: list[Any], sql: Sql) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """The requests, while the first of them cannot read its transcript."""
    with holding(dsn, "lock table messages in access exclusive mode") as release:
        tasks = [asyncio.create_task(request) for request in requests]
        await until(lambda: sql(WAITING))
        try:
            yield tasks
        finally:
            release()
            await asyncio.gather(*tasks)


async def spoilt(client: httpx.AsyncClient, count: int) -> list[str]:
    """Sessions of a client with spoilt transcripts."""
    config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
    made = [(await client.post("/sessions", json={"config_id": config_id})).json()["session_id"] for _ in range(count)]
    for session_id in made:
        await append(client, session_id, SPOILT)
    return made


async def test_transcripts_are_read_outside_transactions(dsn: str, sql: Sql, alice: httpx.AsyncClient) -> None:
    [session_id] = await spoilt(alice, 1)
    for method, path in (("POST", "repair"), ("GET", "diagnosis")):
        headers = {"Idempotency-Key": "one"} if method == "POST" else {}
        request = alice.request(method, f"/sessions/{session_id}/{path}", headers=headers)
        async with reading(dsn, [request], sql) as [task]:
            assert sql(WAITING) == [(True,)]
        assert (await task).status_code == 200


async def test_transcripts_are_read_one_at_a_time(dsn: str, sql: Sql, api: Api, alice: httpx.AsyncClient) -> None:
    bob = await api.as_user("bob")
    sessions = {alice: await spoilt(alice, 3), bob: await spoilt(bob, 3)}
    requests = [ask_repair(client, session_id) for client, ids in sessions.items() for session_id in ids]
    async with reading(dsn, requests, sql) as tasks:
        assert (await bob.get(f"/sessions/{sessions[bob][0]}")).status_code == 200
        assert len(sql(WAITING)) == 1
    assert {task.result().status_code for task in tasks} == {200}
    for client, ids in sessions.items():
        for session_id in ids:
            assert await plain(client, session_id) == MENDED


async def test_wait_for_a_turn_is_bounded(
    dsn: str, sql: Sql, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await spoilt(alice, 2)
    async with reading(dsn, [ask_repair(alice, first)], sql):
        monkeypatch.setattr(turns, "_WAIT", 0.05)
        refused = await ask_repair(alice, second)
        assert "try again" in assert_problem(refused, 503)["detail"]
        assert refused.headers["retry-after"] == "10"


@pytest.mark.parametrize("call", ["GET diagnosis", "POST repair"])
async def test_transcript_that_changes_in_each_try_is_a_conflict(
    alice: httpx.AsyncClient, sql: Sql, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    [session_id] = await spoilt(alice, 1)
    decoded = repair._decoded

    def changed(messages: list[bytes]) -> Any:
        message = "insert into messages (session_id, message, author_user_id, author_app_id)"
        sql(f"""{message} values (%s, '{{"role": "user"}}', 'alice', 'app')""", session_id)
        return decoded(messages)

    monkeypatch.setattr(repair, "_decoded", changed)
    monkeypatch.setattr(repair, "_PAGE", 2)
    method, path = call.split()
    refused = await alice.request(method, f"/sessions/{session_id}/{path}")
    assert_problem(refused, 409, "The session changed at the same time: try again")


async def test_repair_of_what_changed_meanwhile_starts_again(dsn: str, sql: Sql, alice: httpx.AsyncClient) -> None:
    [session_id] = await spoilt(alice, 1)
    headers = {"Idempotency-Key": "one"}
    path = f"/sessions/{session_id}/repair"
    with holding(dsn, "select from session_participants for update") as release:
        repairing = asyncio.create_task(alice.post(path, headers=headers))
        await until(lambda: sql(WAITING))
        await asyncio.to_thread(lambda: sql("update sessions set last_seq = last_seq + 1"))
        release()
        answer = await repairing
    assert (answer.status_code, answer.json()["added"]) == (200, 1)
    assert await plain(alice, session_id) == MENDED
    again = await alice.post(path, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (answer.json(), "true")
    assert multiset(await plain(alice, session_id)) == multiset(MENDED)
    assert sql("select count(*) from audit_log where action = 'repair_transcript'") == [(1,)]
