"""Exports over HTTP: every format as a download, bounded memory, and what changes while a file is made."""

import io
import json
import zipfile
from typing import Any

import httpx
import pytest
from litestar.exceptions import LitestarException

from amplifier.api import exports
from amplifier.errors import Problem
from amplifier.exports.formats import FORMATS
from tests.conftest import Api, assert_problem

TYPES = {
    "jsonl": "application/x-ndjson",
    "openai": "application/json",
    "anthropic": "application/json",
    "claude-code": "application/x-ndjson",
    "codex": "application/x-ndjson",
    "amplifier": "application/zip",
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
}
THOUGHT = {"type": "thinking", "thinking": "secretthought"}
SAID = [
    {"role": "user", "content": "To Geneva?"},
    {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "LX 1"}]},
]


async def append(client: httpx.AsyncClient, session_id: str, *messages: Any) -> None:
    """Appends messages."""
    answer = await client.post(f"/sessions/{session_id}/transcript", json={"messages": list(messages)})
    assert answer.status_code == 201, answer.text


async def export(client: httpx.AsyncClient, session_id: str, **query: Any) -> httpx.Response:
    """Returns an export."""
    return await client.get(f"/sessions/{session_id}/export", params=query)


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_is_a_download(alice: httpx.AsyncClient, session_id: str, name: str) -> None:
    await append(alice, session_id, *SAID)
    await alice.patch(f"/sessions/{session_id}", json={"title": 'Genève/\u202e"10" €'})
    answer = await export(alice, session_id, format=name)
    assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[name])
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    if name not in ("claude-code", "codex"):
        assert "filename*=UTF-8''Gen%C3%A8ve%2010%20%E2%82%AC." in disposition.replace("%20%20", "%20")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    if name == "amplifier":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == [f"{session_id}/transcript.jsonl", f"{session_id}/metadata.json"]
            assert archive.testzip() is None
            [first, _] = archive.read(archive.namelist()[0]).splitlines()
        assert json.loads(first) == SAID[0]
    else:
        assert "LX 1" in answer.text
    path, known = f"/sessions/{session_id}/export?format={name}", {"If-None-Match": answer.headers["etag"]}
    again = await alice.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", FORMATS)
async def test_viewers_get_no_thoughts(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, name: str
) -> None:
    await append(alice, session_id, *SAID)
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    whole, said = [await export(client, session_id, format=name) for client in (alice, bob)]
    assert (whole.status_code, said.status_code) == (200, 200)
    texts = []
    for answer in (whole, said):
        content = answer.content
        if name == "amplifier":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
        texts.append(content)
    assert b"secretthought" not in texts[1]
    # Anthropic refuses thoughts without a signature
    assert (b"secretthought" in texts[0]) == (name not in ("anthropic", "claude-code"))
    assert whole.headers["etag"] != said.headers["etag"]


async def test_lines_are_the_entries_of_reads(alice: httpx.AsyncClient, session_id: str) -> None:
    odd = {"role": "user", "content": "NUL \x00, U+2028 \u2028, half \ud83d", "n": 1.50}
    text = json.dumps({"messages": [odd, *SAID], "keys": ["k", None, None]})
    await alice.post(f"/sessions/{session_id}/transcript", content=text, headers={"Content-Type": "application/json"})
    page = (await alice.get(f"/sessions/{session_id}/transcript")).json()["messages"]
    lines = (await export(alice, session_id)).content.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == page


@pytest.mark.parametrize("name", ["jsonl", "openai", "html"])
async def test_pages_make_one_file(
    alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await append(alice, session_id, *({"role": "user", "content": f"number {n}"} for n in range(25)))
    whole = await export(alice, session_id, format=name)
    monkeypatch.setattr(exports, "_PAGE", 3)
    assert (await export(alice, session_id, format=name)).content == whole.content
    assert "number 24" in whole.text


async def test_range_and_time_leave_messages_out(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, *SAID)
    entries = (await alice.get(f"/sessions/{session_id}/transcript")).json()["messages"]
    await append(alice, session_id, {"role": "user", "content": "later"})
    early = await export(alice, session_id, as_of=entries[0]["created_at"])
    assert [json.loads(line)["seq"] for line in early.text.splitlines()] == [1, 2]
    late = await export(alice, session_id, after=2)
    assert [json.loads(line)["message"]["content"] for line in late.text.splitlines()] == ["later"]


async def test_head_says_what_get_would(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, *SAID)
    path = f"/sessions/{session_id}/export?format=html"
    got, head = await alice.get(path), await alice.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-disposition", "etag"):
        assert head.headers[name] == got.headers[name], name


async def test_strangers_and_unknown_formats_are_refused(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    assert_problem(await export(bob, session_id), 404, "Session not found")
    assert_problem(await export(alice, session_id, format="docx"), 422)
    assert_problem(await export(alice, session_id, after=-1), 422)


async def test_empty_session_is_a_file(alice: httpx.AsyncClient, session_id: str) -> None:
    for name in FORMATS:
        assert (await export(alice, session_id, format=name)).status_code == 200, name


async def test_message_added_meanwhile_is_left_out(
    alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(alice, session_id, *({"role": "user", "content": f"number {n}"} for n in range(6)))
    answer = await _meanwhile(
        alice, session_id, monkeypatch, lambda: append(alice, session_id, {"role": "user", "content": "late"})
    )
    assert [json.loads(line)["seq"] for line in answer.text.splitlines()] == [1, 2, 3, 4, 5, 6]


async def test_file_from_which_messages_were_taken_back_is_not_completed(
    api: Api, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(alice, session_id, *({"role": "user", "content": f"number {n}"} for n in range(6)))

    async def take_back() -> None:
        assert (await alice.post(f"/sessions/{session_id}/transcript/retract", json={"last": 2})).is_success

    transport = httpx.ASGITransport(app=api.app)  # type: ignore[arg-type]
    strict = httpx.AsyncClient(transport=transport, base_url="http://test", headers=alice.headers)
    with pytest.raises(LitestarException) as raised:  # the server aborts the connection for it
        await _meanwhile(strict, session_id, monkeypatch, take_back)
    assert isinstance(raised.value.__cause__, Problem)
    assert raised.value.__cause__.detail == "The transcript changed meanwhile: try again"


async def _meanwhile(client: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch, act: Any) -> Any:
    """Returns an export of pages of two messages; `act` happens after the first page."""
    monkeypatch.setattr(exports, "_PAGE", 2)
    original, seen = exports.Document.add, []

    def add(self: Any, lines: Any) -> bytes:
        seen.append(lines)
        return original(self, lines)

    monkeypatch.setattr(exports.Document, "add", add)
    waiting = exports.patient_turn

    def turn(*arguments: Any) -> Any:
        return _After(act if len(seen) == 1 else None, waiting(*arguments))

    monkeypatch.setattr(exports, "patient_turn", turn)
    answer = await export(client, session_id)
    assert len(seen) > 1
    return answer


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


async def test_ten_people_take_turns(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    turns = api.app.state.turns["export"]
    await append(alice, session_id, *SAID)
    await turns.take("somebody")
    await turns.take("somebody else")
    assert (await alice.get(f"/sessions/{session_id}")).status_code == 200
    turns.give_back("somebody")
    assert (await export(alice, session_id)).status_code == 200
    turns.give_back("somebody else")
