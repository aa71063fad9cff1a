"""Reindexing brings all stored rows to another search language while the service runs.

Other writers during a run are in `test_search_index_concurrency.py`.
"""

from typing import Any

import anyio.to_thread
import httpx
import psycopg
import pytest

from amplifier.schema.search_index import ReindexError, reindex
from tests.conftest import serving, settings_for
from tests.support.archive import APPEND, MESSAGES, SESSIONS, STALE, Archive

GERMAN = MESSAGES  # the messages of s1, whose config has its own language
TUPLES = "select ctid, xmin, session_id, seq from messages union all select ctid, xmin, session_id, 0 from sessions"
DEFAULT = "select search_default_language()"


def test_reindex_covers_all_rows_without_own_language(archive: Archive) -> None:
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
    assert reindex(archive.dsn, "german", no_progress) == 0
    assert _tuples(archive) == after


def test_reindex_keeps_updated_at(archive: Archive) -> None:
    before = archive.run("select session_id, updated_at from sessions order by 1")
    reindex(archive.dsn, "german", no_progress)
    after = archive.run("select session_id, updated_at from sessions order by 1")
    assert [row for row in after if row not in before] == []


@pytest.mark.slow
def test_interrupted_reindex_continues_where_it_stopped(archive: Archive) -> None:
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
    assert reindex(archive.dsn, "german", no_progress) == left
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
def test_reindex_returns_to_locked_rows(archive: Archive, table: str, statement: str, held: int) -> None:
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
def test_rows_that_stay_locked_are_an_error(archive: Archive, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amplifier.schema.search_index._PATIENCE", 0.2)
    held = f"session_id = 's2' {'and seq = 1' if table == 'messages' else ''}"
    with archive.locked(table, held), pytest.raises(ReindexError, match=rf"1 rows of {table}.* run it again"):
        reindex(archive.dsn, "german", no_progress)
    assert reindex(archive.dsn, "german", no_progress) > 0
    assert archive.run(STALE) == []


async def test_running_service_searches_in_new_language_at_once(archive: Archive) -> None:
    settings = settings_for(archive.dsn, database_pool_min_size=1, database_pool_max_size=1)
    async with serving(settings) as api:
        alice = await api.as_user("alice")
        await _append(alice, "Die Häuser von gestern, the running of yesterday")
        for _ in range(6):  # PostgreSQL considers a generic plan from the sixth execution on
            assert (await _found(alice, "Haus"), await _found(alice, "runs")) == ([], [MESSAGES + 1])
        await anyio.to_thread.run_sync(reindex, archive.dsn, "german", no_progress)
        await _append(alice, "Das Haus von morgen")
        assert await _found(alice, "Haus") == [MESSAGES + 2, MESSAGES + 1]
        assert await _found(alice, "runs") == []
        assert (await alice.get("/search", params={"q": "der die das"})).json()["notice"] is not None
        assert [row["hits"] for row in (await alice.get("/sessions?q=Haus")).json()["sessions"]] == [2]


def test_reindex_moves_messages_to_language_of_session(archive: Archive) -> None:
    archive.run("update sessions set metadata = '{\"language\": \"de\"}' where session_id = 's4'")
    archive.run("update sessions set metadata = '{\"language\": \"en\"}' where session_id = 's1'")
    assert reindex(archive.dsn, "english", no_progress) == MESSAGES * 2
    assert archive.run(STALE) == []
    german = archive.run("select distinct session_id from messages where search_revision = 'german/4'")
    assert german == [("s4",)]


def no_progress(*_: object) -> None:
    """Ignores the progress of a run."""


def is_reindexed(archive: Archive, language: str) -> bool:
    """Returns whether `language` is the default and no row is outdated."""
    return archive.run(DEFAULT) == [(language,)] and archive.run(STALE) == []


def _tuples(archive: Archive, session_id: str | None = None) -> set[Any]:
    return {row for row in archive.run(TUPLES) if session_id in (None, row[2])}


async def _append(client: httpx.AsyncClient, content: str) -> None:
    messages = [{"role": "user", "content": content}]
    added = await client.post("/sessions/s2/transcript", json={"messages": messages})
    assert added.status_code == 201, added.text


async def _found(client: httpx.AsyncClient, q: str) -> list[int | None]:
    found = await client.get("/search", params={"q": q, "sort": "recent"})
    assert found.status_code == 200, found.text
    return [hit["seq"] for hit in found.json()["items"]]
