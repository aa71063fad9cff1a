"""`amplifier-api import` as people call it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.cli.main import _parser
from amplifier.errors import OperatorError
from amplifier.setting_sources import load
from tests.support.session_files import Claude, write

Sql = Callable[..., list[Any]]


def run(dsn: str, *arguments: str) -> None:
    """Runs the command in this process."""
    given = _parser().parse_args(["import", *arguments])
    given.run(load({"DATABASE_URL": dsn}), given)


def test_second_run_says_nothing_new(dsn: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path / "s1.jsonl", [Claude("s1").say("one")]))
    run(dsn, "--dry-run", path)
    assert "Nothing was changed" in capsys.readouterr().out
    assert sql("select count(*) from sessions") == [(0,)]
    run(dsn, path)
    assert "claude-code" in capsys.readouterr().out
    run(dsn, path)
    assert capsys.readouterr().out.splitlines()[-1] == "nothing new"
    assert sql("select owner_user_id from sessions") == [("dev-user",)]
    assert sql("select action, target_id, details ->> 'messages' from audit_log") == [
        ("import_sessions", "dev-user", "1")
    ]


def test_losses_end_with_an_error(dsn: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "s1.jsonl", [Claude("s1").say("one"), b"{broken\n"])
    with pytest.raises(OperatorError, match="1 line or file did not become what it should"):
        run(dsn, "--user", "ann", str(path))
    assert f"{path}:2: it is no JSON object" in capsys.readouterr().err
    assert sql("select count(*) from messages") == [(1,)]


def test_what_tools_keep_is_shown_and_not_imported_unasked(
    dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    write(tmp_path / "claude/projects/shop/s1.jsonl", [Claude("s1").say("one")])
    with pytest.raises(OperatorError, match="add --yes"):
        run(dsn)
    assert "found 1 file of claude-code" in capsys.readouterr().out
    assert sql("select count(*) from sessions") == [(0,)]
    run(dsn, "--yes")
    assert sql("select count(*) from sessions") == [(1,)]


def test_keys_are_counted(dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "s1.jsonl", [Claude("s1").say("use sk-ant-" + "a1B2" * 10)])
    run(dsn, str(path))
    assert "imported what looks like keys: 1 anthropic-key" in capsys.readouterr().err


def test_unknown_config_is_refused(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", [Claude("s1").say("one")])
    with pytest.raises(OperatorError, match="dev-user has no config none"):
        run(dsn, "--config", "none", str(path))
    sql("insert into configs (config_id, name, config_json, user_id) values ('c', 'Mine', '{}', 'dev-user')")
    run(dsn, "--config", "Mine", str(path))
    assert sql("select config_id, config_version from sessions") == [("c", 1)]
