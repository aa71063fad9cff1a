"""Reindexing while others write: no row is missed, and no writer fails."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio.to_thread
import psycopg
import pytest

from amplifier.schema.search_index import adopt, reindex
from tests.conftest import serving, settings_for
from tests.schema.test_search_index import is_reindexed, no_progress
from tests.support.archive import APPEND, MESSAGES, SESSIONS, STALE, Archive
from tests.support.service import wait_until

pytestmark = pytest.mark.slow

WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
BEGUN = "select 1 from sessions where search_revision ~ 'german'"


class Writer:
    """A client that writes during a run. It may run three more statements after each batch of the run."""

    def __init__(self, dsn: str, statement: str, sessions: list[str]) -> None:
        self.dsn, self.statement, self.sessions = dsn, statement, sessions
        self.permits = threading.Semaphore(0)
        self.stopped = threading.Event()

    def write(self) -> int:
        """Runs the statement for one session after the other, and returns the number of statements."""
        with psycopg.connect(self.dsn, autocommit=True, options="-c lock_timeout=5s") as connection:
            for count, session_id in enumerate(self.sessions):
                self.permits.acquire()
                if self.stopped.is_set():
                    return count
                connection.execute(self.statement, (session_id,))
        return len(self.sessions)

    def go_on(self) -> None:
        """Permits three more statements, without waiting for them, so that they run during the next batch."""
        self.permits.release(3)

    def stop(self) -> None:
        """Ends `write` before its next statement."""
        self.stopped.set()
        self.permits.release()


def test_reindex_covers_transactions_committed_during_it(archive: Archive) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(archive.dsn) as other:
        other.execute(
            "insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, title)"
            " values ('new', 'en', 'alice', 'old', 'Running')"
        )
        done = pool.submit(reindex, archive.dsn, "german", no_progress)
        wait_until(lambda: done.done() or archive.run(WAITING) != [] or is_reindexed(archive, "german"))
        other.commit()
        done.result(30)
    assert archive.run(STALE) == []


def test_appends_and_deletes_succeed_during_reindex(archive: Archive) -> None:
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
    assert is_reindexed(archive, "english")


def test_messages_appended_during_reindex_use_new_language(archive: Archive) -> None:
    def report(*_: object) -> None:
        archive.run(APPEND, "s2")

    reindex(archive.dsn, "german", report)
    revisions = archive.run("select search_revision, count(*) from messages where seq > %s group by 1", MESSAGES)
    assert revisions[0][0] == "german/4"
    assert len(revisions) == 1


def test_concurrent_reindex_runs_cover_all_rows(archive: Archive) -> None:
    _only_long_messages(archive, 1500)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reindex, archive.dsn, "german", no_progress)
        wait_until(lambda: first.done() or archive.run(BEGUN) != [])
        second = reindex(archive.dsn, "german", no_progress)
        # both runs index a row that one commits while the other reads it
        assert first.result(60) + second >= 1 + MESSAGES
    assert is_reindexed(archive, "german")


async def test_session_can_be_deleted_during_reindex(archive: Archive) -> None:
    _only_long_messages(archive, 9000)
    async with serving(settings_for(archive.dsn)) as api:
        alice = await api.as_user("alice")
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(reindex, archive.dsn, "german", no_progress)
            await anyio.to_thread.run_sync(wait_until, lambda: done.done() or archive.run(BEGUN) != [])
            deleted = await alice.delete("/sessions/s2")
        assert deleted.status_code == 200, deleted.text
    assert is_reindexed(archive, "german")


@pytest.mark.parametrize("run", [partial(reindex, report=lambda *_: None), adopt], ids=["reindex", "adopt"])
def test_concurrent_changes_of_default_succeed(archive: Archive, run: Callable[[str, str], object]) -> None:
    if run is adopt:
        archive.run("delete from sessions")
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(run, archive.dsn, "german") for _ in range(4)]:
            done.result(30)
    assert is_reindexed(archive, "german")


def _only_long_messages(archive: Archive, words: int) -> None:
    """Deletes all sessions but one, and gives its messages texts that take a while to index."""
    content = f"(select string_agg('houses' || n, ' ') from generate_series(1, {words}) as n)"
    archive.run("delete from sessions where session_id <> 's2'")
    archive.run(
        "set session_replication_role = replica;"
        f" update messages set message = jsonb_build_object('role', 'user', 'content', {content})"
    )
