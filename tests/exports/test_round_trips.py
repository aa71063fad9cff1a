"""Imported sessions exported to their own tool: the file as it was, with what was added, and when it is made anew."""

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.exceptions import LitestarException

from amplifier.api import exports
from amplifier.errors import Problem
from amplifier.imports import store
from tests.conftest import Api
from tests.support.session_files import Claude, add, imported, write

Sql = Callable[..., list[Any]]
SESSION = "019b2ea4-0000-7000-8000-000000000001"
ROLLOUT = f"rollout-2026-01-01T00-00-00-{SESSION}"
THOUGHT = {"type": "thinking", "thinking": "secretthought", "signature": "s"}
MORE = {"role": "user", "content": "And back?"}
ABOUT = '{\n  "session_id": "trip", "turn_count": 1,\n "bundle": "b", "mine": [1.50]}'
ODD = [b'{"role":"user",  "content":"caf\\u00e9 \xff"}\r\n', b"\n", b"no json\n"]


def claude() -> list[Any]:
    """Returns the entries of a session of Claude Code, with lines that are no messages."""
    made = Claude(SESSION)
    said = [made.say("To Geneva?"), made.entry("assistant", [THOUGHT, {"type": "text", "text": "LX 1"}])]
    return [{"type": "summary", "summary": "Trip", "leafUuid": "x"}, *said, {"type": "file-history-snapshot"}, *ODD[1:]]


def codex() -> list[Any]:
    """Returns the lines of a rollout."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "To Geneva?"}]}
    lines = [("session_meta", {"id": SESSION, "cwd": "/w"}), ("turn_context", {"model": "m"}), ("response_item", item)]
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "secretthought"}
    lines += [("response_item", sealed), ("event_msg", {"type": "token_count", "info": None})]
    return [{"timestamp": "2026-01-01T00:00:01Z", "type": kind, "payload": payload} for kind, payload in lines]


def amplifier() -> list[Any]:
    """Returns the lines of a transcript of the Amplifier CLI."""
    return [
        {"role": "user", "content": "To Geneva?"},
        {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "LX 1"}], "openai:response_id": "r"},
        *ODD,
    ]


FILES: dict[str, tuple[str, Callable[[], list[Any]]]] = {
    "claude-code": (f"{SESSION}.jsonl", claude),
    "codex": (f"{ROLLOUT}.jsonl", codex),
    "amplifier": ("trip/transcript.jsonl", amplifier),
}


def brought(dsn: str, folder: Path, tool: str) -> Path:
    """Writes the file of a tool, and imports it for alice."""
    name, lines = FILES[tool]
    path = write(folder / name, lines())
    if tool == "amplifier":
        path.with_name("metadata.json").write_text(ABOUT)
    assert imported(dsn, path, user_id="alice").total("new") == 1
    return path


async def only(client: httpx.AsyncClient) -> str:
    """Returns the id of the session with the highest number of messages."""
    sessions = (await client.get("/sessions")).json()["sessions"]
    return str(max(sessions, key=lambda one: one["messages_total"])["session_id"])


async def unpacked(client: httpx.AsyncClient, session_id: str, tool: str, **query: Any) -> dict[str, bytes]:
    """Returns the files of an export by name."""
    answer = await client.get(f"/sessions/{session_id}/export", params={"format": tool, **query})
    assert answer.status_code == 200, answer.text
    if tool != "amplifier":
        return {answer.headers["content-disposition"].split('filename="')[1].split('"')[0]: answer.content}
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def transcript(client: httpx.AsyncClient, session_id: str, tool: str) -> bytes:
    """Returns the file of an export that has the messages."""
    return next(iter((await unpacked(client, session_id, tool)).values()))


def files_in(folder: Path) -> dict[str, bytes]:
    """Returns the files in a folder by name."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


async def append(client: httpx.AsyncClient, session_id: str, *messages: Any) -> None:
    """Appends messages."""
    answer = await client.post(f"/sessions/{session_id}/transcript", json={"messages": list(messages)})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("tool", FILES)
async def test_imported_session_is_exported_as_it_was(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str
) -> None:
    path = brought(dsn, tmp_path, tool)
    assert await unpacked(alice, await only(alice), tool) == files_in(tmp_path)
    add(path, {"type": "summary", "summary": "New", "leafUuid": "x"})
    assert imported(dsn, path, user_id="alice").total("grown") == 1
    again = await unpacked(alice, await only(alice), tool)
    assert again[str(path.relative_to(tmp_path))] == path.read_bytes()


