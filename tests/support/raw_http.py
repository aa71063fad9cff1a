"""uvicorn with short limits in this process, and clients that send it bytes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from amplifier.server.app import create_app
from amplifier.web import http_protocol
from tests.conftest import settings_for

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHo"
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
WAIT = 0.4  # seconds, for each of the limits
LIMIT = 10.0  # seconds, for what must happen


class Service:
    """uvicorn in this process: before the application at /; /echo answers its body, /late waits before it reads it."""

    def __init__(self) -> None:
        self.application: Any = create_app(settings_for("postgresql://nobody@127.0.0.1:1/none"), "")
        self.late = asyncio.Event()
        http = "amplifier.web.http_protocol:BoundedProtocol"
        self.server = uvicorn.Server(uvicorn.Config(self, port=0, http=http, lifespan="off", timeout_keep_alive=1))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await self.application(scope, receive, send)
            return
        if scope["path"] == "/late":
            await self.late.wait()
        body, more = scope["query_string"], scope["path"] != "/refused"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        names = b" ".join(name for name, _ in scope["headers"])
        headers = [(b"content-length", b"%d" % len(body)), (b"x-seen", names)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Connection"]:
        """Yields a new connection; afterwards waits until the service has closed it."""
        with socket.socket() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            address = self.server.servers[0].sockets[0].getsockname()
            await asyncio.get_running_loop().sock_connect(client, address)
            yield Connection(client)
        await self.until(0)

    async def until(self, connections: int) -> None:
        """Waits until the service has that many connections."""
        async with asyncio.timeout(LIMIT):
            while len(self.server.server_state.connections) != connections:
                await asyncio.sleep(0.01)


class Connection:
    """A client that sends bytes."""

    def __init__(self, client: socket.socket) -> None:
        self.socket, self.loop, self.buffer = client, asyncio.get_running_loop(), b""

    async def send(self, *pieces: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # the service may have closed
            for piece in pieces:
                await self.loop.sock_sendall(self.socket, piece)

    async def read(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Receives until `enough` returns true or the connection closes."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(LIMIT):
                while not enough() and (data := await self.loop.sock_recv(self.socket, 1 << 20)):
                    self.buffer += data

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the next response."""
        await self.read(lambda: b"\r\n\r\n" in self.buffer)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        await self.read(lambda: len(self.buffer) >= length)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, body

    async def refused(self, status: int) -> None:
        """Asserts that the next response is a problem, after which the connection closes."""
        actual, headers, body = await self.response()
        assert (actual, headers["content-type"]) == (status, "application/problem+json")
        assert json.loads(body)["status"] == status
        await self.read()
        assert self.buffer == b""

    async def silent(self, seconds: float) -> None:
        """Asserts that nothing is received for `seconds`, not even the end."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.loop.sock_recv(self.socket, 1)


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """The service with short limits; every connection is gone at the end."""
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", WAIT)
    monkeypatch.setattr(http_protocol, "BODY_SECONDS", WAIT)
    service = Service()
    task = asyncio.create_task(service.server.serve())
    while not service.server.started:
        await asyncio.sleep(0)
    yield service
    service.late.set()
    service.server.should_exit = True
    await task
