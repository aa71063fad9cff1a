"""Exports of Claude.ai, in which messages follow one another or form a tree."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.session_files import imported

Sql = Callable[..., list[Any]]
ROOT = "00000000-0000-4000-8000-000000000000"


def message(name: str, sender: str, text: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """Returns a message of a conversation."""
    content: list[Any] = [{"type": "text", "text": text, "citations": [], "start_timestamp": None}]
    found = {
        "uuid": name,
        "text": text,
        "content": content,
        "sender": sender,
        "created_at": f"2026-02-01T10:00:{len(name):02}.123456Z",
        "updated_at": "2026-02-01T10:00:00Z",
        "attachments": [],
        "files": [],
    }
    return {**found, **({"parent_message_uuid": parent} if parent else {}), **more}


def export(path: Path, *conversations: Any) -> Path:
    """Writes an export."""
    path.write_text(json.dumps(conversations))
    return path


def conversation(name: str, *messages: Any, **more: Any) -> dict[str, Any]:
    """Returns a conversation."""
    about = {"uuid": name, "name": "Soup", "summary": "", "created_at": "2026-02-01T10:00:00Z"}
    return {**about, "account": {"uuid": "u"}, "chat_messages": list(messages), **more}


def texts(sql: Sql, key: str) -> list[Any]:
    """Returns the roles and texts of a session."""
    return sql(
        "select m.role, m.message #>> '{content,0,text}' from messages as m join sessions using (session_id)"
        " where external_id = %s order by seq",
        key,
    )


def test_messages_that_follow_one_another(dsn: str, sql: Sql, tmp_path: Path) -> None:
    pasted = {"file_name": "list.txt", "file_type": "txt", "file_size": 5, "extracted_content": "onions"}
    thinking = {"type": "thinking", "thinking": "hm", "summaries": []}
    first = message("m1", "human", "What is in it?", attachments=[pasted], files=[{"file_name": "soup.png"}])
    second = message("m22", "assistant", "Onions")
    second["content"].insert(0, thinking)
    path = export(tmp_path / "conversations.json", conversation("c1", first, second))
    report = imported(dsn, path)
    assert (report.total("new"), report.losses) == (1, 0)
    [asked, answered] = [message for (message,) in sql("select message from messages order by seq")]
    assert asked["role"] == "user"
    assert asked["content"][1:] == [
        {
            "type": "document",
            "title": "list.txt",
            "source": {"type": "text", "media_type": "text/plain", "data": "onions"},
        },
        {"type": "text", "text": "[file: soup.png]"},
    ]
    assert answered == {"role": "assistant", "content": second["content"]}
    assert sql("select title, created_at::text from sessions") == [("Soup", "2026-02-01 10:00:00+00")]
    assert sql("select count(*) from messages where search @@ 'onion'::tsquery") == [(2,)]
    assert imported(dsn, path).changed == 0
    export(
        path, conversation("c1", first, second, message("m333", "human", "Thanks"), updated_at="2026-03-01T00:00:00Z")
    )
    assert imported(dsn, path).total("grown") == 1


def test_tree_of_messages(dsn: str, sql: Sql, tmp_path: Path) -> None:
    found = [
        message("m1", "human", "one", ROOT),
        message("m2", "assistant", "two", "m1"),
        message("m3", "human", "three", "m2"),
        message("m4", "human", "other three", "m2"),
    ]
    path = export(tmp_path / "conversations.json", conversation("c1", *found))
    report = imported(dsn, path)
    assert (report.total("new"), report.total("forked")) == (1, 1)
    assert [text for _, text in texts(sql, "claude-ai:c1")] == ["one", "two", "other three"]
    assert [text for _, text in texts(sql, "claude-ai:c1/m3")] == ["one", "two", "three"]
    assert imported(dsn, path).changed == 0


def test_archive_leaves_projects(dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("projects.json", json.dumps([{"uuid": "p", "name": "P", "docs": []}]))
        archive.writestr("conversations.json", json.dumps([conversation("c1", message("m1", "human", "Hi"))]))
    assert imported(dsn, path).total("new") == 1
    assert imported(dsn, path).changed == 0


@pytest.mark.parametrize("value", [None, pytest.param(-(10**400), id="huge"), "\ud800\u0000", [[]], [{}], {"x": []}])
def test_wrong_types_in_every_member(dsn: str, sql: Sql, tmp_path: Path, value: Any) -> None:
    good = conversation("good", message("m1", "human", "Hi", ROOT), message("m2", "assistant", "Hello", "m1"))
    many = [{**good, "uuid": f"c{n}", name: value} for n, name in enumerate(good)]
    for number, name in enumerate(good["chat_messages"][0]):
        many.append(conversation(f"m{number}", {**good["chat_messages"][0], name: value}, good["chat_messages"][1]))
    deep = b'{"uuid":"deep","chat_messages":[' + b"[" * 5000 + b"]" * 5000 + b"]}"
    path = export(tmp_path / "conversations.json", good, *many, value)
    path.write_bytes(path.read_bytes()[:-1] + b"," + deep + b"]")
    report = imported(dsn, path)
    assert report.losses >= 1
    assert texts(sql, "claude-ai:good") == [("user", "Hi"), ("assistant", "Hello")]
    assert imported(dsn, path).changed == 0


def test_circles_end(dsn: str, sql: Sql, tmp_path: Path) -> None:
    found = [message("m1", "human", "one", "m2"), message("m2", "human", "two", "m1"), message("m1", "human", "again")]
    imported(
        dsn, export(tmp_path / "conversations.json", conversation("c1", *found, message("m3", "human", "x", "m3")))
    )
    assert sql("select count(*) from messages") == [(6,)]  # the branch after the circle begins with its two messages
