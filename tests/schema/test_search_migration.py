"""The migrations that add search to a database with transcripts, while messages are appended."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from amplifier.schema import migrate
from amplifier.schema.search_index import ReindexError, adopt
from tests.conftest import serving, settings_for
from tests.support.archive import APPEND, MESSAGES, MIGRATIONS, ROWS, SESSIONS, STALE, Archive, migrations
from tests.support.service import wait_until

pytestmark = pytest.mark.slow

SEARCH = MIGRATIONS[13:]
INDEX = """
    select i.indisvalid, c.reloptions
    from pg_index as i join pg_class as c on c.oid = i.indexrelid
    where c.relname = 'messages_search_idx'
"""
UNFILLED = """
    select session_id, seq from messages where search is null or search_revision is null
    union all
    select session_id, 0 from sessions where search is null or search_revision is null
"""
WORKER = "from pg_stat_activity where datname = current_database() and query like %s and state <> 'idle'"
SEARCH_COLUMNS = "select attrelid::regclass::text, attname from pg_attribute where attname ~ '^search' and attnum > 0"


@pytest.fixture
def old(empty_dsn: str) -> Archive:
    """A database from before the search migrations, with twenty sessions of 150 messages."""
    database = Archive(empty_dsn)
    database.apply(1, 13)
    database.run(ROWS)
    return database


async def test_existing_messages_are_found_and_unchanged(old: Archive) -> None:
    before = old.run("select session_id, updated_at from sessions order by session_id")
    assert migrate.migrate(old.dsn) == SEARCH
    assert old.run("select session_id, updated_at from sessions order by session_id") == before
    assert old.run(UNFILLED) == []
    assert old.run(INDEX) == [(True, ["fastupdate=off"])]
    [(found,)] = old.run(
        "select count(*) from messages as m join sessions as s using (session_id)"
        " where m.search @@ search_query(coalesce(s.search_language, 'english')::regconfig, 'mark-' || session_id || '-' || seq)"  # noqa: E501
    )
    assert found == SESSIONS * MESSAGES
    assert old.run("select session_id, search_language from sessions where search_language is not null") == [
        ("s1", "german")
    ]
    await _assert_found_over_http(old.dsn)


async def _assert_found_over_http(dsn: str) -> None:
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        listed = (await alice.get("/sessions", params={"q": "passengers", "limit": 100})).json()
        assert {row["session_id"]: row["hits"] for row in listed["sessions"]} == {
            f"s{n}": MESSAGES for n in range(1, SESSIONS + 1)
        }
        hits = (await alice.get("/search", params={"q": "mark-s7-33"})).json()["items"]
        assert [(hit["session_id"], hit["seq"]) for hit in hits] == [("s7", 33)]
        titles = (await alice.get("/search", params={"q": "flight day blue", "limit": 100})).json()["items"]
        assert {(hit["session_id"], hit["seq"]) for hit in titles} == {(f"s{n}", None) for n in range(1, SESSIONS + 1)}
        assert (await (await api.as_user("bob")).get("/search", params={"q": "passengers"})).json()["items"] == []


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_interrupted_fill_continues_where_it_stopped(old: Archive, how: str) -> None:
    with old.filling() as migrated:
        filled = old.run("select ctid, xmin, session_id, seq from messages where search is not null")
        assert old.run(f"select {how}(pid) {WORKER}", "%do $$%") == [(True,)]
        with pytest.raises(migrate.SchemaError):
            migrated.result(30)
    assert old.unfilled("messages") == 1
    assert migrate.migrate(old.dsn) == SEARCH[2:]
    assert set(filled) < set(old.run("select ctid, xmin, session_id, seq from messages"))
    assert old.run(UNFILLED) == []
    assert old.run(INDEX) == [(True, ["fastupdate=off"])]


def test_fill_returns_to_locked_session(old: Archive) -> None:
    old.apply(14, 15)
    with ThreadPoolExecutor(1) as pool:
        with old.locked("sessions", "session_id = 's2'"):
            migrated = pool.submit(migrate.migrate, old.dsn)
            wait_until(lambda: migrated.done() or old.unfilled("sessions") == 1)
            assert not migrated.done()
            assert old.run("select session_id from sessions where search is null") == [("s2",)]
        assert migrated.result(60) == SEARCH[2:]
    assert old.run(UNFILLED) == []


def test_appends_succeed_during_fill(old: Archive) -> None:
    with ThreadPoolExecutor(4) as pool:
        with old.filling() as migrated:
            sessions = [["s1", "s2", "s2", f"s{n}"] * 10 for n in (3, 4, 5, 6)]
            list(pool.map(lambda names: _append(old.dsn, names), sessions))
            assert old.unfilled("messages") == 1
            assert not migrated.done()
        assert migrated.result(60) == SEARCH[2:]
    assert old.run(UNFILLED) == []
    counts = dict(old.run("select session_id, count(*) from messages where message ->> 'content' ~ '^An' group by 1"))
    assert counts == {"s1": 40, "s2": 80, "s3": 10, "s4": 10, "s5": 10, "s6": 10}


def test_interrupted_index_is_built_again(old: Archive) -> None:
    old.apply(14, 15)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(old.dsn) as other:
        other.execute("lock table messages in row exclusive mode")  # an append, which `concurrently` waits for
        migrated = pool.submit(migrate.migrate, old.dsn)
        wait_until(lambda: old.run(INDEX) == [(False, ["fastupdate=off"])])
        assert old.run(f"select pg_terminate_backend(pid) {WORKER}", "%create index concurrently%") == [(True,)]
        with pytest.raises(migrate.SchemaError):
            migrated.result(30)
    assert old.run(INDEX)[0][0] is False
    assert migrate.migrate(old.dsn) == SEARCH[3:]
    assert old.run(INDEX) == [(True, ["fastupdate=off"])]


async def test_each_search_migration_rolls_back_and_applies_again(old: Archive) -> None:
    messages = "select to_jsonb(m) from messages as m order by session_id, seq"  # columns that return come last
    before = old.run(messages), old.run("select * from sessions order by 1")
    migrate.migrate(old.dsn)
    for migration in reversed(migrations()[13:]):
        with migrate.yoyo_backend(old.dsn) as backend:
            backend.rollback_one(migration)
        _append(old.dsn, ["s1"])
        old.run("delete from messages where message ->> 'content' ~ '^An'")
    assert old.run(SEARCH_COLUMNS) == []
    assert old.run(messages) == before[0]
    rows = old.run("select * from sessions order by 1")
    assert [row for row in rows if row[0] != "s1"] == [row for row in before[1] if row[0] != "s1"]
    assert migrate.migrate(old.dsn) == SEARCH
    assert old.run(UNFILLED) == []
    await _assert_found_over_http(old.dsn)


@pytest.mark.parametrize(
    "change",
    [
        "title = 'Other'",
        "title = null",
        "title = 'The flights of day 2'",
        'tags = \'{"team": "red"}\'',
        "status = 'completed'",
        "metadata = '{\"a\": 1}'",
        'metadata = \'{"language": "german"}\'',
    ],
)
def test_change_of_session_moves_updated_at(change: str, dsn: str, sql: Callable[..., list[Any]]) -> None:
    sql(ROWS)
    [(before,)] = sql("select updated_at from sessions where session_id = 's2'")
    sql(f"update sessions set {change} where session_id = 's2'")
    [(after,)] = sql("select updated_at from sessions where session_id = 's2'")
    assert after > before
    assert sql(STALE.partition("union all")[2]) == []


async def test_append_keeps_search_words_of_session(dsn: str, sql: Callable[..., list[Any]]) -> None:
    sql(ROWS)
    sql("update sessions set search = 'sentinel'")
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        added = await alice.post(
            "/sessions/s2/transcript", json={"messages": [{"role": "user", "content": "A Zeppelin"}]}
        )
        assert added.status_code == 201, added.text
        hits = (await alice.get("/search", params={"q": "zeppelin"})).json()["items"]
        assert [(hit["session_id"], hit["seq"]) for hit in hits] == [("s2", MESSAGES + 1)]
    assert sql("select distinct search::text from sessions") == [("'sentinel'",)]
    assert sql("select updated_at > now() - interval '1 hour' from sessions where session_id = 's2'") == [(True,)]


def test_only_database_without_sessions_adopts_language(old: Archive) -> None:
    migrate.migrate(old.dsn)
    adopt(old.dsn, "german")
    assert old.run("select search_default_language()") == [("english",)]
    old.run("delete from sessions")
    with pytest.raises(ReindexError, match=r"'klingon'.*english.*german"):
        adopt(old.dsn, "klingon")
    adopt(old.dsn, "de-AT")
    assert old.run("select search_default_language()") == [("german",)]


def _append(dsn: str, sessions: list[str]) -> None:
    with psycopg.connect(dsn, autocommit=True, options="-c lock_timeout=5s") as connection:
        for session_id in sessions:
            connection.execute(APPEND, (session_id,))
