"""Sessions that belong together though they were imported apart, copies in a dry run, and keys that stay out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.session_files import Claude, add, imported, write

Sql = Callable[..., list[Any]]
KEY = "sk-ant-" + "a1B2" * 10


def key_of(sql: Sql, column: str, external_id: str) -> list[Any]:
    """Returns the external_id of the session that a column of a session names."""
    return sql(
        f"select p.external_id from sessions as s left join sessions as p on p.session_id = s.{column}"
        " where s.external_id = %s",
        external_id,
    )


def test_parent_that_comes_later_is_linked(dsn: str, sql: Sql, tmp_path: Path) -> None:
    child = write(tmp_path / "s1/subagents/agent-a1.jsonl", [Claude("agent-a1").say("look", isSidechain=True)])
    imported(dsn, child)
    assert key_of(sql, "parent_session_id", "claude-code:s1/agent-a1") == [(None,)]
    parent = write(tmp_path / "s1.jsonl", [Claude("s1").say("one")])
    imported(dsn, parent)
    assert key_of(sql, "parent_session_id", "claude-code:s1/agent-a1") == [("claude-code:s1",)]
    sql("delete from sessions where external_id = 'claude-code:s1'")
    imported(dsn, parent)
    assert key_of(sql, "parent_session_id", "claude-code:s1/agent-a1") == [("claude-code:s1",)]


def test_session_of_another_user_is_no_parent(dsn: str, sql: Sql, tmp_path: Path) -> None:
    parent = write(tmp_path / "s1.jsonl", [Claude("s1").say("one")])
    imported(dsn, parent, user_id="bob")
    imported(dsn, write(tmp_path / "s1/subagents/agent-a1.jsonl", [Claude("agent-a1").say("look", isSidechain=True)]))
    assert key_of(sql, "parent_session_id", "claude-code:s1/agent-a1") == [(None,)]


def test_file_that_was_forked_names_its_origin(dsn: str, sql: Sql, tmp_path: Path) -> None:
    first, second = Claude("s1"), Claude("s2")
    copied = second.say("one", forkedFrom={"sessionId": "s1", "messageUuid": "s1-uuid-0001"})
    imported(dsn, write(tmp_path / "s2.jsonl", [copied, second.say("two")]))
    assert key_of(sql, "forked_from_session_id", "claude-code:s2") == [(None,)]
    imported(dsn, write(tmp_path / "s1.jsonl", [first.say("one")]))
    assert key_of(sql, "forked_from_session_id", "claude-code:s2") == [("claude-code:s1",)]


def test_dry_run_counts_copies_once(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = write(tmp_path / "a/s1.jsonl", [Claude("s1").say("one")])
    write(tmp_path / "b/s1.jsonl", [path.read_bytes()])
    report = imported(dsn, tmp_path, dry_run=True)
    assert (report.total("new"), report.total("same"), report.total("messages")) == (1, 1, 1)


def test_session_without_keys_stays_without_them(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say(f"use {KEY}", gitBranch=KEY)])
    imported(dsn, path, redacts=True)
    assert sql("select tags ->> 'branch' from sessions") == [("[redacted: anthropic-key]",)]
    add(path, claude.answer(f"I used {KEY}"))
    assert imported(dsn, path).total("grown") == 1
    assert sql("select count(*) from messages where message::text like '%%sk-ant%%'") == [(0,)]
    assert sql("select title, messages_total from sessions") == [("use [redacted: anthropic-key]", 2)]
    assert sql(
        "select bool_or(convert_from(l, 'UTF8') like '%%sk-ant%%') from session_origin_lines, unnest(lines) l"
    ) == [(False,)]


def test_rewritten_session_without_keys_forks_where_it_differs(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say(f"use {KEY}"), claude.answer("two"), claude.say("three")]
    path = write(tmp_path / "s1.jsonl", entries)
    imported(dsn, path, redacts=True)
    entries[2]["message"]["content"] = "other"
    write(path, entries)
    assert imported(dsn, path).total("forked") == 1
    assert sql("select forked_at_seq from sessions where external_id = 'claude-code:s1#2'") == [(2,)]
    assert sql("select count(*) from messages where message::text like '%%sk-ant%%'") == [(0,)]
    write(path, entries[:1])
    assert imported(dsn, path).changed == 0
