"""Messages of WebSocket clients are counted and bounded, and read markers are written a few at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from amplifier.live import presence
from amplifier.web import websocket_limits
from tests.api.test_streams import add, share
from tests.conftest import settings_for
from tests.support.live import Live, Socket, live, until

Sql = Callable[..., list[Any]]
TYPING = b'\x81\x91\0\0\0\0{"type":"typing"}'  # a frame as a client sends it, masked with zeros
PART = b"\x01\x80\0\0\0\0"  # the first part of a message, empty
EMPTY_PART = b"\x00\x80\0\0\0\0"
PONG = b"\x8a\x80\0\0\0\0"
PING = b"\x89\x80\0\0\0\0"


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


@pytest.fixture
async def limited(dsn: str) -> AsyncIterator[Live]:
    """The same with a rate limit."""
    async with live(settings_for(dsn, rate_limit_requests_per_minute=10)) as api:
        yield api


def written(api: Live) -> int:
    """Returns the number of read markers that were written."""
    return int(api.app.state.queries.participants.read.usage.calls)


async def session_of(api: Live, *viewers: str) -> tuple[str, httpx.AsyncClient]:
    """A session with ten messages, and its owner, who made it through an application without a limit."""
    alice = await api.as_user("alice", "free")
    await api.app.state.queries.applications.update(
        app_id="free",
        app_name="free",
        settings=b'{"rate_limit_requests_per_minute": 0}',
        is_active=True,
        key_managers=[],
        act_as=False,
    )
    config = {"name": "assistant", "config_data": {"bundle": {"name": "assistant"}}}
    config_id = (await alice.post("/configs", json=config)).json()["config_id"]
    session_id = str((await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"])
    for viewer in viewers:
        await share(alice, session_id, viewer, "editor")
    await add(alice, session_id, *map(str, range(10)))
    return session_id, alice


async def test_read_markers_are_written_a_few_at_a_time_and_the_last_wins(
    api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await add(alice, session_id, *map(str, range(900)))
    path, started = f"/sessions/{session_id}/ws", time.monotonic()
    async with api.socket(alice, path) as one, api.socket(alice, path) as two:
        for seq in range(1, 900, 2):
            await one.say(type="read", seq=seq)
            await two.say(type="read", seq=seq + 1)
        await until(lambda: sql("select last_read_seq from session_participants") == [(900,)])
    assert written(api) <= 2 + 4 * (time.monotonic() - started)


async def test_markers_that_wait_are_written_when_the_service_stops(dsn: str, sql: Sql) -> None:
    async with live(settings_for(dsn)) as api:
        session_id, alice = await session_of(api)
        async with api.socket(alice, f"/sessions/{session_id}/ws") as socket:
            for seq in range(1, 11):
                await socket.say(type="read", seq=seq)
            await until(lambda: written(api) > 0)
    assert sql("select last_read_seq from session_participants") == [(10,)]


async def test_read_frames_count_as_requests(limited: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_limits, "_WRITE_PAUSE", 0)
    session_id, _ = await session_of(limited, "bob")
    bob = await limited.as_user("bob")
    async with limited.socket(bob, f"/sessions/{session_id}/ws") as socket:
        answers = []
        for seq in range(30):
            await socket.say(type="read", seq=seq % 10)
            answers.append(await socket.next("read", "error"))
        refused = [answer.data for answer in answers if answer.type == "error"]
        assert (len(refused), {answer["status"] for answer in refused}) == (21, {429})
        assert refused[0]["detail"].startswith("You have made 10 requests in a minute")
        assert written(limited) == 9, "and one is the handshake"


async def test_typing_counts_where_it_is_passed_on(limited: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id, alice = await session_of(limited, "bob")
    bob, path = await limited.as_user("bob"), f"/sessions/{session_id}"
    async with (
        limited.stream(alice, f"{path}/events") as stream,
        limited.socket(bob, f"{path}/ws") as one,
        limited.socket(bob, f"{path}/ws") as two,
    ):
        for _ in range(50):
            await one.say(type="typing")
            await two.say(type="typing")
        assert await stream.next("typing") == (None, "typing", {"user_id": "bob"})
        await one.say(type="read", seq=3)
        await two.say(type="read", seq=3)
        assert (await stream.next("typing", "read", "error")).type == "read", "once, whatever the socket"  # type: ignore[union-attr]
        monkeypatch.setattr(websocket_limits, "_TYPING_PAUSE", 0.0)
        for _ in range(10):
            await one.say(type="typing")
        assert (await one.next("error")).data["status"] == 429


async def test_tickets_carry_the_limit_of_their_application(api: Live) -> None:
    session_id, _ = await session_of(api, "bob")
    bob = await api.as_user("bob", "slow")
    await api.app.state.queries.applications.update(
        app_id="slow",
        app_name="slow",
        settings=b'{"rate_limit_requests_per_minute": 4}',
        is_active=True,
        key_managers=[],
        act_as=False,
    )
    await until(lambda: not api.app.state.authenticator.remembered)
    ticket = (await bob.post(f"/sessions/{session_id}/events/ticket")).json()["ticket"]
    async with api.socket(api.client(), f"/sessions/{session_id}/ws?ticket={ticket}") as socket:
        for seq in range(1, 6):
            await socket.say(type="read", seq=seq)
            answer = await socket.next("read", "error")
    assert answer.data["status"] == 429


async def ended(socket: Socket) -> int | None:
    """Returns the code with which the service closes, or None where it aborts."""
    with pytest.raises(ConnectionClosed) as closed:
        await socket.next("nothing")
    return None if closed.value.rcvd is None else closed.value.rcvd.code


@pytest.mark.parametrize("flood", [TYPING * 30_000, PING * 1000, PONG * 1000, PART + EMPTY_PART * 100_000])
async def test_floods_are_cut_off(api: Live, alice: httpx.AsyncClient, session_id: str, flood: bytes) -> None:
    path = f"/sessions/{session_id}/ws"
    async with api.socket(alice, path) as other, api.socket(alice, path) as socket:
        socket.connection.transport.write(flood)
        assert await ended(socket) is None
        await add(alice, session_id, "one")
        assert (await other.next()).id == 1


async def test_messages_that_are_too_large_close_a_socket(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    async with api.socket(alice, f"/sessions/{session_id}/ws") as socket:
        await socket.connection.send("x" * 100_000)
        assert await ended(socket) == 1009


async def test_user_who_says_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.25)
    said = websocket_limits.Saying()
    for _ in range(websocket_limits.MOST_MESSAGES + 2):
        await said.pace("alice")
    await said.pace("bob")
    assert waited == [0.75, 0.75]


async def test_presence_is_shown_a_few_times_a_second(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await share(alice, session_id, "bob")
    shown, show = [0], presence._frame

    def counted(*arguments: Any) -> Any:
        shown[0] += 1
        return show(*arguments)

    monkeypatch.setattr(presence, "_frame", counted)
    path, started = f"/sessions/{session_id}/events", time.monotonic()
    async with api.stream(alice, path) as stream:
        for _ in range(20):
            async with api.stream(bob, path):
                pass
        async with api.stream(bob, path):
            while (await stream.next("presence.changed")).data["count"] != 2:  # type: ignore[union-attr]
                pass
    assert shown[0] <= 2 + 2 * (time.monotonic() - started)
