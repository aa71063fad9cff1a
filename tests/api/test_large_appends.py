"""Appends that take longer than other statements may, because they have many words for the search index."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, assert_problem, serving, settings_for
from tests.support.live import until
from tests.support.stage import holding

LARGE = [{"role": "user", "content": "word " * 1600} for _ in range(160)]  # 1.3 MB
LONG = (
    "datname = current_database() and wait_event_type = 'Lock'"
    " and query_start < clock_timestamp() - interval '0.6 seconds'"
)


@contextlib.asynccontextmanager
async def session(dsn: str, **limits: Any) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    async with serving(settings_for(dsn, database_lock_timeout=10, **limits)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        yield alice, f"/sessions/{session_id}/transcript"


@pytest.mark.slow
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_large_append_gets_more_time(dsn: str, sql: Callable[..., list[Any]], headers: dict[str, str]) -> None:
    async with session(dsn, database_statement_timeout=0.5) as (alice, path):
        with holding(dsn, "lock table messages in share mode") as release:
            appending = asyncio.create_task(alice.post(path, json={"messages": LARGE * 4}, headers=headers))
            await until(lambda: appending.done() or sql(f"select 1 from pg_stat_activity where {LONG}"))
            release()
        assert (await appending).json()["last_seq"] == len(LARGE) * 4
        with holding(dsn, "lock table messages in share mode"):
            small = await alice.post(path, json={"messages": LARGE[:1]})
        assert "took too long" in assert_problem(small, 503)["detail"]


async def test_large_append_that_takes_too_long_is_to_be_split(dsn: str) -> None:
    async with session(dsn, database_statement_timeout=0.2) as (alice, path):
        with holding(dsn, "lock table messages in share mode"):
            refused = await alice.post(path, json={"messages": LARGE})
        assert assert_problem(refused, 503)["detail"].endswith("send the messages in several requests")
        assert refused.headers["retry-after"] == "1"
