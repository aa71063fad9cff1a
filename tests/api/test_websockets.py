"""The same events over WebSocket, and what clients say there."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from amplifier.api import websockets
from tests.api.test_hints import hint, told
from tests.api.test_streams import add, share
from tests.conftest import settings_for
from tests.support.live import Live, live, origin_of

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network, for the pages of one origin."""
    async with live(settings_for(dsn, allowed_origins="https://app.example")) as api:
        yield api


async def refused(api: Live, client: httpx.AsyncClient, path: str, **options: Any) -> tuple[int, str]:
    """Status and detail of a handshake that does not succeed."""
    with pytest.raises(InvalidStatus) as caught:
        async with api.socket(client, path, **options):
            pass
    response = caught.value.response
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.body or b"")
    assert problem["status"] == response.status_code
    return response.status_code, problem["detail"]


async def test_socket_carries_what_a_stream_does(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "one")
    path = f"/sessions/{session_id}"
    async with api.socket(alice, f"{path}/ws?after=0") as socket, api.stream(alice, f"{path}/events?after=0") as stream:
        assert (await socket.next()).id == 1
        await add(alice, session_id, "two\u2028\u0085")
        await share(alice, session_id, "bob")
        await alice.patch(path, json={"title": "new"})
        await stream.next()
        for _ in range(3):
            assert await socket.next() == await stream.next()
    async with api.socket(alice, f"{path}/ws") as socket:
        await add(alice, session_id, "five")
        assert (await socket.next()).id == 5


async def test_hints_come_over_a_socket_too(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    async with api.socket(alice, "/ws") as socket:
        await add(alice, session_id, "one")
        await told(socket, hint(session_id, 1, "message.created"))
        await socket.say(type="typing")
        assert (await socket.next("error")).data["detail"] == "Nothing is understood here"


async def test_typing_is_passed_on_and_never_replayed(
    api: Live, dsn: str, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob", "editor")
    path = f"/sessions/{session_id}"
    async with live(settings_for(dsn)) as second:
        second.keys = api.keys
        there = await second.as_user("alice")
        async with (
            api.socket(bob, f"{path}/ws") as socket,
            api.stream(alice, f"{path}/events") as near,
            second.stream(there, f"{path}/events") as far,
        ):
            for _ in range(3):
                await socket.say(type="typing")
            for stream in (near, far):
                assert await stream.next("typing") == (None, "typing", {"user_id": "bob"})
            await add(bob, session_id, "written")
            for stream in (near, far):
                assert await stream.next("typing", "message.created") != (None, "typing", {"user_id": "bob"}), "once"
        async with api.stream(alice, f"{path}/events?after=0") as stream:
            assert [(await stream.next("typing", "message.created", "participant.added")).type for _ in range(2)] == [  # type: ignore[union-attr]
                "participant.added",
                "message.created",
            ]


async def test_viewer_cannot_send_typing(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob", "viewer")
    async with api.socket(bob, f"/sessions/{session_id}/ws") as socket:
        await socket.say(type="typing")
        error = await socket.next()
        assert (error.type, error.data["status"]) == ("error", 403)


async def test_marker_moves_and_is_told(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob")
    await add(alice, session_id, "one", "two", "three")
    path = f"/sessions/{session_id}"
    async with api.socket(bob, f"{path}/ws") as socket, api.stream(alice, f"{path}/events") as stream:
        for seq, marker in ((3, 3), (2, 3), (4, 4)):
            await socket.say(type="read", seq=seq)
            assert await stream.next("read") == (None, "read", {"user_id": "bob", "last_read_seq": marker})
        await socket.say(type="read", seq=5)
        error = await socket.next()
        assert (error.type, error.data["detail"]) == ("error", "seq: is beyond the session's last_seq")
    assert (await bob.get("/sessions")).json()["sessions"][0]["last_read_seq"] == 4


NONSENSE: list[Any] = [
    "",
    "x",
    "{",
    "[]",
    "1",
    "null",
    "{}",
    '{"type": "unknown"}',
    '{"type": 1}',
    '{"type": "read"}',
    '{"type": "read", "seq": "1"}',
    '{"type": "read", "seq": -1}',
    '{"type": "read", "seq": 9223372036854775808}',
    '{"type": "read", "seq": 1e400}',
    '{"type": "read", "seq": 1.5}',
    '{"type": "\x00"}',
    "[" * 4000,
    '{"type": "typing", "x": "' + "x" * 4096 + '"}',
    "é" * 2049,
    "x" * 60_000,
    b'{"type": "typing"}',
    b"\xff\x00",
]


async def test_nonsense_gets_an_error_and_the_third_ends_it(
    api: Live, alice: httpx.AsyncClient, session_id: str
) -> None:
    for first in range(0, len(NONSENSE), 3):
        async with api.socket(alice, f"/sessions/{session_id}/ws") as socket:
            await socket.say(type="read", seq=0)
            said = [*NONSENSE[first : first + 3], "x", "y"][:3]
            for message in said:
                await socket.connection.send(message)
                error = await socket.next()
                assert (error.id, error.type) == (None, "error")
                assert error.data["status"] == (413 if len(message) > 4096 or message == NONSENSE[18] else 422), message
            with pytest.raises(ConnectionClosed) as closed:
                await socket.next()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


async def test_errors_of_the_service_are_not_the_clients(
    api: Live, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("a secret")

    async with api.socket(alice, f"/sessions/{session_id}/ws") as socket:
        monkeypatch.setattr(websockets, "mark_read", fail)
        for _ in range(5):
            await socket.say(type="read", seq=0)
            error = await socket.next()
            assert (error.data["status"], "secret" in str(error.data)) == (500, False)
        monkeypatch.undo()
        await add(alice, session_id, "one")
        assert (await socket.next()).id == 1


async def test_strangers_and_bad_cursors_are_refused(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    path = f"/sessions/{session_id}/ws"
    assert await refused(api, bob, path) == (404, "Session not found")
    assert await refused(api, bob, "/sessions/absent/ws?after=0") == (404, "Session not found")
    assert await refused(api, api.client(), path) == (401, "Missing X-API-Key header")
    assert (await refused(api, alice, f"{path}?ticket=x"))[0] == 401
    for query in (
        "after=",
        "after=x",
        "after=-1",
        f"after={2**63}",
        "after=1",
        "after=1.5",
        "after=%00",
        f"after={'9' * 5000}",
    ):
        assert (await refused(api, alice, f"{path}?{query}"))[0] == 422, query


async def test_ticket_opens_a_socket(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    for path, ticket_path in ((f"/sessions/{session_id}/ws", f"/sessions/{session_id}/events"), ("/ws", "/events")):
        ticket = (await alice.post(f"{ticket_path}/ticket")).json()["ticket"]
        async with api.socket(api.client(), f"{path}?ticket={ticket}") as socket:
            await add(alice, session_id, "one")
            assert (await socket.next()).type in ("message.created", "hint")
        assert (await refused(api, api.client(), f"{path}?ticket={ticket}"))[0] == 401


async def test_pages_of_other_origins_are_refused(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    path, own = f"/sessions/{session_id}/ws", origin_of(api.url)
    for origin in (f"http://{own}", "https://app.example"):
        async with api.socket(alice, path, origin=origin):
            pass
    for origin in ("https://evil.example", "https://app.example.evil", "null", f"http://{own}.evil", "http://["):
        assert (await refused(api, alice, path, origin=origin))[0] == 403, origin
