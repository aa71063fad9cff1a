"""`amplifier-api retention` as operators call it: a dry run by default, options, messages, a kill in the middle."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.cli.main import _parser
from amplifier.errors import OperatorError
from amplifier.setting_sources import load
from tests.support.old_sessions import insert_run, insert_session
from tests.support.service import command

Sql = Callable[..., list[Any]]


def run(dsn: str, *arguments: str) -> None:
    """Runs the command in this process."""
    given = _parser().parse_args(["retention", *arguments])
    given.run(load({"DATABASE_URL": dsn}), given)


def test_nothing_changes_without_apply(dsn: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    insert_session(sql, "a", 100)
    insert_session(sql, "held", 100, tags={"legal-hold": ""})
    insert_session(sql, "busy", 100)
    insert_run(sql, "busy", "ann", "r", status="running")
    insert_run(sql, "a", "ann", "r", 100)
    run(dsn, "--older-than", "90d", "--archive", str(tmp_path), "--prune", "runs=30d")
    [size] = sql("select sum(size) from messages where session_id = 'a'")[0]
    assert capsys.readouterr().out == (
        f"older than 90d: 1 sessions, 2 messages, {size} bytes\n"
        "  1 more stay: their tag legal-hold is a legal hold\n"
        "  1 more stay: a run is going on or waits\n"
        "runs older than 30d: 1 rows\n"
        f"Nothing was changed. To archive them in {tmp_path} and delete them, add --apply\n"
    )
    assert sql("select count(*) from sessions") == [(3,)]
    assert list(tmp_path.iterdir()) == []


def test_rules_of_file_come_first(dsn: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    insert_session(sql, "failed", 100, status="failed", tags={"a": "b=c"})
    insert_session(sql, "done", 100, status="completed", tags={"a": "b=c"})
    insert_session(sql, "plain", 100)
    insert_run(sql, "plain", "ann", "r", 100)
    file = tmp_path / "rules.toml"
    (tmp_path / "old").mkdir()
    file.write_text(
        'archive = "old"\n[prune]\nruns = "2y"\n[[sessions]]\nname = "broken"\nolder_than = "7d"\nstatus = ["failed"]\n'
    )
    run(dsn, "--rules", str(file), "--older-than", "90d", "--tag", "a=b=c", "--prune", "runs=30d", "--apply")
    assert capsys.readouterr().out == (
        "broken: deleted 1 sessions with 2 messages\n"
        "older than 90d, tag a=b=c: deleted 1 sessions with 2 messages\n"
        "runs older than 30d: deleted 1 rows\n"
    )
    assert sql("select session_id from sessions") == [("plain",)]
    assert len(list((tmp_path / "old").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "there is no rule: give --older-than, --prune or --rules"),
        (["--status", "failed"], "say how old sessions must be: add --older-than AGE"),
        (["--older-than", "soon"], "'soon' is no age"),
        (["--older-than", "1d", "--tag", "x"], "--tag x: give it as NAME=VALUE"),
        (["--prune", "runs"], "--prune runs: give it as NAME=VALUE"),
        (["--prune", "messages=1d"], "'messages' cannot be pruned: name one of runs"),
        (["--older-than", "1d", "--stop-after", "x"], "'x' is no age"),
        (["--older-than", "1d", "--archive", "/nonexistent", "--apply"], "/nonexistent: is no folder"),
    ],
)
def test_wrong_options_are_refused_with_reason(dsn: str, arguments: list[str], reason: str) -> None:
    with pytest.raises(OperatorError) as raised:
        run(dsn, *arguments)
    assert reason in str(raised.value)
    assert raised.value.status == 2


@pytest.mark.slow
def test_command_exits_with_message(dsn: str) -> None:
    url = f"{dsn}{'&' if '?' in dsn else '?'}options=-c%20role%3Damplifier_app"
    done = command({"DATABASE_URL": url}, "retention", "--older-than", "1d", "--apply")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("amplifier-api: this login may not delete what the command deletes: run it with the")


@pytest.mark.slow
def test_killed_command_loses_no_session(dsn: str, sql: Sql, tmp_path: Path) -> None:
    """Kills the command at growing distances from its start, then lets it finish: each session is in a whole file."""
    ids = {f"s{number:03}" for number in range(300)}
    for session_id in sorted(ids):
        insert_session(sql, session_id, 100, messages=1)
    arguments = ["retention", "--older-than", "90d", "--archive", str(tmp_path), "--apply"]
    kills = 0
    for pause in range(4, 20):
        process = subprocess.Popen(
            [sys.executable, "-m", "amplifier", *arguments],
            env={**os.environ, "DATABASE_URL": dsn},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while process.poll() is None and not list(tmp_path.glob("*.gz*")) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(pause / 1000)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        there = {row[0] for row in sql("select session_id from sessions")}
        assert there | _archived(tmp_path) == ids
        if not there:
            break
    assert kills > 1
    done = command({"DATABASE_URL": dsn}, *arguments)
    assert done.returncode == 0, done.stderr
    assert sql("select count(*) from sessions") == [(0,)]
    assert _archived(tmp_path) == ids
    assert not list(tmp_path.glob("*.part"))


def _archived(folder: Path) -> set[str]:
    """Returns the sessions in the finished files, each of which must be complete."""
    sessions: set[str] = set()
    for file in folder.glob("*.gz"):
        lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
        found = [line["row"]["session_id"] for line in lines if line["type"] == "session"]
        messages = [line["row"]["session_id"] for line in lines if line["type"] == "message"]
        assert lines[-1]["type"] == "end"
        assert lines[-1].get("session", 0) == len(found)
        assert messages == found
        sessions.update(found)
    return sessions
