"""Rows that an earlier release indexed are found and indexed again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amplifier.cli.target_database import opened
from amplifier.postgres import embedded
from amplifier.schema import migrate
from amplifier.schema.search_index import catch_up, is_outdated, reindex
from amplifier.settings import Settings
from tests.conftest import private_folder
from tests.support.archive import MESSAGES, ROWS, SESSIONS, STALE, Archive, migrations
from tests.support.service import command

EARLIER = "0083"  # the migration that changed the revision


def of_earlier_release(archive: Archive, table: str, where: str) -> None:
    """Gives rows the words and the revision that an earlier release gave them."""
    trigger = f"alter table {table} %s trigger {table}_set_search"
    archive.run(trigger % "disable")
    archive.run(f"update {table} set search = '', search_revision = 'english/1' where {where}")
    archive.run(trigger % "enable")


@pytest.mark.parametrize(
    ("table", "where"), [("messages", "session_id = 's2' and seq = 7"), ("sessions", "title ~ '9'")]
)
def test_rows_of_earlier_release_are_indexed_again(archive: Archive, table: str, where: str) -> None:
    archive.run("update sessions set metadata = '{\"language\": \"de\"}' where session_id = 's4'")
    catch_up(archive.dsn)
    assert not is_outdated(archive.dsn)
    of_earlier_release(archive, table, where)
    assert is_outdated(archive.dsn)
    assert catch_up(archive.dsn) == len(archive.run(f"select 1 from {table} where {where}"))
    assert not is_outdated(archive.dsn)
    assert archive.run(STALE) == []
    assert archive.run("select distinct search_revision from messages where session_id = 's4'") == [("german/4",)]


def test_reindex_derives_roles_anew_and_leaves_counts(archive: Archive) -> None:
    result = '{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "fifteen"}]}'
    counts = "select message_count, messages_total from sessions where session_id = 's3'"
    archive.run("alter table messages disable trigger messages_set_search")
    changed = "update messages set message = '%s', role = 'user', search = '', search_revision = 'english/2'"
    archive.run(f"{changed % result} where session_id = 's3' and seq = 7")
    archive.run("alter table messages enable trigger messages_set_search")
    before = archive.run(counts)
    assert catch_up(archive.dsn) == 1
    found = archive.run("select role, search::text from messages where session_id = 's3' and seq = 7")
    assert found == [("tool", "'fifteen':1C")]
    assert archive.run(counts) == before


@pytest.fixture
def earlier(empty_dsn: str) -> Archive:
    """A database of the release before, with sessions and messages."""
    return with_rows_of_earlier_release(empty_dsn)


def with_rows_of_earlier_release(dsn: str) -> Archive:
    archive = Archive(dsn)
    migrate.migrate(dsn)
    for migration in reversed([one for one in migrations() if str(one.id) >= EARLIER]):
        with migrate.yoyo_backend(dsn) as backend:
            backend.rollback_one(migration)
    archive.run(ROWS)
    return archive


@pytest.mark.slow
def test_migrate_says_that_reindex_is_due(earlier: Archive) -> None:
    environ = {"DATABASE_URL": earlier.dsn}
    assert "amplifier-api search reindex" in command(environ, "migrate").stdout
    assert "amplifier-api search reindex" not in command(environ, "migrate").stdout
    assert reindex(earlier.dsn, "english", lambda *_: None) == SESSIONS * (MESSAGES + 1)
    assert earlier.run(STALE) == []


@pytest.fixture
def home() -> Iterator[Path]:
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder / "home"


@pytest.mark.slow
def test_embedded_database_indexes_its_rows_again_after_upgrade(home: Path) -> None:
    with embedded.running(home, "amplifier-api") as dsn:
        with_rows_of_earlier_release(dsn)
    with opened(Settings(amplifier_home=str(home))) as dsn:
        assert Archive(dsn).run(STALE) == []
        assert Archive(dsn).run("select distinct search_revision from messages order by 1") == [
            ("english/4",),
            ("german/4",),
        ]
