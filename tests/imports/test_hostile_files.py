"""Files that are broken, odd or hostile: others are imported, and each loss is reported with its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.imports import lines
from tests.support.session_files import Claude, add, imported, line, write

Sql = Callable[..., list[Any]]
LINES = "select array_agg(l) from session_origin_lines, unnest(lines) as l"


def reasons(report: Any) -> list[tuple[int, str, bool]]:
    """Returns the remarks, the reasons without details in parentheses."""
    return [(remark.number, remark.reason.partition(" (")[0], remark.is_loss) for remark in report.remarks]


def test_broken_lines_are_kept_and_reported(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("one"), b'{"type": "user", \n', b"\n", b"\0\0\0\n", b"[1]\n", claude.answer("two")]
    path = write(tmp_path / "s1.jsonl", entries)
    report = imported(dsn, path)
    assert reasons(report) == [
        (2, "it is no JSON object", True),
        (4, "it has NUL bytes only", True),
        (5, "it is no JSON object", True),
    ]
    assert sql("select messages_total from sessions") == [(2,)]
    [(kept,)] = sql(LINES)
    assert b"".join(bytes(one) + b"\n" for one in kept) == path.read_bytes()
    again = imported(dsn, path)
    assert (again.changed, again.remarks) == (0, [])


def test_half_written_last_line_is_left_for_the_next_import(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    last = line(claude.say("two"))
    path = write(tmp_path / "s1.jsonl", [claude.say("one"), last[:50]])
    assert reasons(imported(dsn, path)) == [(2, "it is written in part: the next import takes it", False)]
    add(path, last[50:])
    assert imported(dsn, path).total("messages") == 1
    assert sql("select last_seq from sessions") == [(2,)]


def test_last_line_without_line_feed_counts(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [line(claude.say("one"))[:-1]])
    imported(dsn, path)
    assert sql("select is_whole, lines from session_origins") == [(False, 1)]
    add(path, b"\n", claude.say("two"))
    imported(dsn, path)
    assert sql("select is_whole, lines from session_origins") == [(True, 2)]
    assert sql("select last_seq from sessions") == [(2,)]


def test_characters_that_postgresql_refuses_come_back(dsn: str, sql: Sql, tmp_path: Path) -> None:
    odd = b'{"type":"user","sessionId":"s1","message":{"role":"user","content":"a\\u0000b\\ud800c"}}\n'
    path = write(tmp_path / "s1.jsonl", [odd])
    assert imported(dsn, path).remarks == []
    [(message,)] = sql("select message ->> 'content' from messages")
    assert message == "a\ufdd00000b\ufdd0d800c"
    assert bytes(sql(LINES)[0][0][0]) + b"\n" == odd


def test_bytes_that_are_no_utf8_are_replaced_in_the_message_only(dsn: str, sql: Sql, tmp_path: Path) -> None:
    odd = b'{"type":"user","sessionId":"s1","message":{"role":"user","content":"a\xffb"}}\n'
    report = imported(dsn, write(tmp_path / "s1.jsonl", [odd]))
    assert reasons(report) == [(1, "bytes that are no UTF-8 became U+FFFD", False)]
    assert sql("select message ->> 'content' from messages") == [("a\ufffdb",)]
    assert bytes(sql(LINES)[0][0][0]) + b"\n" == odd


def test_messages_that_the_database_refuses_become_lines(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude, deep = Claude("s1"), '{"a":' * 70 + "1" + "}" * 70
    entries = [
        claude.say("one"),
        claude.entry("user", json.loads(deep)),
        claude.entry("user", "x", message={"role": "r" * 65, "content": "x"}),
        b'{"type":"user","sessionId":"s1","message":{"role":"user","content":1e999}}\n',
        claude.say("two"),
    ]
    report = imported(dsn, write(tmp_path / "s1.jsonl", entries))
    assert sorted(reasons(report)) == [
        (2, "it is nested deeper than 64 levels", True),
        (3, "its role is no text of 1 to 64 characters", True),
        (4, "Number out of range", True),
    ]
    assert sql("select message ->> 'content', seq from messages order by seq") == [("one", 1), ("two", 2)]
    assert sql("select last_seq, messages_total, message_count from sessions") == [(2, 2, 2)]
    assert imported(dsn, tmp_path).changed == 0


def test_line_over_the_bound_is_reported_and_not_kept(
    dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1000)
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("one"), claude.say("x" * 5000), claude.say("two")])
    report = imported(dsn, path)
    [(number, reason, is_loss)] = reasons(report)
    assert (number, is_loss) == (2, True)
    assert reason.endswith("bytes: at most 1000 are kept")
    assert [one is None for one in sql(LINES)[0][0]] == [False, True, False]
    assert sql("select last_seq from sessions") == [(2,)]
    assert imported(dsn, path).changed == 0


def test_repeated_line_is_one_message(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    one = claude.say("one")
    report = imported(dsn, write(tmp_path / "s1.jsonl", [one, claude.answer("two"), one]))
    assert reasons(report) == [(3, "it repeats line 1, with the same uuid", False)]
    assert sql("select messages_total from sessions") == [(2,)]


def test_times_never_go_back_or_lie_in_the_future(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("one"), claude.say("two", timestamp="2020-01-01T00:00:00Z")]
    entries.append(claude.say("three", timestamp="2999-01-01T00:00:00Z"))
    entries.append(claude.say("four", timestamp="never"))
    imported(dsn, write(tmp_path / "s1.jsonl", entries))
    times = [time for (time,) in sql("select created_at from messages order by seq")]
    assert times == sorted(times)
    assert sql("select bool_and(created_at <= now()) from messages") == [(True,)]


def test_folders_that_contain_themselves_are_entered_once(dsn: str, sql: Sql, tmp_path: Path) -> None:
    write(tmp_path / "a/s1.jsonl", [Claude("s1").say("one")])
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nothing")
    report = imported(dsn, tmp_path)
    assert report.total("files") == 1
    assert [(remark.path.name, remark.is_loss) for remark in report.remarks] == [("gone.jsonl", True)]


def test_empty_and_foreign_files_are_named(dsn: str, sql: Sql, tmp_path: Path) -> None:
    write(tmp_path / "empty.jsonl", [])
    write(tmp_path / "other.jsonl", [{"x": 1}])
    write(tmp_path / "binary.jsonl", [bytes(range(256)) * 10])
    report = imported(dsn, tmp_path)
    assert (report.unknown, report.losses, report.changed) == (3, 0, 0)


def test_session_without_messages_keeps_its_lines(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", [{"type": "summary", "summary": "Nothing", "leafUuid": "x"}])
    assert imported(dsn, path).total("new") == 1
    assert sql("select title, last_seq, updated_at > '2020-01-01' from sessions") == [("Nothing", 0, True)]
    assert imported(dsn, path).changed == 0


def test_first_line_may_be_long(dsn: str, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("x" * 600_000), claude.answer("two")])
    assert imported(dsn, path).total("messages") == 2
