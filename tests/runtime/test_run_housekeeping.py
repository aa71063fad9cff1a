"""Data of one session does not stop the housekeeping of other sessions, nor that session itself."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplifier.runtime import finish
from amplifier.transcripts.integrity import diagnose
from tests.conftest import Api, assert_problem, serving
from tests.support.agents import Agent, agent, echo, settings
from tests.support.live import until
from tests.support.stage import holding

Sql = Callable[..., list[Any]]
DIGITS = "9" * 5000
COLUMNS = "session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at"
HUGE = """jsonb_build_object(
    'role', 'user', 'content', 'huge',
    'metadata', (select jsonb_build_object('context', jsonb_agg(1e99)) from generate_series(1, 200000))
)"""


@contextlib.contextmanager
def unchecked(sql: Sql) -> Iterator[None]:
    """Disables the triggers of runs, to write rows of an earlier release."""
    sql("alter table runs disable trigger user")
    try:
        yield
    finally:
        sql("alter table runs enable trigger user")


async def sessions(dsn: str, count: int) -> list[str]:
    """Creates sessions of alice. Returns their ids in order."""
    async with serving(settings(dsn)) as api:
        alice = await api.as_user("alice")
        return sorted([(await agent(alice, echo())).session_id for _ in range(count)])


async def again(api: Api, session_id: str) -> Agent:
    return Agent(await api.as_user("alice", "again"), session_id)


def statuses(sql: Sql) -> dict[tuple[str, str], str]:
    return {(row[0], row[1]): row[2] for row in sql("select session_id, run_id, status from runs")}


def dead(sql: Sql, session_id: str, message: str, cancelled: bool = False) -> None:
    """Inserts a run with this message whose process died after the beginning."""
    sql(
        f"insert into runs ({COLUMNS}) values"
        " (%s, 'dead', 'running', %s, 'alice', 'app', now(), 'gone', now() - interval '1 hour')",
        session_id,
        message,
    )
    if cancelled:
        sql("update runs set cancelled_by_user_id = 'alice' where session_id = %s", session_id)
    written(sql, session_id, message)


def written(sql: Sql, session_id: str, message: str) -> None:
    columns = "session_id, message, author_user_id, author_app_id"
    sql(f"insert into messages ({columns}) values (%s, %s, 'alice', 'app')", session_id, message)


@pytest.mark.slow
async def test_message_too_large_for_transcript_fails_alone(dsn: str, sql: Sql) -> None:
    """The run fails with a reason; the queued runs of its session and of others begin."""
    bad, good = await sessions(dsn, 2)
    columns = "session_id, run_id, status, message, user_id, app_id, queued_at"
    small = """jsonb_build_object('role', 'user', 'content', 'small')"""
    with unchecked(sql):
        for place, run_id, value, age in ((bad, "1", HUGE, 9), (bad, "2", small, 8), (good, "3", small, 7)):
            values = f"'{place}', '{run_id}', 'queued', {value}, 'alice', 'app', now() - interval '{age} min'"
            sql(f"insert into runs ({columns}) values ({values})")
    async with serving(settings(dsn)) as api:
        ends = {(bad, "1"): "failed", (bad, "2"): "completed", (good, "3"): "completed"}
        await until(lambda: statuses(sql) == ends)
        here = await again(api, bad)
        failed = (await here.runs())[0]
        reason = "A message of it cannot be stored: it is too large or nested too deeply"
        assert failed["error"] == {"type": "refused", "detail": reason}
        assert failed["message"]["content"] == "huge"
        assert await here.said() == [("user", "small"), ("assistant", "You said: small")]
        assert sql("select type, data #>> '{error,type}' from session_events where data ->> 'run_id' = '1'") == [
            ("run.failed", "refused")
        ]


@pytest.mark.parametrize("number", [DIGITS, f"{'9' * 400}.5"])
async def test_number_that_no_reader_takes_does_not_stop_its_session(dsn: str, sql: Sql, number: str) -> None:
    """The dead runs of this session and of another one are ended, and the agent answers in both."""
    bad, good = await sessions(dsn, 2)
    for place, metadata in ((bad, f'{{"n": {number}}}'), (good, "{}")):
        written(sql, place, f'{{"role": "user", "content": "before", "metadata": {metadata}}}')
        dead(sql, place, f'{{"role": "user", "content": "x", "metadata": {{"context": {metadata}}}}}')
    async with serving(settings(dsn)) as api:
        await until(lambda: set(statuses(sql).values()) == {"failed"})
        for place in (bad, good):
            here = await again(api, place)
            assert (await here.say("on"))["response"] == "You said: on"
    assert sql("select distinct error ->> 'type' from runs where run_id = 'dead'") == [("interrupted",)]


async def test_waiting_message_with_number_that_no_reader_takes_is_answered(dsn: str, sql: Sql) -> None:
    [place] = await sessions(dsn, 1)
    columns = "session_id, run_id, status, message, user_id, app_id"
    message = f'{{"role": "user", "content": "hi", "metadata": {{"context": {{"n": {DIGITS}}}}}}}'
    sql(f"insert into runs ({columns}) values (%s, '1', 'queued', %s, 'alice', 'app')", place, message)
    async with serving(settings(dsn)):
        await until(lambda: set(statuses(sql).values()) == {"completed"})
    assert sql("select left(response, 12) from runs") == [("You said: hi",)]


@pytest.mark.slow
async def test_end_that_cannot_be_written_does_not_stop_others(dsn: str, sql: Sql) -> None:
    """The result of a cancelled call would contain the tool's long name twice, in escaped quotes."""
    bad, good = await sessions(dsn, 2)
    name = '\\"' * 3_500_000
    dead(sql, bad, '{"role": "user", "content": "x"}', cancelled=True)
    written(sql, bad, f'{{"role": "assistant", "content": "", "tool_calls": [{{"id": "a", "tool": "{name}"}}]}}')
    dead(sql, good, '{"role": "user", "content": "x"}')
    async with serving(settings(dsn)) as api:
        await until(lambda: statuses(sql) == {(bad, "dead"): "cancelled", (good, "dead"): "failed"})
        assert not any(one.needs_repair for one in diagnose(await (await again(api, good)).transcript()))


