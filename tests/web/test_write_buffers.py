"""Clients that do not read: unread data is bounded for each user, and followers share the bytes of large events."""

import asyncio
import contextlib
import gc
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest

from amplifier.live.frames import Frame, frame
from amplifier.live.subscriber import Subscriber
from amplifier.web import write_buffers
from tests.api.test_streams import add, share
from tests.conftest import settings_for
from tests.support.live import Live, live, until

LARGE = "é" * 3_500_000  # 7 MB
MB = 1024 * 1024


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


class Silent:
    """A connection that sends requests and reads little more than the first bytes of an answer."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    async def read_on(self) -> bytes:
        """Reads until the service closes the connection."""
        read = b""
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.get_running_loop().sock_recv(self._client, MB):
                read += data
        return read


@contextlib.asynccontextmanager
async def silent(api: Live, client: httpx.AsyncClient, path: str, upgrade: bool = False) -> AsyncIterator[Silent]:
    """Sends a request with the client's credentials; returns when the answer has begun."""
    loop, address = asyncio.get_running_loop(), urlsplit(api.url)
    headers = {name: value for name, value in client.headers.items() if name in ("x-api-key", "authorization")}
    if upgrade:
        headers |= {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        headers["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {address.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, (address.hostname, address.port))
        await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
        await loop.sock_recv(connection, 12)
        yield Silent(connection)


def waiting() -> dict[str, list[int]]:
    """Returns the unread bytes of each full connection, by user."""
    return {
        owner: [one.transport.get_write_buffer_size() for one in connections]
        for owner, connections in write_buffers._unread.items()
    }


@pytest.mark.slow
async def test_unread_answers_of_one_user_are_bounded(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await share(alice, session_id, "bob")
    await add(alice, session_id, LARGE)
    path = f"/sessions/{session_id}/transcript"
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(silent(api, bob, path))
        await until(lambda: "user bob" in waiting())
        for _ in range(16):
            await stack.enter_async_context(silent(api, alice, path))
            await until(lambda: "user alice" in waiting())
            assert sum(waiting()["user alice"]) <= write_buffers.MOST_UNREAD
        assert 4 <= len(waiting()["user alice"]) < 16, "the kernel takes up to 4 MB of each"
        assert len(waiting()["user bob"]) == 1, "others are not cut off"
        assert (await bob.get("/sessions")).status_code == 200
        assert (await alice.get("/sessions")).status_code == 200
    await until(lambda: not waiting())


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", [False, True])
async def test_idle_streams_of_one_user_are_bounded(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, upgrade: bool
) -> None:
    await share(alice, session_id, "bob")
    path = f"/sessions/{session_id}/{'ws' if upgrade else '%65vents'}"
    async with contextlib.AsyncExitStack() as stack:
        reading = await stack.enter_async_context(api.stream(bob, f"/sessions/{session_id}/events"))
        for _ in range(16):
            await stack.enter_async_context(silent(api, alice, path, upgrade))
        await until(lambda: len(api.app.state.hub._streams) == 17)
        await add(alice, session_id, LARGE)
        event = await reading.next()
        assert event is not None
        assert event.data["message"]["content"] == LARGE
        await until(lambda: len(api.app.state.hub._streams) < 12)
        assert list(waiting()) == ["user alice"]
        assert write_buffers.MOST_UNREAD / 2 < sum(waiting()["user alice"]) <= write_buffers.MOST_UNREAD
        await add(alice, session_id, "next")
        event = await reading.next()
        assert event is not None
        assert event.data["message"]["content"] == "next"


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", [False, True])
async def test_followers_share_the_bytes_of_a_large_message(
    api: Live, alice: httpx.AsyncClient, session_id: str, upgrade: bool
) -> None:
    path = f"/sessions/{session_id}/{'ws' if upgrade else 'events'}"
    async with contextlib.AsyncExitStack() as stack:
        for number in range(12):
            await share(alice, session_id, f"user-{number}")
            client = await api.as_user(f"user-{number}")
            await stack.enter_async_context(silent(api, client, path, upgrade))
        await until(lambda: len(api.app.state.hub._streams) == 12)
        body = json.dumps({"messages": [{"role": "user", "content": LARGE}]}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        tracemalloc.start()
        try:
            url = f"/sessions/{session_id}/transcript"
            assert (await alice.post(url, content=body, headers=headers)).status_code == 201
            await until(lambda: len(waiting()) == 12)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 4 * len(body)
        assert len(api.app.state.hub._streams) == 12


@pytest.mark.slow
async def test_follower_without_reader_keeps_no_batch() -> None:
    subscriber, written, drained = Subscriber("alice", "app", 1e12, "s"), list[list[Frame]](), asyncio.Event()

    async def catch_up(_: Subscriber) -> None:
        pass

    async def write(frames: list[Frame]) -> None:
        written.append(frames)
        await drained.wait()

    following = asyncio.create_task(subscriber.follow(catch_up, write))
    subscriber.behind = False
    first, second = [frame("message.created", 1)], [frame("message.created", 2)]
    subscriber.offer(first, 0, 1, datetime.now(UTC))
    await until(lambda: written == [first])
    subscriber.offer(second, 1, 2, datetime.now(UTC))
    assert (subscriber.batch, subscriber.behind, subscriber.cursor) == (None, True, 1)
    drained.set()
    subscriber.end()
    await following


def test_waiting_notes_are_bounded_in_bytes() -> None:
    subscriber = Subscriber("alice", "app", 1e12, "s")
    large = frame("tool:post", data="x" * 600_000)
    for _ in range(10):
        subscriber.note(large)
    assert sum(len(one.data) for one in subscriber._take()) <= subscriber.most_note_bytes
    subscriber.note(frame("tool:post", data="x" * 2_000_000))
    assert len(subscriber._take()) == 1, "one alone may be larger"
