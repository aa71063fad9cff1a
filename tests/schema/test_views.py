"""The views for analysts: usage by user, application and day, and numbers of searches without their text."""

import asyncio
import os
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.errors import Unavailable
from amplifier.maintenance import activity
from amplifier.maintenance.activity import SearchKey
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.markdown import blocks
from tests.support.paths import ROOT

Sql = Callable[..., list[Any]]
VIEWS = (
    "usage_by_day",
    "usage_by_user",
    "usage_by_application",
    "run_usage",
    "search_activity",
    "session_transcripts",
)
DAYS = ("2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z")
SECRET = "Wunderlampe"
KEY = SearchKey("bob", "app", date(2026, 1, 1), "messages")


@pytest.fixture
def analyst(sql: Sql) -> Sql:
    """Statements with the role amplifier_readonly."""
    sql("set role amplifier_readonly")
    return sql


def written(sql: Sql) -> None:
    """Inserts messages of two users, through two applications, in three sessions, on two days."""
    sql(
        "insert into configs (config_id, name, config_json) values ('c', 'C', '{}');"
        "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id)"
        " select 's' || n, 'c', 'u', 'a' from generate_series(1, 3) as n"
    )
    rows = [
        ("s1", 1, "ann", "web", 0),
        ("s1", 2, "ann", "web", 1),
        ("s2", 1, "ann", "bot", 1),
        ("s3", 1, "bo", "web", 1),
    ]
    for session_id, seq, user_id, app_id, day in rows:
        sql(
            "insert into messages (session_id, seq, message, author_user_id, author_app_id, created_at)"
            ' values (%s, %s, \'{"role": "user", "content": "hi"}\', %s, %s, %s)',
            *(session_id, seq, user_id, app_id, DAYS[day]),
        )


def test_usage_is_counted_by_day_user_and_application(sql: Sql) -> None:
    written(sql)
    size = len('{"role": "user", "content": "hi"}')
    sql("set role amplifier_readonly; set timezone = 'America/New_York'")  # the views count days in UTC nevertheless
    by_day = sql("select day::text, user_id, app_id, sessions, messages, bytes from usage_by_day order by 1, 2, 3")
    assert by_day == [
        ("2026-01-01", "ann", "web", 1, 1, size),
        ("2026-01-02", "ann", "bot", 1, 1, size),
        ("2026-01-02", "ann", "web", 1, 1, size),
        ("2026-01-02", "bo", "web", 1, 1, size),
    ]
    by_user = sql("select user_id, sessions, messages, bytes, first_at < last_at from usage_by_user order by 1")
    assert by_user == [("ann", 2, 3, 3 * size, True), ("bo", 1, 1, size, False)]
    by_app = sql("select app_id, users, sessions, messages, bytes from usage_by_application order by 1")
    assert by_app == [("bot", 1, 1, 1, size), ("web", 2, 2, 3, 3 * size)]


def test_deleted_messages_are_not_counted(sql: Sql) -> None:
    written(sql)
    sql("delete from sessions where session_id <> 's3'")
    assert sql("select user_id from usage_by_day") == [("bo",)]


def test_views_of_an_empty_database_are_empty(analyst: Sql) -> None:
    for view in VIEWS:
        assert analyst(f"select * from {view}") == []


def test_views_and_their_columns_have_comments(sql: Sql) -> None:
    views = "from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"
    assert sql(f"select count(*) {views}") == [(len(VIEWS),)]
    assert sql(f"select relname {views} and obj_description(oid, 'pg_class') is null") == []
    columns = f"select attrelid::regclass::text, attname from pg_attribute where attrelid in (select oid {views})"
    assert sql(f"{columns} and attnum > 0 and col_description(attrelid, attnum) is null") == []


