"""Archives: a file has whole sessions or is not there, and only what is in a finished file is deleted."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplifier.errors import InputError
from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.retention import Deleted, Retention
from amplifier.maintenance.retention_rules import Rule
from amplifier.maintenance.session_archive import Archive
from tests.support.old_sessions import insert_run, insert_session

Sql = Callable[..., list[Any]]
OLD = Rule(older_than="90d", name="old ones")


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


def read(folder: Path) -> list[list[dict[str, Any]]]:
    """Returns the lines of the archives in a folder."""
    files = sorted(folder.iterdir())
    return [[json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()] for file in files]


def archive(connection: psycopg.Connection[Any], folder: Path, archive: type[Archive] = Archive) -> Deleted:
    """Archives and deletes."""
    return Retention(connection, "legal-hold", archive(folder)).apply(OLD, [], lambda _: None)


def test_file_has_every_row_of_its_sessions(connection: psycopg.Connection[Any], sql: Sql, tmp_path: Path) -> None:
    insert_session(sql, "a", 100, users=("ann", "bob"))
    insert_session(sql, "b", 100, messages=0)
    insert_session(sql, "new", 1)
    insert_run(sql, "a", "bob", "r1", 100)
    sql(
        "insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)"
        " values ('a', 'q', 'r1', 'Go on?', '{yes}', now())"
    )
    sql("insert into session_events (session_id, seq, type) values ('a', 3, 'run.started')")
    sql("update sessions set last_seq = 3, updated_at = now() - interval '100 days' where session_id = 'a'")
    messages = sql("select to_jsonb(message) from messages where session_id = 'a' order by seq")
    assert archive(connection, tmp_path) == Deleted(2, 2, 0)
    [lines] = read(tmp_path)
    assert lines[0] == {
        "type": "archive",
        "format": "amplifier-sessions",
        "version": 1,
        "created_at": lines[0]["created_at"],
        "rule": "old ones",
    }
    assert lines[-1] == {
        "type": "end",
        "session": 2,
        "participant": 3,
        "message": 2,
        "event": 1,
        "run": 1,
        "approval": 1,
    }
    whole = ["config", "session", "participant", "participant", "message", "message", "event", "run", "approval"]
    assert [one["type"] for one in lines[1:-1]] == [*whole, "session", "participant"]
    assert [(one["row"]["message"],) for one in lines if one["type"] == "message"] == messages
    [first, _] = [one["row"] for one in lines if one["type"] == "session"]
    assert (first["session_id"], first["last_seq"], first["messages_total"]) == ("a", 3, 2)
    assert not {"search", "search_revision", "search_language"} & set(first)
    assert sql("select details from audit_log where target_id = 'a'") == [
        ({"rule": "old ones", "archive": next(tmp_path.iterdir()).name},)
    ]
    assert next(tmp_path.iterdir()).stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    "change",
    [
        "insert into messages (session_id, message, author_user_id, author_app_id) values ('a', '{}', 'ann', 'app')",
        "update sessions set title = 'new', updated_at = updated_at + interval '1 second' where session_id = 'a'",
        "update session_participants set last_active_at = now() where session_id = 'a'",
        "delete from sessions where session_id = 'a'",
    ],
)
def test_session_that_changed_since_is_kept(
    connection: psycopg.Connection[Any], sql: Sql, tmp_path: Path, change: str
) -> None:
    class Late(Archive):
        def write(self, *given: Any) -> Any:
            written = super().write(*given)
            sql(change)
            return written

    insert_session(sql, "a", 100)
    insert_session(sql, "b", 100)
    assert archive(connection, tmp_path, Late) == Deleted(1, 2, skipped=1)
    assert sql("select count(*) from messages") == [
        (0 if change.startswith("delete") else 3 if "messages" in change else 2,)
    ]
    assert sql("select target_id from audit_log") == [("b",)]


def test_session_that_changes_before_it_is_read_is_left_out(
    connection: psycopg.Connection[Any], sql: Sql, tmp_path: Path
) -> None:
    insert_session(sql, "a", 1)
    works = Retention(connection, "legal-hold", Archive(tmp_path))
    assert works._archived("r", ["a"], works._condition(OLD, []))[1] == []
    assert [one["type"] for one in read(tmp_path)[0]] == ["archive", "end"]


def test_interrupted_file_deletes_nothing_and_is_removed(
    connection: psycopg.Connection[Any], sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_session(sql, "a", 100)
    monkeypatch.setattr(Archive, "_flush_names", lambda _: None)
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        archive(connection, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert sql("select count(*) from messages") == [(2,)]


def test_unfinished_file_of_a_killed_command_is_removed(tmp_path: Path) -> None:
    left, other = tmp_path / "sessions-1.ndjson.gz.part", tmp_path / "notes.part"
    left.write_text("x")
    other.write_text("x")
    Archive(tmp_path)
    assert list(tmp_path.iterdir()) == [other]


def test_folder_that_cannot_be_used_is_named(connection: psycopg.Connection[Any], sql: Sql, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        Archive(tmp_path / "missing")
    insert_session(sql, "a", 100)
    folder = tmp_path / "gone"
    folder.mkdir()
    works = Retention(connection, "legal-hold", Archive(folder))
    folder.rmdir()
    with pytest.raises(InputError, match="No such file or directory"):
        works.apply(OLD, [], lambda _: None)
    assert sql("select count(*) from sessions") == [(1,)]
