"""Search over sessions about code: identifiers, paths, error lines and commands, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.api.test_search import add, search, seqs
from tests.conftest import Api

SAID = {
    "path": "Please look at src/api/userService.ts, it is wrong.",
    "snake": "The function get_user_by_id is slow.",
    "camel": "Then getUserById(7) is called.",
    "number": "HTTPServer2 is started by XMLHttpRequest.",
    "error": "TypeError: undefined is not a function (reading 'map')",
    "command": "npm run build -- --watch",
    "commit": 'git commit --no-verify -m "fix the build"',
    "prose": "It waits for APIs, and the type of the error is undefined.",
}
FOUND = {
    "userService": "path",
    "userservice": "path",
    "userservice.ts": "path",
    "src/api": "path",
    "api/userService.ts": "path",
    "user service": "path",
    '"user service"': "path",
    "user_service": "path",
    "service src": "path",
    "servic*": "path",
    "user id": "snake camel",
    "get user": "snake camel",
    "get_user_by_id": "snake camel",
    "getUserById": "camel",
    "getuserbyid": "camel",
    "HTTPServer2": "number",
    "http server": "number",
    "server2": "number",
    "http request": "number",
    '"TypeError: undefined"': "error",
    "TypeError: undefined is not a function (reading 'map')": "error",
    "npm run build -- --watch": "command",
    "--watch": "command",
    "--no-verify": "commit",
    "git commit -m": "commit",
    'git commit -m "fix the build"': "commit",
    "git commit -npm": "commit",
    "wrong -service": "",
    "AP": "",
}


@pytest.fixture
async def said(alice: httpx.AsyncClient, session_id: str) -> str:
    await add(alice, session_id, *SAID.values())
    return session_id


async def test_identifiers_paths_errors_and_commands_are_found(alice: httpx.AsyncClient, said: str) -> None:
    names = [None, *SAID]
    for typed, expected in FOUND.items():
        found = sorted(names.index(name) for name in expected.split())
        assert sorted(seq or 0 for seq in await seqs(alice, typed)) == found, typed


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        ("user service", "src/api/<mark>userService</mark>.ts"),
        ("userservice", "src/api/<mark>userService</mark>.ts"),
        ("id called", "getUserById(7) is <mark>called</mark>"),
        ("user id", "get<mark>User</mark>By<mark>Id</mark>"),
        ("http", "<mark>HTTP</mark>Server2"),
    ],
)
async def test_headline_marks_parts_of_identifiers(
    alice: httpx.AsyncClient, said: str, typed: str, marked: str
) -> None:
    headlines = [hit["headline"] for hit in (await search(alice, typed))["items"]]
    assert any(marked in headline for headline in headlines), headlines


async def test_title_is_found_by_parts_of_identifiers(alice: httpx.AsyncClient, said: str) -> None:
    await alice.patch(f"/sessions/{said}", json={"title": "Rename orderHandler"})
    assert await seqs(alice, "order handler") == [None]
    assert (await alice.get("/sessions", params={"q": "order handler"})).json()["total"] == 1


async def test_what_was_said_ranks_before_calls_and_output(alice: httpx.AsyncClient, session_id: str) -> None:
    call = {"id": "1", "name": "read", "arguments": '{"path": "src/userService.ts"}'}
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "See src/userService.ts"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "See src/userService.ts"},
    ]
    await add(alice, session_id, *messages)
    for typed in ("userService", "user service", "src/userService.ts", "userservice.ts"):
        assert await seqs(alice, typed) == [1, 2, 3], typed


async def test_parts_of_thoughts_are_found_by_writers_only(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    thought = {"type": "thinking", "thinking": "orderHandler is wrong"}
    await add(alice, session_id, {"role": "assistant", "content": [thought, {"type": "text", "text": "userService"}]})
    bob, eve = await api.as_user("bob"), await api.as_user("eve")
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    for typed, readers in (("order handler", [alice]), ("user service", [alice, bob])):
        for reader in (alice, bob, eve):
            assert await seqs(reader, typed) == ([1] if reader in readers else []), typed
