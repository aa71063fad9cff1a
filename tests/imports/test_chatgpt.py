"""Exports of ChatGPT: the path to the present end is a session, the other ends are forks."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.imports import archives
from amplifier.imports.readers import trees
from tests.support.session_files import DEEP, imported

Sql = Callable[..., list[Any]]


def node(name: str, parent: str | None, role: str, *said: Any, **more: Any) -> dict[str, Any]:
    """Returns a node of the tree."""
    content = more.pop("content", {"content_type": "text", "parts": list(said)})
    message = {
        "id": name,
        "author": {"role": role, "name": more.pop("tool", None), "metadata": {}},
        "create_time": 1767225600.5 + len(name) + ord(name[0]),
        "update_time": None,
        "content": content,
        "status": "finished_successfully",
        "end_turn": True,
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-x"} if role == "assistant" else {},
        "recipient": "all",
        "channel": None,
    }
    message["metadata"] |= more.pop("metadata", {})
    return {"id": name, "message": {**message, **more}, "parent": parent, "children": []}


def conversation(name: str, nodes: list[dict[str, Any]], end: str | None, **more: Any) -> dict[str, Any]:
    """Returns a conversation, with a root without a message."""
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    mapping |= {one["id"]: one for one in nodes}
    for one in nodes:
        if one["parent"] in mapping:
            mapping[one["parent"]]["children"].append(one["id"])
    about = {"title": "Cats", "create_time": 1767225600.1, "update_time": 1767229200.0, "moderation_results": []}
    about |= {"conversation_id": name, "id": name, "current_node": end, "default_model_slug": "gpt-x", "gizmo_id": None}
    return {**about, "mapping": mapping, **more}


def cats() -> list[dict[str, Any]]:
    """Returns the nodes of a conversation with two answers to the first question."""
    return [
        node("s", "root", "system", "Obey", metadata={"is_visually_hidden_from_conversation": True}),
        node("a", "s", "user", "Do cats purr?", metadata={"attachments": [{"id": "file-1", "name": "cat.png"}]}),
        node("b", "a", "assistant", "Yes"),
        node("c", "a", "assistant", "Yes, they do"),
        node("d", "c", "user", "Why?"),
    ]


def export(path: Path, *conversations: Any, indent: int | None = None) -> Path:
    """Writes an export."""
    path.write_text(json.dumps(conversations, indent=indent))
    return path


def texts(sql: Sql, key: str) -> list[Any]:
    """Returns the roles and texts of a session."""
    return sql(
        "select m.role, m.message #>> '{content,0,text}' from messages as m join sessions using (session_id)"
        " where external_id = %s order by seq",
        key,
    )


def test_present_path_is_a_session_and_the_other_answer_a_fork(dsn: str, sql: Sql, tmp_path: Path) -> None:
    path = export(tmp_path / "conversations.json", conversation("c1", cats(), "d"))
    report = imported(dsn, path)
    assert (report.total("new"), report.total("forked"), report.losses) == (1, 1, 0)
    first = ("user", "Do cats purr?")
    assert texts(sql, "chatgpt:c1") == [first, ("assistant", "Yes, they do"), ("user", "Why?")]
    assert texts(sql, "chatgpt:c1/b") == [first, ("assistant", "Yes")]
    assert sql("select title, tags, created_at::text from sessions where external_id = 'chatgpt:c1'") == [
        ("Cats", {"tool": "chatgpt", "model": "gpt-x"}, "2026-01-01 00:00:00.1+00")
    ]
    assert sql(
        "select s.forked_at_seq, o.external_id from sessions as s"
        " join sessions as o on o.session_id = s.forked_from_session_id"
    ) == [(1, "chatgpt:c1")]
    assert sql("select message #>> '{content,1,text}' from messages where seq = 1 limit 1") == [("[file: cat.png]",)]
    assert imported(dsn, path).changed == 0


@pytest.mark.parametrize("odd", [0, 1])
def test_conversation_that_cannot_be_read_leaves_the_others(
    dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: int
) -> None:
    """Also if it is the first one, by which the format is told."""
    good = [json.dumps(conversation(name, cats(), "d")) for name in ("c1", "c2")]
    deep = good[0].replace('"Why?"', DEEP)
    long = good[0].replace("Why?", "x" * 2_000_000)
    monkeypatch.setattr(archives, "LONGEST", 1_000_000)
    for name, bad in (("deep", deep), ("long", long)):
        all_of_them = [*good]
        all_of_them.insert(odd, bad)
        (tmp_path / name).mkdir()
        (tmp_path / name / "conversations.json").write_text(f"[{','.join(all_of_them)}]")
    deep_report, long_report = (imported(dsn, tmp_path / name) for name in ("deep", "long"))
    assert (deep_report.total("new"), long_report.total("same")) == (2, 4)
    assert [(one.reason, one.is_loss) for one in deep_report.remarks] == [
        (f"conversation {odd + 1}: it is nested too deeply to be read", True)
    ]
    [remark] = long_report.remarks
    assert remark.reason.startswith(f"conversation {odd + 1}: it has")


def test_later_export_with_other_details_appends(dsn: str, sql: Sql, tmp_path: Path) -> None:
    imported(dsn, export(tmp_path / "conversations.json", conversation("c1", cats(), "d")))
    nodes = [*cats(), node("e", "d", "assistant", "They are happy"), node("f", "b", "user", "Really?")]
    for one in nodes:
        one["message"]["metadata"]["new_detail"] = 1
    report = imported(dsn, export(tmp_path / "conversations.json", conversation("c1", nodes, "e"), indent=2))
    assert (report.total("grown"), report.total("new"), report.total("forked")) == (2, 0, 0)
    assert len(texts(sql, "chatgpt:c1")) == 4
    assert texts(sql, "chatgpt:c1/b")[-1] == ("user", "Really?")


def test_present_end_that_moved_is_a_fork_and_the_former_one_no_copy(dsn: str, sql: Sql, tmp_path: Path) -> None:
    imported(dsn, export(tmp_path / "conversations.json", conversation("c1", cats()[:3], "b")))
    path = export(tmp_path / "conversations.json", conversation("c1", cats(), "d"))
    report = imported(dsn, path)
    assert (report.total("forked"), report.total("same"), report.total("new")) == (1, 1, 0)
    assert len(texts(sql, "chatgpt:c1")) == 2
    assert len(texts(sql, "chatgpt:c1#2")) == 3
    assert imported(dsn, path).changed == 0


def test_tools_thoughts_and_images(dsn: str, sql: Sql, tmp_path: Path) -> None:
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "width": 1, "height": 1}
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Plan", "content": "Use Python"}]}
    nodes = [
        node("a", "root", "user", content={"content_type": "multimodal_text", "parts": [image, "Count"]}),
        node("b", "a", "assistant", content=thoughts),
        node("c", "b", "assistant", content={"content_type": "code", "text": "print(1)"}, recipient="python"),
        node("d", "c", "tool", content={"content_type": "execution_output", "text": "1"}, tool="python"),
        node("e", "d", "assistant", "One"),
    ]
    imported(dsn, export(tmp_path / "conversations.json", conversation("c1", nodes, "e")))
    found = [message for (message,) in sql("select message from messages order by seq")]
    assert found[0]["content"] == [
        {"type": "text", "text": "[image: file-service://file-1]"},
        {"type": "text", "text": "Count"},
    ]
    assert found[1]["content"] == [{"type": "thinking", "thinking": "Plan\nUse Python"}]
    assert found[2]["tool_calls"][0]["function"] == {"name": "python", "arguments": '{"input":"print(1)"}'}
    assert (found[3]["role"], found[3]["tool_call_id"]) == ("tool", "c")
    assert sql("select l from session_origin_lines, unnest(lines) as l")[1][0] != b"null"


@pytest.mark.parametrize("name", ["conversations.json", "conversations-000.json"])
def test_archive_is_read_without_extracting_it(dsn: str, sql: Sql, tmp_path: Path, name: str) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chat.html", "<html>")
        archive.writestr("../../../conversations.json.txt", "x")
        archive.writestr(f"../../{name}", json.dumps([conversation(f"c{n}", cats(), "d") for n in range(3)]))
    assert imported(dsn, path).total("new") == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["export.zip"]
    assert imported(dsn, tmp_path).changed == 0


def test_archive_that_unpacks_to_too_much_is_refused(
    dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_RATIO_FROM", 1_000_000)
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps([conversation("c1", cats(), "d")])
        archive.writestr("conversations.json", f"{text[:-1]}, {' ' * 5_000_000}{text[1:]}")
    report = imported(dsn, path)
    assert [remark.reason for remark in report.remarks] == ["the archive unpacks to more than 200 times its size"]
    assert sql("select count(*) from sessions") == [(2,)]


def test_archives_that_are_broken_are_reported(dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps([conversation("c1", cats(), "d")]))
    text = path.read_bytes()
    path.write_bytes(text.replace(b"Do cats purr?", b"DO CATS PURR?"))
    assert [remark.is_loss for remark in imported(dsn, path).remarks] == [True]
    path.write_bytes(text[: len(text) // 2])
    report = imported(dsn, path)
    assert (report.total("files"), report.unknown) == (0, 1)


@pytest.mark.parametrize("value", [None, pytest.param(-(10**400), id="huge"), "\ud800\u0000", [[]], [{}], {"x": []}])
def test_wrong_types_in_every_member(dsn: str, sql: Sql, tmp_path: Path, value: Any) -> None:
    good = conversation("good", cats(), "d")
    many = [{**conversation(f"c{n}", cats(), "d"), name: value} for n, name in enumerate(good)]
    for number, name in enumerate(("parent", "message", "id")):
        nodes = cats()
        nodes[3] |= {name: value}
        many.append(conversation(f"n{number}", cats(), "d", mapping={str(n): one for n, one in enumerate(nodes)}))
    for number, name in enumerate(cats()[1]["message"]):
        nodes = cats()
        nodes[1]["message"][name] = value
        many.append(conversation(f"m{number}", nodes, "d"))
    path = export(tmp_path / "conversations.json", good, *many, value)
    imported(dsn, path)
    assert len(texts(sql, "chatgpt:good")) == 3
    assert imported(dsn, path).changed == 0


def test_circles_and_missing_parents_end(dsn: str, sql: Sql, tmp_path: Path) -> None:
    nodes = [
        node("a", "b", "user", "one"),
        node("b", "a", "user", "two"),
        node("c", "c", "user", "three"),
        node("d", "gone", "user", "four"),
    ]
    path = export(tmp_path / "conversations.json", conversation("c1", nodes, "a"))
    imported(dsn, path)
    said = {text for (text,) in sql("select message #>> '{content,0,text}' from messages")}
    assert said == {"one", "two", "three", "four"}
    assert imported(dsn, path).changed == 0


def test_long_chain_and_many_branches(dsn: str, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = {str(n): trees.Node(str(n), str(n - 1), b"{}") for n in range(100_000)}
    [branch] = trees.branches(chain, "99999")
    assert len(branch.nodes) == 100_000
    [branch] = trees.branches(chain, None)
    assert len(branch.nodes) == 100_000
    monkeypatch.setattr(trees, "MOST_FORKS", 5)
    nodes = [node("a", "root", "user", "go"), *(node(f"n{n}", "a", "assistant", str(n)) for n in range(9))]
    report = imported(dsn, export(tmp_path / "conversations.json", conversation("c1", nodes, "n0")))
    assert (report.total("forked"), report.losses) == (5, 1)