@pytest.mark.parametrize("tool", FILES)
async def test_new_lines_without_messages_make_another_file(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str
) -> None:
    path = brought(dsn, tmp_path, tool)
    session_id = await only(alice)
    first = await alice.get(f"/sessions/{session_id}/export?format={tool}")
    add(path, b"{}\n")
    imported(dsn, path, user_id="alice")
    known = {"If-None-Match": first.headers["etag"]}
    assert (await alice.get(f"/sessions/{session_id}/export?format={tool}", headers=known)).status_code == 200


@pytest.mark.parametrize("tool", FILES)
async def test_messages_added_here_follow_the_lines(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str
) -> None:
    path = brought(dsn, tmp_path, tool)
    path.write_bytes(path.read_bytes() + b'{"type": "last"}')  # without a line feed
    imported(dsn, path, user_id="alice")
    session_id = await only(alice)
    await append(alice, session_id, MORE, {"role": "assistant", "content": "LX 2"})
    files = await unpacked(alice, session_id, tool)
    name = str(path.relative_to(tmp_path))
    assert files[name].startswith(path.read_bytes() + b"\n")
    added = [json.loads(line) for line in files[name].removeprefix(path.read_bytes()).splitlines() if line]
    assert [text in json.dumps(added) for text in ("And back?", "LX 2", "To Geneva")] == [True, True, False]
    if tool == "claude-code":
        question, answer, title = added
        assert question["parentUuid"] == f"{SESSION}-uuid-0002"
        assert answer["parentUuid"] == question["uuid"]
        assert {question["sessionId"], answer["sessionId"]} == {SESSION}
        assert title["leafUuid"] == answer["uuid"]
    if tool == "amplifier":
        assert json.loads(files["trip/metadata.json"]) == json.loads(ABOUT) | {"turn_count": 2}


async def test_title_given_here_goes_into_the_metadata(alice: httpx.AsyncClient, dsn: str, tmp_path: Path) -> None:
    brought(dsn, tmp_path, "amplifier")
    session_id = await only(alice)
    await alice.patch(f"/sessions/{session_id}", json={"title": "Flight"})
    files = await unpacked(alice, session_id, "amplifier")
    assert json.loads(files["trip/metadata.json"]) == json.loads(ABOUT) | {"name": "Flight"}


async def test_turns_are_counted_for_a_folder_without_metadata(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path
) -> None:
    imported(dsn, write(tmp_path / "trip/transcript.jsonl", amplifier()), user_id="alice")
    session_id = await only(alice)
    await append(alice, session_id, MORE)
    about = json.loads((await unpacked(alice, session_id, "amplifier"))["trip/metadata.json"])
    assert (about["session_id"], about["turn_count"]) == ("trip", 3)


@pytest.mark.parametrize("tool", FILES)
async def test_line_of_a_message_taken_back_is_not_exported(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str
) -> None:
    path = brought(dsn, tmp_path, tool)
    session_id = await only(alice)
    await append(alice, session_id, MORE)
    assert (await alice.post(f"/sessions/{session_id}/transcript/retract", json={"seqs": [2]})).is_success
    content = await transcript(alice, session_id, tool)
    assert (b"secretthought" in content, b"To Geneva?" in content, b"And back?" in content) == (False, True, True)
    assert not content.startswith(path.read_bytes()[:60])


@pytest.mark.parametrize("tool", FILES)
async def test_fork_is_a_session_of_its_own(alice: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str) -> None:
    path = brought(dsn, tmp_path, tool)
    answer = await alice.post(f"/sessions/{await only(alice)}/fork", json={})
    assert answer.status_code == 201, answer.text
    [(name, content)] = list((await unpacked(alice, answer.json()["session_id"], tool)).items())[:1]
    assert name != str(path.relative_to(tmp_path))
    assert (b"To Geneva?" in content, content == path.read_bytes()) == (True, False)


async def test_branch_of_a_file_has_the_messages_before_it(alice: httpx.AsyncClient, dsn: str, tmp_path: Path) -> None:
    made = Claude(SESSION)
    lines = [made.say("one"), made.answer("two"), made.say("three"), made.answer("four")]
    lines += [made.say("five", parent=lines[1]["uuid"]), made.answer("six"), made.say("seven")]
    imported(dsn, write(tmp_path / f"{SESSION}.jsonl", lines), user_id="alice")
    [content] = (await unpacked(alice, await only(alice), "claude-code")).values()
    entries = [json.loads(line) for line in content.splitlines()]
    said = [entry["message"]["content"] for entry in entries if "message" in entry]
    assert [one if isinstance(one, str) else one[0]["text"] for one in said] == ["one", "two", "five", "six", "seven"]
    assert str(uuid.UUID(entries[0]["sessionId"])) != SESSION


