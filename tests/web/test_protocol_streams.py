"""Streams and WebSockets over the wire: clients that do not read are cut off, quiet ones are not, a stop ends all."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
import websockets.asyncio.client

from amplifier.web import http_protocol, write_buffers
from amplifier.web.scope_keys import ENDING

LIMIT = 10.0  # seconds, for what must happen
WAIT = 0.3  # seconds, for each of the limits
CHUNK = b"x" * 65536


class Endless:
    """Answers that go on for ever: /full as fast as the client reads, /some until something is unread, /quiet without
    a word; sockets echo."""

    def __init__(self) -> None:
        self.ended = 0
        self.is_left = lambda: False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            if scope["type"] == "websocket":
                await self._echo(scope, receive, send)
            else:
                await self._go_on(scope, receive, send)
        finally:
            self.ended += 1

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            times = 1 if scope["path"] == "/quiet" else 10_000
            for _ in range(times):
                await send({"type": "websocket.send", "text": message["text"]})

    async def _go_on(self, scope: Any, receive: Any, send: Any) -> None:
        ending = asyncio.Event()
        scope[ENDING] = ending.set
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.create_task(self._until_gone(receive, ending))
        while scope["path"] != "/quiet" and not ending.is_set() and not (scope["path"] == "/some" and self.is_left()):
            await send(
                {
                    "type": "http.response.body",
                    "body": CHUNK[: 65536 if scope["path"] == "/full" else 8192],
                    "more_body": True,
                }
            )
        await ending.wait()
        gone.cancel()
        await send({"type": "http.response.body", "body": b"goodbye", "more_body": False})

    async def _until_gone(self, receive: Any, ending: asyncio.Event) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        ending.set()


class Service:
    """uvicorn in this process."""

    running: asyncio.Task[None]

    def __init__(self) -> None:
        self.app = Endless()
        http, ws = (
            "amplifier.web.http_protocol:BoundedProtocol",
            "amplifier.web.websocket_protocol:BoundedWebSocketProtocol",
        )
        self.server = uvicorn.Server(
            uvicorn.Config(self.app, port=0, http=http, ws=ws, lifespan="off", log_level="warning")
        )
        self.server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]

        self.app.is_left = lambda: any(self.unread)

    @property
    def unread(self) -> list[int]:
        """The unread bytes in each connection's write buffer."""
        return [one.transport.get_write_buffer_size() for one in self.server.server_state.connections]

    @property
    def port(self) -> int:
        """The port of the service."""
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    async def stream(self, path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream whose head was read. The client's buffers are small: little more fits than what it reads."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=client, limit=4096)
        writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        async with asyncio.timeout(LIMIT):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        return reader, writer

    async def stop(self) -> None:
        """Stops the service within the limit."""
        self.server.should_exit = True
        async with asyncio.timeout(LIMIT):
            await self.running


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The service with short limits."""
    monkeypatch.setattr(write_buffers, "READ_SECONDS", WAIT)
    monkeypatch.setattr(write_buffers, "FLUSH_SECONDS", WAIT)
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", WAIT)
    monkeypatch.setattr(http_protocol, "BODY_SECONDS", WAIT)
    service = Service()
    service.running = asyncio.create_task(service.server.serve())
    while not service.server.started:
        await asyncio.sleep(0)
    yield service
    await service.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


async def test_client_that_does_not_read_is_cut_off(service: Service) -> None:
    _, writer = await service.stream(b"/full")
    await until(lambda: service.app.ended == 1)
    assert not service.server.server_state.connections
    writer.close()


async def test_client_that_reads_keeps_stream(service: Service) -> None:
    reader, writer = await service.stream(b"/full")
    loop, read = asyncio.get_running_loop(), 0
    end = loop.time() + 4 * WAIT
    async with asyncio.timeout(LIMIT):
        while loop.time() < end:
            read += len(await reader.read(4096))
    assert read > 0
    assert service.app.ended == 0
    writer.close()
    await until(lambda: service.app.ended == 1)


async def test_rest_of_ended_answer_is_dropped(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_buffers, "READ_SECONDS", 3600.0)
    _, writer = await service.stream(b"/some")
    await until(lambda: any(service.unread))
    (connection,) = service.server.server_state.connections
    connection.timeout_keep_alive = WAIT  # type: ignore[union-attr]
    connection.cycle.scope[ENDING]()  # type: ignore[union-attr]
    await until(lambda: not service.server.server_state.connections)
    writer.close()


async def test_quiet_stream_outlasts_request_limits(service: Service) -> None:
    reader, writer = await service.stream(b"/quiet")
    async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{service.port}/quiet") as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4 * WAIT):
                await reader.read(1)
        await connection.send("still there?")
        assert await connection.recv() == "still there?"
    writer.close()
    await until(lambda: service.app.ended == 2)


async def test_websocket_that_does_not_read_is_cut_off(service: Service) -> None:
    url = f"ws://127.0.0.1:{service.port}/full"
    async with websockets.asyncio.client.connect(url, max_queue=1, compression=None, close_timeout=0.1) as connection:
        await connection.send("x" * 4096)
        await until(lambda: service.app.ended == 1)
        connection.transport.abort()


@pytest.mark.parametrize("path", ["/quiet", "/some", "/full"])
async def test_stop_ends_streams(service: Service, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(write_buffers, "READ_SECONDS", 3600.0)
    reader, writer = await service.stream(path.encode())
    if path != "/quiet":
        await until(lambda: service.unread[0] > (65536 if path == "/full" else 0))
    await service.stop()
    if path == "/quiet":
        assert (await reader.read()).endswith(b"goodbye\r\n0\r\n\r\n")
    assert service.app.ended == 1
    writer.close()
