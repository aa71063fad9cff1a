"""Repairs of large and odd transcripts, and what the database's role may change."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import psycopg
import pytest

from amplifier.api import repair
from amplifier.database.pool import Database
from amplifier.transcripts.integrity import diagnose
from tests.api.test_repair import MENDED, SPOILT, Sql, append, ask_repair, diagnosis, multiset, plain
from tests.conftest import CONFIG, assert_problem, settings_for
from tests.end_to_end.test_main_job import transcripts
from tests.support.live import Live, live, until


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


async def test_real_conversations(alice: httpx.AsyncClient, config_id: str) -> None:
    for messages in transcripts()[:20]:
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        spoilt = [message for place, message in enumerate(messages) if place % 5] + messages[5:6]
        await append(alice, session_id, spoilt)
        before = await plain(alice, session_id)
        await ask_repair(alice, session_id)
        repaired = await plain(alice, session_id)
        assert multiset(before) <= multiset(repaired)
        assert [one for one in diagnose(repaired) if one.needs_repair] == []
        assert (await diagnosis(alice, session_id))["valid"]


async def test_long_repair_is_waited_for(dsn: str, sql: Sql) -> None:
    """Longer than any other statement may take."""
    long = (
        "datname = current_database() and wait_event_type = 'Lock'"
        " and query_start < clock_timestamp() - interval '1 second'"
    )
    async with live(settings_for(dsn, database_statement_timeout=0.5, database_lock_timeout=10)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        await append(alice, session_id, SPOILT)
        with psycopg.connect(dsn) as connection:
            connection.execute("select from messages where seq = 4 for update")
            repairing = asyncio.create_task(ask_repair(alice, session_id))
            await until(lambda: repairing.done() or sql(f"select 1 from pg_stat_activity where {long}"))
        assert (await repairing).status_code == 200
        assert await plain(alice, session_id) == MENDED


async def test_many_pages(alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "_PAGE", 4)
    await append(alice, session_id, SPOILT * 5)
    assert (await ask_repair(alice, session_id)).json()["moved"] == 28
    assert await plain(alice, session_id) == MENDED * 5


async def test_too_large_transcript_is_refused(
    alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(alice, session_id, SPOILT)
    for limit, value in (("MAX_MESSAGES", 5), ("MAX_BYTES", 100)):
        with monkeypatch.context() as patch:
            patch.setattr(repair, limit, value)
            assert "10,000" in assert_problem(await alice.get(f"/sessions/{session_id}/diagnosis"), 422)["detail"]
            assert_problem(await ask_repair(alice, session_id), 422)
    monkeypatch.setattr(repair, "MAX_FINDINGS", 1)
    assert len((await diagnosis(alice, session_id))["findings"]) == 1


async def test_numbers_of_any_length_are_no_obstacle(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    """As an earlier release took them."""
    message = f'{{"role": "assistant", "content": "", "n": {"9" * 6000}, "x": 1.5e99}}'
    columns = "session_id, message, author_user_id, author_app_id"
    sql(f"insert into messages ({columns}) values (%s, %s, 'alice', 'app')", session_id, message)
    assert (await diagnosis(alice, session_id))["valid"]


async def test_service_can_move_messages_and_no_more(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    """The service's role has one function for it, which gives messages higher numbers."""
    await append(alice, session_id, SPOILT)
    database: Database = api.app.state.queries.database
    move = "select messages_move($1, $2, $3)"
    assert await database.fetchval(move, session_id, [3, 9], [10, 11]) == 1
    assert await database.fetchval(move, session_id, [4, 5], [2, 5]) == 0
    assert await database.fetchval(move, "elsewhere", [4], [20]) == 0
    assert await database.fetchval(move, session_id, [4], [None]) == 0
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.fetchval(move, session_id, [4], [10])
    for statement in ("update messages set seq = 9", "delete from messages", "update session_events set seq = 9"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.execute(statement)
    assert sql("select seq from messages order by seq") == [(1,), (2,), (4,), (5,), (6,), (10,)]
    sql("set role amplifier_readonly")
    [(may,)] = sql("select has_function_privilege('messages_move(text, bigint[], bigint[])', 'execute')")
    assert not may