async def test_rewritten_file_becomes_another_session(alice: httpx.AsyncClient, dsn: str, tmp_path: Path) -> None:
    path = brought(dsn, tmp_path, "claude-code")
    made = Claude(SESSION)
    write(path, [made.say("Other"), made.answer("one"), made.say("two")])
    assert imported(dsn, path, user_id="alice").total("forked") == 1
    [name] = await unpacked(alice, await only(alice), "claude-code")
    assert name != path.name, "two sessions would have one file"


@pytest.mark.parametrize("tool", FILES)
async def test_viewers_get_no_lines(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, dsn: str, tmp_path: Path, tool: str
) -> None:
    path = brought(dsn, tmp_path, tool)
    session_id = await only(alice)
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    content = await transcript(bob, session_id, tool)
    assert (b"secretthought" in content, b"To Geneva?" in content) == (False, True)
    await alice.patch(f"/sessions/{session_id}/participants/bob", json={"role": "editor"})
    assert await transcript(bob, session_id, tool) == path.read_bytes()
    changed = {"permissions": {"export": False}}
    await alice.patch(f"/sessions/{session_id}/participants/bob", json=changed)
    assert (await bob.get(f"/sessions/{session_id}/export?format={tool}")).status_code == 403


async def test_message_added_before_lines_stays_in_its_place(
    alice: httpx.AsyncClient, dsn: str, tmp_path: Path
) -> None:
    path = brought(dsn, tmp_path, "amplifier")
    session_id = await only(alice)
    await append(alice, session_id, MORE)
    add(path, {"role": "user", "content": "Thanks"})
    imported(dsn, path, user_id="alice")
    content = (await unpacked(alice, session_id, "amplifier"))["trip/transcript.jsonl"]
    said = [json.loads(line)["content"] for line in content.splitlines()]
    assert said[-2:] == ["And back?", "Thanks"]


async def test_part_of_a_session_is_made_anew(alice: httpx.AsyncClient, dsn: str, tmp_path: Path) -> None:
    path = brought(dsn, tmp_path, "amplifier")
    content = (await unpacked(alice, await only(alice), "amplifier", after=1))["trip/transcript.jsonl"]
    assert (b"To Geneva?" in content, b"LX 1" in content, content == path.read_bytes()) == (False, True, False)


async def test_other_formats_have_messages_only(alice: httpx.AsyncClient, dsn: str, tmp_path: Path) -> None:
    brought(dsn, tmp_path, "claude-code")
    [content] = (await unpacked(alice, await only(alice), "codex")).values()
    assert (b"file-history-snapshot" in content, b"To Geneva?" in content) == (False, True)


@pytest.fixture
def long(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a session whose lines are in several rows, of which each page has one."""
    monkeypatch.setattr(store, "_PER_ROW", 7)
    monkeypatch.setattr(exports, "_LINE_ROWS", 1)
    made = Claude(SESSION)
    path = write(tmp_path / f"{SESSION}.jsonl", [made.say(f"number {n}") for n in range(40)])
    imported(dsn, path, user_id="alice")
    return path


async def test_pages_of_lines_make_one_file(alice: httpx.AsyncClient, long: Path) -> None:
    session_id = await only(alice)
    assert await unpacked(alice, session_id, "claude-code") == files_in(long.parent)


async def test_file_whose_lines_were_taken_back_meanwhile_is_not_completed(
    api: Api, alice: httpx.AsyncClient, long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id, copy, waiting = await only(alice), exports.Document.copy, exports.patient_turn
    seen: list[Any] = []

    def copied(self: Any, lines: Any) -> bytes:
        seen.append(lines)
        return copy(self, lines)

    async def act() -> None:
        assert (await alice.post(f"/sessions/{session_id}/transcript/retract", json={"last": 1})).is_success

    monkeypatch.setattr(exports.Document, "copy", copied)
    monkeypatch.setattr(
        exports, "patient_turn", lambda *given: _After(act if len(seen) == 2 else None, waiting(*given))
    )
    transport = httpx.ASGITransport(app=api.app)  # type: ignore[arg-type]
    strict = httpx.AsyncClient(transport=transport, base_url="http://test", headers=alice.headers)
    with pytest.raises(LitestarException) as raised:  # the server aborts the connection for it
        await unpacked(strict, session_id, "claude-code")
    assert isinstance(raised.value.__cause__, Problem)
    assert raised.value.__cause__.detail == "The transcript changed meanwhile: try again"


class _After:
    """A turn that begins after something else has happened."""

    def __init__(self, act: Any, turn: Any) -> None:
        self._act, self._turn = act, turn

    async def __aenter__(self) -> None:
        if self._act is not None:
            await self._act()
        await self._turn.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        await self._turn.__aexit__(*error)
