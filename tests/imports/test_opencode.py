"""Sessions of opencode, in files and in its database."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.imports import formats
from tests.support.session_files import imported

Sql = Callable[..., list[Any]]
SESSION = {
    "id": "ses_1",
    "version": "1.3.17",
    "projectID": "p",
    "directory": "/shop",
    "title": "Fix the build",
    "time": {"created": 1767225600000, "updated": 1767225700000},
}
ASKED: dict[str, Any] = {"role": "user", "time": {"created": 1767225601000}, "agent": "build"}
ANSWERED: dict[str, Any] = {
    "role": "assistant",
    "time": {"created": 1767225602000, "completed": 1767225603000},
    "parentID": "msg_1",
    "modelID": "gpt-x",
    "providerID": "openai",
    "tokens": {"input": 10, "output": 2, "reasoning": 0, "cache": {"read": 0, "write": 0}},
}
CALL = {
    "type": "tool",
    "callID": "c",
    "tool": "bash",
    "state": {"status": "completed", "input": {"command": "make"}, "output": "done", "time": {"start": 1, "end": 2}},
}
MESSAGES: dict[str, tuple[Any, list[Any]]] = {
    "msg_1": (ASKED, [{"type": "text", "text": "Why does it fail?"}]),
    "msg_2": (ANSWERED, [{"type": "step-start"}, CALL, {"type": "text", "text": "It works now"}]),
}


def put(path: Path, value: Any) -> Path:
    """Writes a file of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def files(root: Path, session: dict[str, Any] = SESSION, messages: dict[str, Any] = MESSAGES) -> Path:
    """Writes a session as files, and returns the folder `storage`."""
    storage, session_id = root / "storage", session["id"]
    put(storage / "session" / "p" / f"{session_id}.json", session)
    for name, (info, parts) in messages.items():
        put(storage / "message" / session_id / f"{name}.json", {"id": name, "sessionID": session_id, **info})
        for number, part in enumerate(parts):
            about = {"id": f"prt_{name}_{number}", "messageID": name, "sessionID": session_id}
            put(storage / "part" / name / f"{about['id']}.json", {**about, **part})
    return storage


def database(root: Path, session: dict[str, Any] = SESSION, messages: dict[str, Any] = MESSAGES) -> Path:
    """Writes a session into the tables of the database, and returns its file."""
    path = root / "opencode.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "create table session (id text primary key, project_id text, parent_id text, slug text, directory text,"
            " title text, version text, time_created integer, time_updated integer);"
            "create table message (id text primary key, session_id text, time_created integer, time_updated integer,"
            " data text);"
            "create table part (id text primary key, message_id text, session_id text, time_created integer, data text)"
        )
        connection.execute(
            "insert into session values (?, 'p', null, 's', ?, ?, ?, ?, 0)",
            (session["id"], session["directory"], session["title"], session["version"], session["time"]["created"]),
        )
        for name, (info, parts) in messages.items():
            times = info["time"]["created"] if isinstance(info, dict) else 0
            data = info if isinstance(info, str | None) else json.dumps(info)
            connection.execute("insert into message values (?, ?, ?, 0, ?)", (name, session["id"], times, data))
            for number, part in enumerate(parts):
                row = (f"prt_{name}_{number}", name, session["id"], json.dumps(part))
                connection.execute("insert into part values (?, ?, ?, 0, ?)", row)
    connection.close()
    return path


def check(sql: Sql) -> None:
    """Compares the imported session with SESSION and MESSAGES."""
    assert sql("select title, tags, metadata -> 'import', created_at::text from sessions") == [
        (
            "Fix the build",
            {"tool": "opencode", "cwd": "/shop", "model": "gpt-x", "agent": "build"},
            {"source_id": "ses_1", "version": "1.3.17", "input_tokens": 10, "output_tokens": 2},
            "2026-01-01 00:00:00+00",
        )
    ]
    assert sql("select role from messages order by seq") == [("user",), ("assistant",)]
    assert sql("select count(*) from messages where search @@ 'make'::tsquery") == [(1,)]
    assert sql("select message #>> '{parts,1,tool}', message #>> '{info,id}' from messages where seq = 2") == [
        ("bash", "msg_2")
    ]


