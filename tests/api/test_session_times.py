"""Times of changes have the order of their numbers, because they are read after the session's row is locked."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.live import until

Sql = Callable[..., list[Any]]
MESSAGE = {"role": "user", "content": "Hello"}
WAITS = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
LATEST = (
    "select max(created_at) from (select created_at from messages union all select created_at from session_events) as t"
)


def is_waiting(sql: Sql) -> bool:
    """Returns whether a statement waits for a lock. A transaction sees one snapshot of activity until it clears it."""
    sql("select pg_stat_clear_snapshot()")
    return sql(WAITS) != []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/transcript", {"messages": [MESSAGE]}),
        ("POST", "/transcript", {"messages": [MESSAGE], "keys": ["first"]}),
        ("PATCH", "", {"title": "Other"}),
        ("POST", "/participants", {"user_id": "bob", "role": "viewer"}),
        ("POST", "/invitations", {"role": "viewer"}),
    ],
    ids=["append", "keyed append", "update", "participant", "invitation"],
)
async def test_change_that_waits_has_a_time_after_its_wait(
    alice: httpx.AsyncClient, session_id: str, sql: Sql, method: str, path: str, body: dict[str, Any]
) -> None:
    sql("begin")
    sql("select from sessions for update")
    changing = asyncio.create_task(alice.request(method, f"/sessions/{session_id}{path}", json=body))
    try:
        await until(lambda: changing.done() or is_waiting(sql))
        [(released_at,)] = sql("select clock_timestamp()")
    finally:
        sql("commit")
    answer = await changing
    assert answer.is_success, answer.text
    [(changed_at,)] = sql(LATEST)
    assert released_at < changed_at
    assert sql("select updated_at from sessions") == [(changed_at,)]