async def searched(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    response = await client.get(path, params=params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_searches_are_counted_without_their_text(api: Api, session_id: str, sql: Sql) -> None:
    alice, elsewhere = await api.as_user("alice"), await api.as_user("alice", "other")
    messages = [{"role": "user", "content": f"needle {n}"} for n in range(3)]
    await alice.post(f"/sessions/{session_id}/transcript", json={"messages": messages})
    page = await searched(alice, "/search", q="needle", limit=2)
    await searched(alice, "/search", q="needle", limit=2, cursor=page["next"])
    await searched(alice, f"/sessions/{session_id}/search", q=SECRET)
    await searched(alice, "/sessions", q="needle")
    await searched(elsewhere, "/search", q=SECRET)
    await api.app.state.activity.flush()
    rows = sql("select app_id, kind, searches, unsuccessful, cancelled from search_activity order by 1, 2")
    assert rows == [("app", "messages", 2, 1, 0), ("app", "sessions", 1, 0, 0), ("other", "messages", 1, 1, 0)]
    [(kept, today, positive)] = sql(
        "select json_agg(s)::text, bool_and(day = (now() at time zone 'UTC')::date), bool_and(seconds > 0)"
        " from searches as s"
    )
    assert (today, positive) == (True, True)
    assert SECRET.lower() not in kept.lower()
    assert session_id not in kept
    sql("delete from applications")
    assert sql("select sum(searches)::integer from search_activity") == [(4,)]


async def test_further_pages_are_not_counted(api: Api, config_id: str, sql: Sql) -> None:
    alice = await api.as_user("alice")
    for _ in range(3):
        await alice.post("/sessions", json={"config_id": config_id, "title": "needle"})
    page = await searched(alice, "/sessions", q="needle", limit=2)
    assert len((await searched(alice, "/sessions", q="needle", after=page["next"]))["sessions"]) == 1
    assert len((await searched(alice, "/sessions", q="needle", offset=2))["sessions"]) == 1
    beyond = await searched(alice, "/sessions", q="needle", offset=3)
    assert (beyond["sessions"], beyond["total"]) == ([], 3)
    await searched(alice, "/sessions", q=SECRET)
    await api.app.state.activity.flush()
    assert sql("select kind, searches, unsuccessful from search_activity") == [("sessions", 2, 1)]


async def test_cancelled_search_is_counted_as_cancelled(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, search_timeout=0.05)) as api:
        alice = await api.as_user("alice")
        with psycopg.connect(dsn) as other:
            other.execute("lock table messages in access exclusive mode")
            assert_problem(await alice.get("/search", params={"q": SECRET}), 503)
        await api.app.state.activity.flush()
    assert sql("select searches, unsuccessful, cancelled from search_activity") == [(1, 0, 1)]


async def test_searches_of_processes_add_up_after_shutdown(dsn: str, sql: Sql) -> None:
    for _ in range(2):
        async with serving(settings_for(dsn)) as api:
            await searched(await api.as_user("alice", f"app{os.urandom(2).hex()}"), "/search", q="x")
    assert sql("select sum(searches)::integer from search_activity") == [(2,)]
    keys = [SearchKey(f"user{n}", "app", date(2026, 1, 1), "messages") for n in range(50)]
    async with serving(settings_for(dsn)) as one, serving(settings_for(dsn)) as other:
        for api, order in ((one, keys), (other, keys[::-1])):
            for key in order:
                api.app.state.activity.note_search(key, 0.5, 0)
                api.app.state.activity.note_search(key, 0.5, 1)
        await asyncio.gather(one.app.state.activity.flush(), other.app.state.activity.flush())
    rows = sql("select searches, unsuccessful, seconds from search_activity where app_id = 'app'")
    assert rows == [(4, 2, 2.0)] * 50


async def test_failed_write_is_repeated_once(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, database_lock_timeout=0.1)) as api:
        noting = api.app.state.activity
        noting.note_search(KEY, 1, 5)
        sql("begin; lock table searches in access exclusive mode")
        with pytest.raises(Unavailable):
            await noting.flush()
        sql("rollback")
        noting.note_search(KEY, 1, None)
        await noting.flush()
        await noting.flush()
    assert sql("select searches, unsuccessful, cancelled, seconds from search_activity") == [(2, 0, 1, 2.0)]


async def test_locked_user_does_not_block_last_searches(dsn: str, sql: Sql) -> None:
    sql("insert into users (user_id) values ('bob')")
    with psycopg.connect(dsn) as other:
        other.execute("select from users for update")
        async with serving(settings_for(dsn, database_lock_timeout=0.1)) as api:
            api.app.state.activity.note_user("bob", "app")
            api.app.state.activity.note_search(KEY, 1, 5)
    assert sql("select searches from search_activity") == [(1,)]


class Late:
    """The queries of `searches`, with a result that arrives only after `may_answer` is set."""

    def __init__(self, queries: Any) -> None:
        self.searches, self._queries = self, queries
        self.written, self.may_answer = asyncio.Event(), asyncio.Event()

    async def add(self, counts: bytes) -> None:
        await self._queries.searches.add(counts=counts)
        self.written.set()
        await self.may_answer.wait()


async def test_pending_write_at_shutdown_happens_once(api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_FLUSH_INTERVAL", 0)
    queries = Late(api.app.state.queries)
    stopping = activity.Activity(queries)  # type: ignore[arg-type]
    stopping.note_search(KEY, 1, 5)
    task = asyncio.create_task(stopping.keep_flushing())
    await queries.written.wait()
    task.cancel()
    await asyncio.wait([task], timeout=0)  # the task has received its cancellation, which must not abort the write
    queries.may_answer.set()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    await stopping.flush()
    assert sql("select searches from search_activity") == [(1,)]


async def test_documented_reports_run_as_an_analyst(dsn: str, sql: Sql, alice: httpx.AsyncClient) -> None:
    written(sql)
    page = (ROOT / "docs/sql.md").read_text()
    [example] = blocks("sql analysts", page)
    statements = [one for one in example.split(";") if one.strip()]
    assert len(statements) == 4
    role, *queries = statements
    sql(role.replace("role ana ", f"role ana_{os.getpid()} "))
    sql(f"set role ana_{os.getpid()}")
    try:
        for query in queries:
            assert isinstance(sql(query), list)
        assert {view for view in VIEWS if f"| `{view}` |" not in page} == set()
    finally:
        sql(f"reset role; drop role ana_{os.getpid()}")