def test_files(dsn: str, sql: Sql, tmp_path: Path) -> None:
    storage = files(tmp_path)
    report = imported(dsn, storage)
    assert (report.total("new"), report.total("files"), report.remarks) == (1, 1, [])
    check(sql)
    assert imported(dsn, storage).changed == 0
    files(tmp_path, messages={"msg_3": ({**ASKED, "time": {"created": 1767225609000}}, [])})
    assert imported(dsn, storage).total("grown") == 1


def test_database_has_what_was_moved_into_it(dsn: str, sql: Sql, tmp_path: Path) -> None:
    storage = files(tmp_path)
    imported(dsn, storage)
    database(tmp_path)
    report = imported(dsn, tmp_path)
    assert (report.total("files"), report.changed, report.total("same")) == (1, 0, 1)


def test_database(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = database(tmp_path)
    before = path.read_bytes()
    assert imported(dsn, path).remarks == []
    check(sql)
    assert path.read_bytes() == before
    assert formats.source(path.with_name("opencode.db-wal")) == formats.source(path)


def test_answer_that_is_being_written_is_left_for_the_next_import(dsn: str, sql: Sql, tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    half = {"msg_3": ({**ANSWERED, "time": {"created": now}}, [{"type": "text", "text": "I"}])}
    storage = files(tmp_path, messages={**MESSAGES, **half})
    report = imported(dsn, storage)
    assert [(remark.number, remark.is_loss) for remark in report.remarks] == [(3, False)]
    files(tmp_path, messages={"msg_3": ({**ANSWERED, "time": {"created": now, "completed": now}}, half["msg_3"][1])})
    assert imported(dsn, storage).total("messages") == 1


def test_sub_agent_is_below_its_parent(dsn: str, sql: Sql, tmp_path: Path) -> None:
    files(tmp_path, {**SESSION, "id": "ses_0", "parentID": "ses_1"})
    imported(dsn, files(tmp_path))
    assert sql("select count(*) from sessions as s join sessions as p on p.session_id = s.parent_session_id") == [(1,)]


@pytest.mark.parametrize("value", [None, pytest.param(-(10**400), id="huge"), "../../x", "\ud800\u0000", [{}], {}])
def test_wrong_types_in_every_member(dsn: str, sql: Sql, tmp_path: Path, value: Any) -> None:
    for number, name in enumerate(SESSION):
        files(tmp_path, {**SESSION, "id": f"s{number}"})
        put(tmp_path / f"storage/session/p/s{number}.json", {**SESSION, "id": f"s{number}", name: value})
    messages = {
        f"m{number}": ({**ANSWERED, name: value}, [{**CALL, name: value}, value])
        for number, name in enumerate((*ANSWERED, *CALL))
        if name != "time"
    }
    odd = {name: (info, [part for part in parts if isinstance(part, dict)]) for name, (info, parts) in messages.items()}
    storage = files(tmp_path, messages={**MESSAGES, **odd})
    put(storage / "message/ses_1/x.json", value)
    put(storage / "part/msg_1/x.json", value)
    report = imported(dsn, storage)
    assert sql(
        "select count(*) >= 2 from messages as m join sessions using (session_id) where external_id ~ 'ses_1'"
    ) == [(True,)]
    assert imported(dsn, storage).changed == 0
    shutil.rmtree(storage)
    imported(dsn, database(tmp_path, messages={**messages, "odd": (None, []), "deep": ("[" * 5000, [])}))
    assert report.total("files") == len(SESSION) + 1


def test_broken_database_is_reported(dsn: str, tmp_path: Path) -> None:
    path = database(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("alter table message drop column time_created")
    connection.close()
    assert [remark.is_loss for remark in imported(dsn, path).remarks] == [True]
    path.write_bytes(path.read_bytes()[:5000])
    assert imported(dsn, path).unknown == 1


@pytest.mark.skipif("AGENT_SESSIONS" not in os.environ, reason="needs session files")
def test_recorded_sessions(dsn: str, sql: Sql) -> None:
    folder = Path(os.environ["AGENT_SESSIONS"]) / "opencode"
    assert imported(dsn, folder).total("new") == 2
    assert imported(dsn, folder).changed == 0
    assert sql("select count(*) from messages where role = 'assistant'") == [(3,)]
