"""Another search language, or another extraction, reaches what is stored while the service goes on."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio.to_thread
import httpx
import psycopg
import pytest

from amplifier.schema.search_index import ReindexError, adopt, reindex
from tests.conftest import serving, settings_for
from tests.support.archive import APPEND, MESSAGES, SESSIONS, STALE, Archive
from tests.support.service import wait_until

GERMAN = MESSAGES  # messages of s1, whose config names its language
TUPLES = "select ctid, xmin, session_id, seq from messages union all select ctid, xmin, session_id, 0 from sessions"
WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
BEGUN = "select 1 from sessions where search_revision ~ 'german'"
DEFAULT = "select search_default_language()"


class Writer:
    """Somebody who writes during a run: three times more whenever a part of it is done."""

    def __init__(self, dsn: str, statement: str, sessions: list[str]) -> None:
        self.dsn, self.statement, self.sessions = dsn, statement, sessions
        self.permits = threading.Semaphore(0)
        self.stopped = threading.Event()

    def write(self) -> int:
        """How many statements were committed, at most one for each session."""
        with psycopg.connect(self.dsn, autocommit=True, options="-c lock_timeout=5s") as connection:
            for count, session_id in enumerate(self.sessions):
                self.permits.acquire()
                if self.stopped.is_set():
                    return count
                connection.execute(self.statement, (session_id,))
        return len(self.sessions)

    def go_on(self) -> None:
        """Does not wait, so that it writes during the next part."""
        self.permits.release(3)

    def stop(self) -> None:
        """Lets it end."""
        self.stopped.set()
        self.permits.release()


def test_another_default_reaches_all_rows_but_those_with_a_language(archive: Archive) -> None:
    explicit = _tuples(archive, "s1")
    seen: dict[str, tuple[int, int]] = {}
    count = reindex(archive.dsn, "de", lambda table, *numbers: seen.update({table: numbers}))
    assert count == SESSIONS - 1 + SESSIONS * MESSAGES - GERMAN
    assert archive.run(DEFAULT) == [("german",)]
    assert archive.run(STALE) == []
    assert {table: numbers[0] for table, numbers in seen.items()} == {
        "sessions": SESSIONS,
        "messages": SESSIONS * MESSAGES,
    }
    assert _tuples(archive, "s1") == explicit
    stemmed = "select count(*) from messages where search @@ to_tsquery('german', 'gelaufene')"
    assert archive.run(stemmed) == [(SESSIONS * MESSAGES,)]
    after = _tuples(archive)
    assert reindex(archive.dsn, "german", _nothing) == 0
    assert _tuples(archive) == after


def test_indexing_again_is_no_change_of_a_session(archive: Archive) -> None:
    before = archive.run("select session_id, updated_at from sessions order by 1")
    reindex(archive.dsn, "german", _nothing)
    after = archive.run("select session_id, updated_at from sessions order by 1")
    assert [row for row in after if row not in before] == []


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(archive: Archive) -> None:
    def stop(table: str, *_: int) -> None:
        if table == "messages":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reindex(archive.dsn, "german", stop)
    left = len(archive.run(STALE))
    assert 0 < left < SESSIONS * MESSAGES
    done = _tuples(archive) - set(
        archive.run(f"select t.* from ({TUPLES}) as t join ({STALE}) using (session_id, seq)")
    )
    assert reindex(archive.dsn, "german", _nothing) == left
    assert done < _tuples(archive)
    assert archive.run(STALE) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "statement", "held"),
    [
        ("sessions", "select from sessions where session_id = %s for update", 1),
        ("sessions", APPEND, 1),
        ("messages", "select from messages where session_id = %s for update", MESSAGES),
    ],
)
def test_rows_that_somebody_holds_are_come_back_to(archive: Archive, table: str, statement: str, held: int) -> None:
    stale: list[int] = []
    with psycopg.connect(archive.dsn) as other:
        other.execute(statement, ("s2",))

        def report(name: str, seen: int, total: int) -> None:
            if name == table and seen == total:
                stale.append(
                    sum(row[0] == "s2" and (row[1] == 0) == (table == "sessions") for row in archive.run(STALE))
                )
                if len(stale) == 3:
                    other.commit()

        reindex(archive.dsn, "german", report)
    assert stale[:3] == [held] * 3
    assert archive.run(STALE) == []


@pytest.mark.slow
@pytest.mark.parametrize("table", ["sessions", "messages"])
def test_rows_that_stay_locked_are_an_error_that_says_what_to_do(
    archive: Archive, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplifier.schema.search_index._PATIENCE", 0.2)
    held = f"session_id = 's2' {'and seq = 1' if table == 'messages' else ''}"
    with archive.locked(table, held), pytest.raises(ReindexError, match=rf"1 rows of {table}.* run it again"):
        reindex(archive.dsn, "german", _nothing)
    assert reindex(archive.dsn, "german", _nothing) > 0
    assert archive.run(STALE) == []


@pytest.mark.slow
def test_what_was_written_before_and_is_committed_later_is_indexed_again(archive: Archive) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(archive.dsn) as other:
        other.execute(
            "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, title)"
            " values ('new', 'en', 'alice', 'old', 'Running')"
        )
        done = pool.submit(reindex, archive.dsn, "german", _nothing)
        wait_until(lambda: done.done() or archive.run(WAITING) != [] or _is_done(archive, "german"))
        other.commit()
        done.result(30)
    assert archive.run(STALE) == []


@pytest.mark.slow
def test_appends_and_deletes_go_on_meanwhile(archive: Archive) -> None:
    writers = [
        Writer(archive.dsn, APPEND, ["s1", "s2", "s3"] * 400),
        Writer(archive.dsn, APPEND, ["s3", "s2", "s4"] * 400),
        Writer(archive.dsn, "delete from sessions where session_id = %s", [f"s{n}" for n in range(5, SESSIONS)]),
    ]

    def report(*_: object) -> None:
        for writer in writers:
            writer.go_on()

    with ThreadPoolExecutor(3) as pool:
        written = [pool.submit(writer.write) for writer in writers]
        try:
            for language in ("german", "english", "german", "english"):
                reindex(archive.dsn, language, report)
        finally:
            for writer in writers:
                writer.stop()
        counts = [number.result(30) for number in written]
    assert min(counts) > 4
    assert archive.run("select count(*) from messages where message ->> 'content' ~ '^An'") == [
        (counts[0] + counts[1],)
    ]
    assert archive.run("select count(*) from sessions") == [(SESSIONS - counts[2],)]
    assert _is_done(archive, "english")


@pytest.mark.slow
def test_what_is_appended_meanwhile_is_in_the_new_language(archive: Archive) -> None:
    def report(*_: object) -> None:
        archive.run(APPEND, "s2")

    reindex(archive.dsn, "german", report)
    revisions = archive.run("select search_revision, count(*) from messages where seq > %s group by 1", MESSAGES)
    assert revisions[0][0] == "german/1"
    assert len(revisions) == 1


async def test_a_running_service_searches_in_the_new_language_at_once(archive: Archive) -> None:
    settings = settings_for(archive.dsn, database_pool_min_size=1, database_pool_max_size=1)
    async with serving(settings) as api:
        alice = await api.as_user("alice")
        await _append(alice, "Die Häuser von gestern, the running of yesterday")
        for _ in range(6):  # as often as a plan needs to become generic
            assert (await _found(alice, "Haus"), await _found(alice, "runs")) == ([], [MESSAGES + 1])
        await anyio.to_thread.run_sync(reindex, archive.dsn, "german", _nothing)
        await _append(alice, "Das Haus von morgen")
        assert await _found(alice, "Haus") == [MESSAGES + 2, MESSAGES + 1]
        assert await _found(alice, "runs") == []
        assert (await alice.get("/search", params={"q": "der die das"})).json()["notice"] is not None
        assert [row["hits"] for row in (await alice.get("/sessions?q=Haus")).json()["sessions"]] == [2]


@pytest.mark.slow
def test_a_second_run_waits_for_what_the_first_one_works_on(archive: Archive) -> None:
    _only_long_messages(archive, 1500)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reindex, archive.dsn, "german", _nothing)
        wait_until(lambda: first.done() or archive.run(BEGUN) != [])
        second = reindex(archive.dsn, "german", _nothing)
        # a row that one commits while the other reads is done by both
        assert first.result(60) + second >= 1 + MESSAGES
    assert _is_done(archive, "german")


@pytest.mark.slow
async def test_a_session_with_long_messages_can_be_deleted_meanwhile(archive: Archive) -> None:
    _only_long_messages(archive, 9000)
    async with serving(settings_for(archive.dsn)) as api:
        alice = await api.as_user("alice")
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(reindex, archive.dsn, "german", _nothing)
            await anyio.to_thread.run_sync(wait_until, lambda: done.done() or archive.run(BEGUN) != [])
            deleted = await alice.delete("/sessions/s2")
        assert deleted.status_code == 200, deleted.text
    assert _is_done(archive, "german")


@pytest.mark.slow
@pytest.mark.parametrize("run", [partial(reindex, report=lambda *_: None), adopt], ids=["reindex", "adopt"])
def test_a_default_that_another_process_sets_at_the_same_moment_is_no_crash(
    archive: Archive, run: Callable[[str, str], object]
) -> None:
    if run is adopt:
        archive.run("delete from sessions")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run, archive.dsn, "german") for _ in range(4)]:
            done.result(30)
    assert _is_done(archive, "german")


def test_messages_follow_their_session_into_another_language(archive: Archive) -> None:
    archive.run("update sessions set metadata = '{\"language\": \"de\"}' where session_id = 's4'")
    archive.run("update sessions set metadata = '{\"language\": \"en\"}' where session_id = 's1'")
    assert reindex(archive.dsn, "english", _nothing) == MESSAGES * 2
    assert archive.run(STALE) == []
    german = archive.run("select distinct session_id from messages where search_revision = 'german/1'")
    assert german == [("s4",)]


def _nothing(*_: object) -> None:
    """No progress is shown."""


def _tuples(archive: Archive, session_id: str | None = None) -> set[Any]:
    return {row for row in archive.run(TUPLES) if session_id in (None, row[2])}


def _only_long_messages(archive: Archive, words: int) -> None:
    """Leaves one session, with messages that take a while to be indexed."""
    content = f"(select string_agg('houses' || n, ' ') from generate_series(1, {words}) as n)"
    archive.run("delete from sessions where session_id <> 's2'")
    archive.run(
        "set session_replication_role = replica;"
        f" update messages set message = jsonb_build_object('role', 'user', 'content', {content})"
    )


def _is_done(archive: Archive, language: str) -> bool:
    return archive.run(DEFAULT) == [(language,)] and archive.run(STALE) == []


async def _append(client: httpx.AsyncClient, content: str) -> None:
    messages = [{"role": "user", "content": content}]
    added = await client.post("/sessions/s2/transcript", json={"messages": messages})
    assert added.status_code == 201, added.text


async def _found(client: httpx.AsyncClient, q: str) -> list[int | None]:
    found = await client.get("/search", params={"q": q, "sort": "recent"})
    assert found.status_code == 200, found.text
    return [hit["seq"] for hit in found.json()["items"]]
