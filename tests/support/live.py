"""The application with uvicorn in this process, for tests of streams and sockets over the network."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import uvicorn
import websockets.asyncio.client
from litestar import Litestar

from amplifier.settings import Settings
from tests.conftest import Api, serving
from tests.support import contract

LIMIT = 30.0  # seconds, for what must happen; a first run imports for several
EPHEMERAL = {"presence.changed", "typing", "read"}


def is_kept(type: str) -> bool:
    """Returns whether an event is replayed or ends the stream. Activities of agents have a colon in their type."""
    return type not in EPHEMERAL and ":" not in type


class Event(NamedTuple):
    """A server-sent event, or a message of a socket."""

    id: int | None
    type: str
    data: Any


class Stream:
    """An open stream; each wait has a limit."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()
        self.comments = self.retries = 0

    async def next(self, *types: str) -> Event | None:
        """Returns the next event of these types, by default one that `is_kept`, or None at the end of the stream."""
        while True:
            event = await self._read()
            if event is None or (event.type in types if types else is_kept(event.type)):
                return event

    async def ids(self, count: int) -> list[int | None]:
        """Returns the ids of the next `count` events."""
        return [event.id for _ in range(count) if (event := await self.next())]

    async def line(self) -> str:
        """Returns the next line of any kind."""
        async with asyncio.timeout(LIMIT):
            line = await anext(self._lines)
        self.comments += line.startswith(":")
        self.retries += line.startswith("retry:")
        return line

    async def rest(self) -> list[str]:
        """The types of what comes until the stream ends."""
        types = []
        while event := await self.next():
            types.append(event.type)
        return types

    async def _read(self) -> Event | None:
        fields: dict[str, str] = {}
        with contextlib.suppress(StopAsyncIteration):
            while (line := await self.line()) or "event" not in fields:
                name, _, value = line.partition(": ")
                fields[name] = value
            number = int(fields["id"]) if "id" in fields else None
            return Event(number, fields["event"], json.loads(fields["data"]))
        return None


class Socket:
    """An open WebSocket; each wait has a limit."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self.connection = connection

    async def next(self, *types: str) -> Event:
        """As `Stream.next`; raises ConnectionClosed at the end."""
        while True:
            async with asyncio.timeout(LIMIT):
                message = json.loads(await self.connection.recv())
            if message["type"] in types if types else is_kept(message["type"]):
                return Event(message.get("seq"), message["type"], message["data"])

    async def say(self, **message: Any) -> None:
        """Sends a message."""
        await self.connection.send(json.dumps(message))


class Live(Api):
    """Clients of an application over the network."""

    def __init__(self, app: Litestar, settings: Settings, url: str) -> None:
        super().__init__(app, settings)
        self.url = url

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        """A client with these headers, by default without credentials."""
        hooks = {"response": [contract.check]}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=LIMIT, verify=False, event_hooks=hooks)

    @contextlib.asynccontextmanager
    async def stream(self, client: httpx.AsyncClient, path: str, **options: Any) -> AsyncIterator[Stream]:
        """An open stream."""
        async with client.stream("GET", path, **options) as response:
            assert response.status_code == 200, await response.aread()
            yield Stream(response)

    @contextlib.asynccontextmanager
    async def socket(self, client: httpx.AsyncClient, path: str, **options: Any) -> AsyncIterator[Socket]:
        """An open WebSocket, with the client's credentials."""
        headers = {name: value for name, value in client.headers.items() if name in ("x-api-key", "authorization")}
        url = f"ws{self.url.removeprefix('http')}{path}"
        options = {"additional_headers": headers, "open_timeout": LIMIT, "close_timeout": 1} | options
        async with websockets.asyncio.client.connect(url, **options) as connection:
            yield Socket(connection)


@contextlib.asynccontextmanager
async def live(settings: Settings) -> AsyncIterator[Live]:
    """The application on a free port."""
    async with serving(settings) as api:
        server = uvicorn.Server(
            uvicorn.Config(
                api.app,  # type: ignore[arg-type]
                port=0,
                http="amplifier.web.http_protocol:BoundedProtocol",
                ws="amplifier.web.websocket_protocol:BoundedWebSocketProtocol",
                ws_max_size=64 * 1024,
                lifespan="off",
                log_level="warning",
            )
        )
        with contextlib.ExitStack() as stack:
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
            running = asyncio.create_task(server.serve())
            await until(lambda: server.started)
            address = server.servers[0].sockets[0].getsockname()
            stack.callback(lambda: setattr(server, "should_exit", True))
            yield Live(api.app, settings, f"http://127.0.0.1:{address[1]}")
        await running


async def until(condition: Callable[[], Any]) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(LIMIT):
        while not condition():
            await asyncio.sleep(0.01)


def origin_of(url: str) -> str:
    """The host and port of an address."""
    return urlsplit(url).netloc
