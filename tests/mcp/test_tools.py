"""The tools and resources of MCP, used by a client of the package `mcp`."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from amplifier.mcp import transcript_pages
from tests.conftest import Api, serving, settings_for
from tests.support.mcp import LATEST, called, connected, refused, resource

CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "book", "input": {"seat": 4}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "booked"}]}
THOUGHT = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes"}]}

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("search", {"query": "a", "limit": 51}, "Expected `int` <= 50 - at `$.limit`"),
    ("search", {"q": "a"}, "Unknown field 'q': known are query, session_id"),
    ("search", {}, "Object missing required field `query`"),
    ("search", {"query": "a", "cursor": "x"}, "cursor: not of this search"),
    ("search", {"query": "a", "created_after": "soon"}, "created_after: must be a time like"),
    ("list_sessions", {"cursor": "x"}, "cursor: not a cursor of this list"),
    ("list_sessions", {"tag": ["a"]}, "tag: must be of the form key:value, not 'a'"),
    ("append_note", {"session_id": "s", "text": "a\0"}, "text: contains a NUL character"),
    ("append_note", {"session_id": "s", "text": "a", "name": "a b"}, "Expected `str` matching regex"),
]


@pytest.fixture
async def client(api: Api) -> AsyncIterator[Client]:
    """A client of alice."""
    async with connected(api, "alice") as client:
        yield client


async def add(client: httpx.AsyncClient, session_id: str, *messages: Any) -> None:
    bodies = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
    assert (await client.post(f"/sessions/{session_id}/transcript", json={"messages": bodies})).status_code == 201


@pytest.mark.parametrize("mode", [LATEST, "legacy"])
async def test_search_returns_snippets_and_their_place(
    api: Api, alice: httpx.AsyncClient, session_id: str, mode: str
) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "A trip"})
    await add(alice, session_id, "We fly to Geneva <b>", "Nothing", "Geneva again")
    async with connected(api, "alice", mode) as client:
        result = await client.call_tool("search", {"query": "geneva", "sort": "recent", "limit": 1})
        assert isinstance(result, CallToolResult)
        page: Any = result.structured_content
        [content] = result.content
        assert isinstance(content, TextContent)
        assert json.loads(content.text) == page
        rest = await called(client, "search", query="geneva", sort="recent", limit=1, cursor=page["next"])
    [hit] = rest["items"]
    assert hit.pop("created_at").endswith("Z")
    assert hit == {
        "session_id": session_id,
        "title": "A trip",
        "seq": 2,
        "role": "user",
        "author_user_id": "alice",
        "snippet": "We fly to **Geneva** <b>",
    }
    assert [one["seq"] for one in page["items"]] == [4]
    assert rest["next"] is None


async def test_search_filters_and_finds_titles(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "Geneva", "tags": {"team": "a"}})
    await add(alice, session_id, {"role": "assistant", "content": "To Geneva"})
    said = await called(client, "search", query="geneva", role="assistant", tag=["team:a"], session_id=session_id)
    titled = await called(client, "search", query="geneva", created_before="2999-01-01T00:00Z")
    assert [{hit["seq"] for hit in found["items"]} for found in (said, titled)] == [{2}, {2, None}]
    assert (await called(client, "search", query="geneva", author="bob"))["items"] == []
    assert "There is nothing to search for" in (await called(client, "search", query="..."))["notice"]


async def test_sessions_are_listed_in_pages(alice: httpx.AsyncClient, config_id: str, client: Client) -> None:
    body = {"config_id": config_id, "title": "A trip", "tags": {"team": "a"}}
    ids = [(await alice.post("/sessions", json=body)).json()["session_id"] for _ in range(3)]
    await alice.patch(f"/sessions/{ids[0]}", json={"status": "completed"})
    page = await called(client, "list_sessions", limit=2)
    rest = await called(client, "list_sessions", limit=2, cursor=page["next"])
    assert [one["session_id"] for one in page["items"] + rest["items"]] == [ids[0], ids[2], ids[1]]
    one = page["items"][0]
    assert (one["title"], one["status"], one["role"], one["tags"]) == ("A trip", "completed", "owner", {"team": "a"})
    active = await called(client, "list_sessions", status="active", tag=["team:a"])
    assert len(active["items"]) == 2
    assert await called(client, "list_sessions", updated_before="2001-01-01T00:00Z") == {"items": [], "next": None}


async def test_transcript_is_read_as_text(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await add(alice, session_id, "Book it", CALL, RESULT, THOUGHT)
    page = await called(client, "read_transcript", session_id=session_id)
    assert [(one["seq"], one["role"], one["text"]) for one in page["messages"]] == [
        (1, "user", "Book it"),
        (2, "assistant", '[calls book {"seat":4}]'),
        (3, "tool", "[result] booked"),
        (4, "assistant", "Yes"),
    ]
    assert (page["last_seq"], page["next"], page["notice"]) == (4, None, None)


async def test_transcript_is_read_from_both_ends(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await add(alice, session_id, *map(str, range(1, 6)))
    page = await called(client, "read_transcript", session_id=session_id, after=1, limit=2)
    last = await called(client, "read_transcript", session_id=session_id, last=2)
    assert [[one["seq"] for one in found["messages"]] for found in (page, last)] == [[2, 3], [4, 5]]
    assert (page["next"], last["next"]) == (3, None)
    refusal = await refused(client, "read_transcript", session_id=session_id, after=1, last=2)
    assert refusal == "last: give either last or after"


async def test_page_ends_before_it_is_too_long(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await add(alice, session_id, "a" * 600, "b" * 600, "c" * 5000)
    page = await called(client, "read_transcript", session_id=session_id, max_characters=1000)
    assert ([one["seq"] for one in page["messages"]], page["next"]) == ([1], 1)
    cut = await called(client, "read_transcript", session_id=session_id, after=2, max_characters=1000)
    assert cut["messages"][0]["text"] == "c" * 1000 + "…"
    assert cut["notice"].startswith("Message 3 is cut: repeat the call with after=2, limit=1")
    last = await called(client, "read_transcript", session_id=session_id, last=2, max_characters=5500)
    assert [one["seq"] for one in last["messages"]] == [3]
    assert last["notice"].startswith("Older messages did not fit")


async def test_large_message_is_named_by_its_size(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await add(alice, session_id, "a" * (1024 * 1024 + 1))
    page = await called(client, "read_transcript", session_id=session_id)
    assert page["messages"][0]["text"].startswith("[a message of 1,048,6")


async def test_note_is_no_turn_of_a_user(api: Api, alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    with api.app.state.hub.watched(session_id) as changed:
        changed.clear()
        noted = await called(client, "append_note", session_id=session_id, text="Use UTC", name="claude-code")
        assert changed.is_set(), "followers are woken"
    assert noted == {"session_id": session_id, "seq": 1}
    transcript = (await alice.get(f"/sessions/{session_id}/transcript")).json()["messages"]
    assert transcript[0]["message"] == {"role": "assistant", "name": "claude-code", "content": "Use UTC"}
    assert (transcript[0]["author_user_id"], transcript[0]["author_app_id"]) == ("alice", "app")
    session = (await alice.get(f"/sessions/{session_id}")).json()
    assert (session["message_count"], session["messages_total"]) == (0, 1)


async def test_note_is_redacted(dsn: str) -> None:
    async with serving(settings_for(dsn, redact="emails")) as api, connected(api, "alice") as client:
        alice = await api.as_user("alice")
        body = {"name": "n", "config_data": {"bundle": {"name": "b"}}}
        config_id = (await alice.post("/configs", json=body)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        await called(client, "append_note", session_id=session_id, text="ask ada@example.org")
        page = await called(client, "read_transcript", session_id=session_id)
    assert page["messages"][0]["text"] == "ask [redacted: email]"


async def test_rights_are_those_of_the_caller(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "Geneva")
    note = {"session_id": session_id, "text": "Hello"}
    async with connected(api, "bob") as bob:
        for tool in ("read_transcript", "append_note"):
            arguments = note if tool == "append_note" else {"session_id": session_id}
            assert await refused(bob, tool, **arguments) == "Session not found"
        assert await refused(bob, "search", query="Geneva", session_id=session_id) == "Session not found"
        assert (await called(bob, "search", query="Geneva"))["items"] == []
        assert (await called(bob, "list_sessions"))["items"] == []
        with pytest.raises(MCPError, match="Session not found"):
            await bob.read_resource(f"session://{session_id}")
        await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
        assert len((await called(bob, "search", query="Geneva"))["items"]) == 1
        assert (await refused(bob, "append_note", **note)).startswith("Only owners, editors and whoever")
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    async with connected(api, "alice") as client:
        assert await refused(client, "append_note", **note) == "The session is completed: resume it before you append"


async def test_wrong_arguments_are_named(client: Client) -> None:
    for tool, arguments, text in WRONG:
        assert (await refused(client, tool, **arguments)).startswith(text)


async def test_sessions_are_resources(alice: httpx.AsyncClient, session_id: str, client: Client) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "A trip"})
    await add(alice, session_id, "We fly", {"role": "assistant", "name": "planner", "content": "To Geneva"})
    [listed] = (await client.list_resources()).resources
    assert (listed.uri, listed.name, listed.mime_type) == (f"session://{session_id}", "A trip", "text/markdown")
    [template] = (await client.list_resource_templates()).resource_templates
    assert template.uri_template == "session://{session_id}"
    lines = (await resource(client, listed.uri)).splitlines()
    assert lines[0] == "# A trip"
    assert lines[2].startswith("## 2 · user · alice · 20")
    assert lines[6].startswith("## 3 · assistant · alice · planner · 20")
    assert (lines[4], lines[8]) == ("We fly", "To Geneva")
    with pytest.raises(MCPError, match="addresses have the form session://SESSION_ID"):
        await client.read_resource("file:///etc/passwd")


async def test_resource_has_the_newest_messages(
    monkeypatch: pytest.MonkeyPatch, alice: httpx.AsyncClient, session_id: str, client: Client
) -> None:
    monkeypatch.setattr(transcript_pages, "_RESOURCE_CHARACTERS", 1000)
    await add(alice, session_id, "a" * 900, "b" * 900)
    text = await resource(client, f"session://{session_id}")
    assert "*Message 2 and later ones; the tool read_transcript reads earlier ones.*" in text
    assert "aaa" not in text
