"""Imports compared with the files: what is new, what grew, what was rewritten, and what stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.session_files import Claude, add, imported, line, write

Sql = Callable[..., list[Any]]


def session(sql: Sql, key: str) -> str:
    """Returns the session_id of a key."""
    [(session_id,)] = sql("select session_id from sessions where external_id = %s", key)
    return str(session_id)


def texts(sql: Sql, key: str) -> list[str]:
    """Returns what the messages of a session say."""
    rows = sql(
        "select coalesce(message #>> '{content,0,text}', message ->> 'content') from messages"
        " where session_id = %s order by seq",
        session(sql, key),
    )
    return [text for (text,) in rows]


def file(sql: Sql, key: str) -> bytes:
    """Returns the lines of a session as the file that they were."""
    rows = sql("select lines from session_origin_lines where session_id = %s order by first_line", session(sql, key))
    return b"".join(bytes(one) + b"\n" for (lines,) in rows for one in lines)


def test_second_import_finds_nothing_new(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("hello"), claude.answer("hi")])
    first = imported(dsn, path)
    assert (first.total("new"), first.total("messages"), first.losses) == (1, 2, 0)
    rows = sql("select * from sessions") + sql("select * from messages")
    second = imported(dsn, path)
    assert (second.changed, second.total("messages"), second.total("same")) == (0, 0, 1)
    assert sql("select * from sessions") + sql("select * from messages") == rows


def test_session_has_times_counts_and_tags_of_the_file(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    usage = {"input_tokens": 10, "output_tokens": 3}
    entries = [claude.say("Hello there"), claude.answer("hi"), claude.say("more")]
    entries[1]["message"] |= {"model": "claude-x", "id": "m1", "usage": usage}
    imported(dsn, write(tmp_path / "s1.jsonl", entries))
    [row] = sql(
        "select title, tags, metadata -> 'import', message_count, messages_total, last_seq, created_at::text,"
        " updated_at::text, owner_user_id, status from sessions"
    )
    assert row[:6] == (
        "Hello there",
        {"tool": "claude-code", "cwd": "/home/ann/shop", "branch": "main", "model": "claude-x"},
        {"source_id": "s1", "version": "2.1.0", **usage},
        2,
        3,
        3,
    )
    assert row[6:] == ("2026-03-01 10:00:01+00", "2026-03-01 10:00:03+00", "ann", "active")
    assert sql("select user_id, role, last_read_seq from session_participants") == [("ann", "owner", 3)]
    assert sql("select user_id, total_sessions from users") == [("ann", 1)]
    assert sql("select count(*) from messages where search @@ 'hello'::tsquery") == [(1,)]


def test_transcript_that_grew_is_appended_to(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("one"), claude.answer("two")])
    imported(dsn, path)
    add(path, claude.say("three"), {"type": "ai-title", "aiTitle": "Numbers", "sessionId": "s1"})
    report = imported(dsn, path)
    assert (report.total("grown"), report.total("new"), report.total("messages")) == (1, 0, 1)
    assert texts(sql, "claude-code:s1") == ["one", "two", "three"]
    assert sql("select last_seq, message_count, title from sessions") == [(3, 2, "Numbers")]
    assert file(sql, "claude-code:s1") == path.read_bytes()


def test_message_added_in_the_service_stays_before_what_the_tool_adds(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("one")])
    imported(dsn, path)
    sql(
        "insert into messages (session_id, message, author_user_id, author_app_id) values (%s, %s, 'bob', 'a')",
        session(sql, "claude-code:s1"),
        '{"role": "user", "content": "from the service"}',
    )
    add(path, claude.answer("two"))
    imported(dsn, path)
    assert texts(sql, "claude-code:s1") == ["one", "from the service", "two"]
    assert file(sql, "claude-code:s1") == path.read_bytes()
    assert sql("select last_seq, messages_total, message_count from sessions") == [(3, 3, 2)]


def test_title_given_in_the_service_stays(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("one")])
    imported(dsn, path)
    sql("update sessions set title = 'Mine'")
    add(path, claude.say("two"), {"type": "ai-title", "aiTitle": "Theirs", "sessionId": "s1"})
    imported(dsn, path)
    assert sql("select title from sessions") == [("Mine",)]


def test_rewritten_past_becomes_a_fork(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("one"), claude.answer("two"), claude.say("three")]
    path = write(tmp_path / "s1.jsonl", entries)
    imported(dsn, path)
    entries[2]["message"]["content"] = "THREE"
    write(path, entries)
    report = imported(dsn, path)
    assert (report.total("forked"), report.total("new")) == (1, 0)
    assert texts(sql, "claude-code:s1") == ["one", "two", "three"]
    assert texts(sql, "claude-code:s1#2") == ["one", "two", "THREE"]
    former = session(sql, "claude-code:s1")
    assert sql("select forked_from_session_id, forked_at_seq from sessions where external_id like '%%#2'") == [
        (former, 2)
    ]
    assert imported(dsn, path).changed == 0
    add(path, claude.say("four"))
    assert imported(dsn, path).total("grown") == 1
    assert texts(sql, "claude-code:s1#2") == ["one", "two", "THREE", "four"]
    assert len(texts(sql, "claude-code:s1")) == 3


def test_shortened_file_changes_nothing(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("one"), claude.answer("two")]
    path = write(tmp_path / "s1.jsonl", entries)
    imported(dsn, path)
    write(path, entries[:1])
    report = imported(dsn, path)
    assert (report.changed, [remark.reason for remark in report.remarks]) == (
        0,
        ["it is shorter than at the last import: nothing is new"],
    )


def test_rewind_becomes_a_fork_with_the_messages_before_it(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("one"), claude.answer("two"), claude.say("three"), claude.answer("four")]
    entries += [claude.say("other three", parent=entries[1]["uuid"]), claude.answer("other four")]
    path = write(tmp_path / "s1.jsonl", entries)
    report = imported(dsn, path)
    assert (report.total("new"), report.total("forked")) == (1, 1)
    assert texts(sql, "claude-code:s1") == ["one", "two", "three", "four"]
    assert texts(sql, "claude-code:s1/s1-uuid-0005") == ["one", "two", "other three", "other four"]
    [(main, at, last_seq, count)] = sql(
        "select forked_from_session_id, forked_at_seq, last_seq, messages_total from sessions"
        " where external_id = 'claude-code:s1/s1-uuid-0005'"
    )
    assert (main, at, last_seq, count) == (session(sql, "claude-code:s1"), 2, 4, 4)
    assert imported(dsn, path).changed == 0
    add(path, claude.say("five"))
    assert imported(dsn, path).total("grown") == 1
    assert texts(sql, "claude-code:s1/s1-uuid-0005")[-1] == "five"
    both = file(sql, "claude-code:s1") + file(sql, "claude-code:s1/s1-uuid-0005")
    assert both == path.read_bytes()


def test_results_of_parallel_calls_are_no_branches(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("go")]
    entries += [claude.entry("assistant", [{"type": "tool_use", "id": f"t{n}", "name": "Bash"}]) for n in (1, 2)]
    for number, call in enumerate(entries[1:3], 1):
        result = [{"type": "tool_result", "tool_use_id": f"t{number}", "content": "ok"}]
        entries.append(claude.entry("user", result, parent=call["uuid"]))
    entries.append(claude.answer("done"))
    assert imported(dsn, write(tmp_path / "s1.jsonl", entries)).total("new") == 1
    assert sql("select messages_total from sessions") == [(6,)]


def test_sub_agents_are_sessions_below_their_parent(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude, agent = Claude("s1"), Claude("agent-a1")
    write(tmp_path / "s1.jsonl", [claude.say("one")])
    write(tmp_path / "s1/subagents/agent-a1.jsonl", [agent.say("look", isSidechain=True)])
    (tmp_path / "s1/subagents/agent-a1.meta.json").write_text('{"agentType": "explorer"}')
    side = Claude("side")
    add(tmp_path / "s1.jsonl", side.say("search", isSidechain=True), side.answer("found", isSidechain=True))
    add(tmp_path / "s1.jsonl", claude.answer("two"))
    assert imported(dsn, tmp_path).total("new") == 3
    main = session(sql, "claude-code:s1")
    rows = sql("select external_id, parent_session_id, tags ->> 'agent' from sessions order by 1")
    assert rows == [
        ("claude-code:s1", None, None),
        ("claude-code:s1/agent-a1", main, "explorer"),
        ("claude-code:s1/side-uuid-0001", main, "sidechain"),
    ]
    assert texts(sql, "claude-code:s1") == ["one", "two"]
    assert texts(sql, "claude-code:s1/side-uuid-0001") == ["search", "found"]
    assert imported(dsn, tmp_path).changed == 0


def test_copy_of_a_file_is_nothing_new(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "a/s1.jsonl", [claude.say("one")])
    write(tmp_path / "b/s1.jsonl", [path.read_bytes()])
    report = imported(dsn, tmp_path)
    assert (report.total("new"), report.total("same")) == (1, 1)


def test_dry_run_changes_nothing(dsn: str, sql: Sql, tmp_path: Path) -> None:
    report = imported(dsn, write(tmp_path / "s1.jsonl", [Claude("s1").say("one")]), dry_run=True)
    assert (report.total("new"), report.total("messages")) == (1, 1)
    assert sql("select count(*) from sessions") == [(0,)]


def test_every_user_has_an_own_copy(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = write(tmp_path / "s1.jsonl", [Claude("s1").say("one")])
    imported(dsn, path)
    assert imported(dsn, path, user_id="bob").total("new") == 1
    assert sql("select owner_user_id from sessions order by 1") == [("ann",), ("bob",)]


def test_retracted_message_takes_its_line_with_it(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "s1.jsonl", [claude.say("one"), claude.say("secret"), claude.say("three")])
    imported(dsn, path)
    session_id = session(sql, "claude-code:s1")
    sql("select count(*) from messages_retract(%s, array[2], 4, 'ann', 'a', true)", session_id)
    [(lines, seqs)] = sql("select lines, message_seqs from session_origin_lines")
    assert [one is None for one in lines] == [False, True, False]
    assert seqs == [1, 2, 3]
    assert imported(dsn, path).changed == 0


def test_moved_message_stays_beside_its_line(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    imported(dsn, write(tmp_path / "s1.jsonl", [claude.say("one"), claude.say("two")]))
    sql("select messages_move(%s, array[2], array[7])", session(sql, "claude-code:s1"))
    assert sql("select message_seqs from session_origin_lines") == [([1, 7],)]


def test_keys_are_replaced_in_messages_and_lines(dsn: str, sql: Sql, tmp_path: Path) -> None:
    key = "sk-ant-" + "a1B2" * 10
    path = write(tmp_path / "s1.jsonl", [Claude("s1").say(f"use {key}")])
    imported(dsn, path, redacts=True)
    assert texts(sql, "claude-code:s1") == ["use [redacted: anthropic-key]"]
    assert key.encode() not in file(sql, "claude-code:s1")
    assert imported(dsn, path, redacts=True).changed == 0


def test_large_session_is_stored_in_several_transactions(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    entries = [claude.say("x" * 200_000 + str(number)) for number in range(60)]
    path = write(tmp_path / "s1.jsonl", entries)
    imported(dsn, path)
    assert sql("select last_seq, message_count, messages_total from sessions") == [(60, 60, 60)]
    assert sql("select count(distinct xmin::text) > 1 from messages") == [(True,)]
    assert file(sql, "claude-code:s1") == path.read_bytes()
    assert imported(dsn, path).changed == 0


def test_interrupted_import_continues(dsn: str, sql: Sql, tmp_path: Path) -> None:
    """A killed import leaves a beginning, as one of a shorter file would."""
    claude = Claude("s1")
    entries = [line(claude.say(f"n{number}")) for number in range(6)]
    path = write(tmp_path / "s1.jsonl", entries[:4])
    imported(dsn, path)
    write(path, [b"".join(entries)])
    assert imported(dsn, path).total("messages") == 2
    assert texts(sql, "claude-code:s1") == [f"n{number}" for number in range(6)]
    assert json.loads(file(sql, "claude-code:s1").splitlines()[5])["message"]["content"] == "n5"
