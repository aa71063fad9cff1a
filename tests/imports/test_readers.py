"""The session files of each tool: what becomes a message, and what is derived from the rest."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.session_files import imported, write

Sql = Callable[..., list[Any]]
WHOLE = """
select
    o.path,
    string_agg(
        convert_from(l.line, 'UTF8') || case when l.number < o.lines or o.is_whole then e'\\n' else '' end,
        '' order by l.number
    )
from session_origins as o
join session_origin_lines as b on b.session_id = o.session_id
cross join unnest(b.numbers, b.lines) as l (number, line)
where o.tool <> 'opencode'
group by o.path
"""


def folder(root: Path, session_id: str, messages: list[Any], **metadata: Any) -> Path:
    """Writes a session folder of the Amplifier CLI, and returns its transcript."""
    path = write(root / session_id / "transcript.jsonl", messages)
    (path.parent / "metadata.json").write_text(json.dumps({"session_id": session_id, **metadata}))
    return path


def test_amplifier_folders_with_sub_sessions(dsn: str, sql: Sql, tmp_path: Path) -> None:
    said = {"role": "user", "content": "Plan a trip", "metadata": {"timestamp": "2026-02-01T08:00:00Z"}}
    about = {"working_dir": "/home/ann/trip", "model": "m", "bundle": "b", "created": "2026-02-01T07:59:00Z"}
    folder(tmp_path, "zz-parent", [said, {"role": "assistant", "content": "Yes"}], name="Trip", **about)
    child = "0123456789abcdef-0123456789abcdef_explorer"
    folder(tmp_path, child, [{"role": "user", "content": "look"}], parent_id="zz-parent", agent_name="explorer")
    (tmp_path / "zz-parent/events.jsonl").write_text('{"event": "x"}\n')
    report = imported(dsn, tmp_path)
    assert (report.total("new"), report.unknown, report.losses) == (2, 1, 0)
    [(parent, title, tags, created)] = sql(
        "select session_id, title, tags, created_at::text from sessions where external_id = 'amplifier:zz-parent'"
    )
    assert (title, created) == ("Trip", "2026-02-01 07:59:00+00")
    assert tags == {"tool": "amplifier", "cwd": "/home/ann/trip", "model": "m", "bundle": "b"}
    assert sql("select parent_session_id, tags ->> 'agent' from sessions where session_id <> %s", parent) == [
        (parent, "explorer")
    ]
    [(files,)] = sql("select files from session_origins where session_id = %s", parent)
    assert files == {"metadata.json": (tmp_path / "zz-parent/metadata.json").read_text()}
    assert imported(dsn, tmp_path).changed == 0


def test_amplifier_backup_is_taken_for_a_transcript_that_cannot_be_read(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = folder(tmp_path, "s", [b"\0\0\0\0\n"])
    write(path.with_name("transcript.jsonl.backup"), [{"role": "user", "content": "saved"}])
    report = imported(dsn, tmp_path)
    assert report.losses == 0
    assert any("its backup is taken" in remark.reason for remark in report.remarks)
    assert sql("select message ->> 'content' from messages") == [("saved",)]
    write(path, [{"role": "user", "content": "saved"}, {"role": "user", "content": "more"}])
    assert imported(dsn, tmp_path).total("grown") == 1
    assert sql("select last_seq from sessions") == [(2,)]


def test_codex_rollouts_also_when_they_are_archived(dsn: str, sql: Sql, tmp_path: Path) -> None:
    name = "rollout-2026-01-01T00-00-00-019b2ea4-0000-7000-8000-000000000001.jsonl"
    meta = {"id": "019b2ea4-0000-7000-8000-000000000001", "cwd": "/w", "cli_version": "0.1", "git": {"branch": "dev"}}

    def entry(type: str, payload: Any, second: int) -> Any:
        return {"timestamp": f"2026-01-01T00:00:{second:02}Z", "type": type, "payload": payload}

    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix the build"}]}
    call = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"}
    total = {"total_token_usage": {"input_tokens": 5, "output_tokens": 2}}
    entries = [
        entry("session_meta", meta, 0),
        entry("turn_context", {"model": "gpt-x"}, 1),
        entry("event_msg", {"type": "user_message", "message": "Fix the build"}, 2),
        entry("response_item", item, 3),
        entry("response_item", call, 4),
        entry("event_msg", {"type": "token_count", "info": total}, 5),
    ]
    path = write(tmp_path / "sessions" / name, entries)
    assert imported(dsn, path).total("new") == 1
    [(title, tags, about, count)] = sql("select title, tags, metadata -> 'import', messages_total from sessions")
    assert (title, count) == ("Fix the build", 2)
    assert tags == {"tool": "codex", "cwd": "/w", "branch": "dev", "model": "gpt-x"}
    assert (about["input_tokens"], about["output_tokens"], about["version"]) == (5, 2, "0.1")
    archived = tmp_path / "archived_sessions" / name
    archived.parent.mkdir()
    path.rename(archived)
    assert imported(dsn, tmp_path).changed == 0


@pytest.mark.skipif("AGENT_SESSIONS" not in os.environ, reason="needs session files")
def test_recorded_files_come_back_byte_for_byte(dsn: str, sql: Sql) -> None:
    folder = Path(os.environ["AGENT_SESSIONS"])
    report = imported(dsn, folder)
    assert (report.total("files"), report.losses) == (10, 0)
    whole = dict(sql(WHOLE))
    assert len(whole) == 8
    for path, text in whole.items():
        assert text == Path(path).read_text(), path
    assert imported(dsn, folder).changed == 0