@pytest.mark.slow
async def test_waiting_message_gets_more_time_than_a_statement_has(dsn: str, sql: Sql) -> None:
    """The test makes it wait for a lock; large messages take long."""
    [place] = await sessions(dsn, 1)
    columns = "session_id, run_id, status, message, user_id, app_id"
    message = '{"role": "user", "content": "x"}'
    sql(f"insert into runs ({columns}) values (%s, '1', 'queued', %s, 'alice', 'app')", place, message)
    tries = (
        "select query_start from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        " and query like '%runs.claim%'"
    )
    with holding(dsn, "select from sessions for update") as release:
        async with serving(settings(dsn, database_statement_timeout=1, database_lock_timeout=30)):
            await until(lambda: sql(tries))
            first = sql(tries)
            await until(lambda: sql(tries) not in ([], first))
            release()
            await until(lambda: set(statuses(sql).values()) == {"completed"})


async def test_cancelled_statement_ends_no_run_without_its_messages(dsn: str, sql: Sql) -> None:
    """A DBA's cancellation says nothing about the next try, other than a statement timeout."""
    [place] = await sessions(dsn, 1)
    dead(sql, place, '{"role": "user", "content": "x"}')
    written(sql, place, '{"role": "assistant", "content": "", "tool_calls": [{"id": "a", "tool": "clock"}]}')
    cancelled = (
        "select pg_cancel_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database() and query like '%runs.finish%'"
    )
    with holding(dsn, "select from sessions for update") as release:
        async with serving(settings(dsn, run_lease=1, database_lock_timeout=30)) as api:
            await until(lambda: sql(cancelled))
            release()
            await until(lambda: set(statuses(sql).values()) == {"failed"})
            assert not any(one.needs_repair for one in diagnose(await (await again(api, place)).transcript()))


async def test_end_that_an_outage_prevents_is_no_defect(
    dsn: str, sql: Sql, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last try, another process ends the run when its lease expires."""
    monkeypatch.setattr(finish, "_TRIES", 1)
    async with serving(settings(dsn, run_lease=1)) as api:
        here = await agent(await api.as_user("alice"), echo())
        body = "begin if new.status = 'completed' then raise 'full' using errcode = '53100'; end if; return new; end"
        sql(f"create function fail() returns trigger language plpgsql as $$ {body} $$")
        # in a thread: the runner may have a transaction open meanwhile
        await asyncio.to_thread(sql, "create trigger fail before update on runs for each row execute function fail()")
        answer = await here.client.post(f"{here.path}/messages", json={"message": "Hi"})
    assert answer.status_code == 503, answer.text
    assert "ends with its lease" in caplog.text
    assert "Traceback" not in caplog.text
    assert sql("select status, error ->> 'type' from runs") == [("failed", "interrupted")]


async def test_waiting_message_too_large_for_transcript_is_refused(dsn: str, sql: Sql) -> None:
    """The agent executes another run meanwhile."""
    async with serving(settings(dsn)) as api:
        here = await agent(await api.as_user("alice"), echo())
        dead(sql, here.session_id, '{"role": "user", "content": "x"}')
        sql("update runs set lease_expires_at = 'infinity'")
        body = f'{{"message": "Hi", "context": {{"a": [{",".join(["1e99"] * 200_000)}]}}}}'
        headers = {"content-type": "application/json"}
        refused = await here.client.post(f"{here.path}/messages", content=body, headers=headers)
        assert_problem(refused, 422)
        assert "16 MiB" in refused.json()["detail"]
