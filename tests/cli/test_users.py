"""`amplifier-api users export` and `users erase` as operators call them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.cli.main import _parser
from amplifier.errors import OperatorError
from amplifier.setting_sources import load
from tests.support.old_sessions import insert_session, places

Sql = Callable[..., list[Any]]


def run(dsn: str, *arguments: str) -> None:
    """Runs the command in this process."""
    given = _parser().parse_args(["users", *arguments])
    given.run(load({"DATABASE_URL": dsn}), given)


def test_export_goes_to_stdout_or_into_a_private_file(
    dsn: str, sql: Sql, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    insert_session(sql, "s")
    run(dsn, "export", "ann")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["type"] for line in lines][-4:] == ["participant", "message", "message", "end"]
    file = tmp_path / "ann.ndjson"
    run(dsn, "export", "ann", "--output", str(file))
    assert file.read_text().splitlines()[1:] == lines[1:]
    assert file.stat().st_mode & 0o77 == 0
    assert list(tmp_path.iterdir()) == [file]


def test_export_without_user_or_folder_leaves_no_file(dsn: str, sql: Sql, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="holds nothing about ann"):
        run(dsn, "export", "ann", "--output", str(tmp_path / "ann.ndjson"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OperatorError, match=r"ann\.ndjson: No such file or directory"):
        run(dsn, "export", "ann", "--output", str(tmp_path / "none/ann.ndjson"))


def test_erase_changes_nothing_without_apply(dsn: str, sql: Sql, capsys: pytest.CaptureFixture[str]) -> None:
    insert_session(sql, "own")
    insert_session(sql, "shared", users=("bob", "ann"), config_id="c2")
    run(dsn, "erase", "ann")
    assert capsys.readouterr().out == (
        "sessions deleted: 1\nmessages deleted: 2\nsessions kept for others: 1\nconfigs deleted: 1\n"
        "Nothing was changed. To erase, add --apply\n"
    )
    run(dsn, "erase", "nobody")
    assert capsys.readouterr().out.startswith("the database holds nothing about nobody\n")
    assert "messages" in places(sql, "ann")
    assert sql("select count(*) from audit_log") == [(0,)]


def test_erase_says_the_new_name(dsn: str, sql: Sql, capsys: pytest.CaptureFixture[str]) -> None:
    insert_session(sql, "shared", users=("bob", "ann"))
    run(dsn, "erase", "ann", "--apply")
    [pseudonym] = sql("select target_id from audit_log")[0]
    out = capsys.readouterr().out
    assert out == f"messages renamed: 1\nsessions kept for others: 1\nann is now {pseudonym} where others read it\n"
    assert places(sql, "ann") == []


@pytest.mark.parametrize(
    "activity",
    [
        "insert into users (user_id) values ('ann')",
        "insert into streams (stream_id, process_id, user_id) values ('x', 'p', 'ann')",
    ],
)
def test_erasure_of_active_user_must_be_repeated(dsn: str, sql: Sql, activity: str) -> None:
    sql(activity)
    with pytest.raises(OperatorError, match="ann was active within the last two minutes"):
        run(dsn, "erase", "ann", "--apply")
    assert places(sql, "ann") == []
    run(dsn, "erase", "ann", "--apply")


def test_erase_names_sessions_under_legal_hold(dsn: str, sql: Sql) -> None:
    insert_session(sql, "s", tags={"legal-hold": ""})
    for more in ([], ["--apply"]):
        with pytest.raises(OperatorError, match="1 sessions under a legal hold: s"):
            run(dsn, "erase", "ann", *more)
    assert sql("select count(*) from audit_log") == [(0,)]
