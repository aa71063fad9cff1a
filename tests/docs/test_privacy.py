"""Archived sessions come back as docs/privacy.md says, and the schedules in deploy/ run commands that exist."""

import configparser
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml

from amplifier.cli.main import _parser
from amplifier.maintenance.retention_rules import RuleFile
from tests.support.markdown import blocks, run
from tests.support.old_sessions import insert_run, insert_session
from tests.support.paths import ROOT
from tests.support.service import command

TABLES = ("configs", "sessions", "session_participants", "messages", "session_events", "runs", "run_approvals")
CRONJOB = ROOT / "deploy/kubernetes/retention-cronjob.yaml"


def contents(sql: Callable[..., list[Any]]) -> dict[str, list[Any]]:
    """Returns all rows of the tables of sessions as texts."""
    return {table: sql(f"select t::text from {table} as t order by 1") for table in TABLES}


@pytest.mark.slow
def test_archived_sessions_come_back_as_they_were(dsn: str, sql: Callable[..., list[Any]], tmp_path: Path) -> None:
    for number in range(3):
        insert_session(sql, f"s{number}", 100, users=("ann", "bob"), tags={"a": "b"}, messages=20)
        insert_run(sql, f"s{number}", "bob", "r", 100)
    sql("update sessions set owner_user_id = 'bob', metadata = '{\"x\": [1]}', updated_at = created_at")
    sql("insert into session_events (session_id, type, data) values ('s1', 'session.updated', '{\"title\": \"x\"}')")
    sql(
        "insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)"
        " values ('s1', 'q', 'r', 'Go on?', '{yes,\"no, never\"}', now())"
    )
    sql("update sessions set updated_at = now() - interval '100 days'")
    before = contents(sql)
    (tmp_path / "archive").mkdir()
    arguments = ("retention", "--older-than", "90d", "--archive", str(tmp_path / "archive"), "--apply")
    assert command({"DATABASE_URL": dsn}, *arguments).returncode == 0
    assert not any(rows for table, rows in contents(sql).items() if table != "configs")
    [restore] = blocks("shell restore", (ROOT / "docs/privacy.md").read_text())
    for _ in range(2):
        run(restore, tmp_path, {"DATABASE_URL": dsn})
        assert contents(sql) == before


def test_schedule_of_systemd_runs_the_command() -> None:
    service, timer = (configparser.RawConfigParser(strict=False, interpolation=None) for _ in range(2))
    service.read(ROOT / "deploy/systemd/amplifier-retention.service")
    timer.read(ROOT / "deploy/systemd/amplifier-retention.timer")
    program, *arguments = service["Service"]["ExecStart"].split()
    assert program.endswith("/amplifier-api")
    assert _parser().parse_args(arguments).apply
    assert timer["Timer"]["OnCalendar"]


def test_schedule_of_kubernetes_is_valid_and_its_rules_are_read() -> None:
    documents = list(yaml.safe_load_all(CRONJOB.read_text()))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    rules, _, job = documents
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert _parser().parse_args(pod["containers"][0]["args"]).apply
    read = msgspec.convert(tomllib.loads(rules["data"]["retention.toml"]), RuleFile)
    assert read.archive in [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert read.sessions == [], "an operator decides what is deleted"
