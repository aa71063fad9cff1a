"""Readers of server-sent events over sockets of their own: a thousand of them cost a test little."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

LIMIT = 20.0  # seconds until a response must have begun
_PAUSE = 0.05  # seconds between two attempts on a service that does not answer or has no database


class Event(NamedTuple):
    """A server-sent event. `id` is None for one that is never replayed; `data` is the received text."""

    id: int | None
    type: str
    data: bytes


class Refused(Exception):
    """The response is not a stream."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body.decode(errors='replace')}")
        self.status = status


class Events:
    """The events of an open stream until the server ends it. Raises ConnectionError if it is cut off."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.retries: list[int] = []
        self.comments = 0
        self._reader = reader
        self._waiting: deque[Event] = deque()
        self._rest = b""

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            chunk = await self._chunk()
            if not chunk:
                raise StopAsyncIteration
            *whole, self._rest = (self._rest + chunk).split(b"\n\n")
            for block in whole:
                self._parse(block)
        return self._waiting.popleft()

    async def logged(self) -> Event:
        """Returns the next event that has an id."""
        async for event in self:
            if event.id is not None:
                return event
        raise ConnectionError("the stream has ended")

    async def _chunk(self) -> bytes:
        """Returns the next chunk of the body. The last one is empty."""
        try:
            size = int(await self._reader.readline(), 16)
            return (await self._reader.readexactly(size + 2))[:-2]
        except (ValueError, asyncio.IncompleteReadError) as error:
            raise ConnectionError("the stream was cut off") from error

    def _parse(self, block: bytes) -> None:
        fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        if b"event" in fields:
            number = int(fields[b"id"]) if b"id" in fields else None
            self._waiting.append(Event(number, fields[b"event"].decode(), fields[b"data"]))
        elif b"retry" in fields:
            self.retries.append(int(fields[b"retry"]))
        else:
            self.comments += 1


@contextlib.asynccontextmanager
async def open_stream(url: str, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Events]:
    """Opens a stream, and drops it when the context ends. Raises Refused and ConnectionError."""
    async with asyncio.timeout(LIMIT):
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(LIMIT):
            writer.write(_request(path, headers or {}))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 200:
                raise Refused(status, await reader.read(4096))
        yield Events(reader)
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("no answer") from error
    finally:
        writer.transport.abort()


@contextlib.contextmanager
def unread_stream(url: str, path: str) -> Iterator[socket.socket]:
    """Opens a stream with the smallest possible buffer and does not read it."""
    address = urlsplit(url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.settimeout(LIMIT)
        client.connect((address.hostname, address.port))
        client.sendall(_request(path, {}))
        assert client.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
        yield client


@contextlib.asynccontextmanager
async def read_on(client: socket.socket) -> AsyncIterator[Events]:
    """Reads a stream of `unread_stream` from its first event on, at full speed."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
    client.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        await reader.readuntil(b"\r\n\r\n")
        yield Events(reader)
    finally:
        writer.transport.abort()


class Follower:
    """Follows a stream from its beginning. Reconnects with `Last-Event-ID` whenever it ends, breaks or lasts too long.

    `choose` returns the address to ask, `patience` the seconds to stay for a number of received events. `ids` has the
    ids of the received events. `headers` has credentials.
    """

    def __init__(
        self,
        path: str,
        choose: Callable[[], str],
        patience: Callable[[int], float],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self.choose, self.patience, self.headers = path, choose, patience, headers or {}
        self.ids: list[int] = []
        self.opened = 0

    async def follow(self, is_last: Callable[[int], bool]) -> None:
        """Follows until the event with the last id."""
        while True:
            try:
                async with asyncio.timeout(self.patience(len(self.ids))):
                    return await self._follow(is_last)
            except TimeoutError:
                pass
            except (ConnectionError, Refused) as error:
                if isinstance(error, Refused) and error.status != 503:
                    raise
                await asyncio.sleep(_PAUSE)

    async def _follow(self, is_last: Callable[[int], bool]) -> None:
        known = str(self.ids[-1] if self.ids else 0)
        async with open_stream(self.choose(), self.path, {**self.headers, "Last-Event-ID": known}) as events:
            self.opened += 1
            while True:
                event = await events.logged()
                assert event.id is not None
                self.ids.append(event.id)
                if is_last(event.id):
                    return


class Audience:
    """Followers of several logs, and the last id of each log, once it is known."""

    def __init__(self) -> None:
        self.followers: list[tuple[str, Follower]] = []
        self.ends: dict[str, int] = {}

    def add(self, log: str, *follower: Any) -> None:
        """Adds a follower of the log with this name. The other arguments are those of `Follower`."""
        self.followers.append((log, Follower(*follower)))

    def follow(self) -> list[Coroutine[Any, Any, None]]:
        """Returns a coroutine for each follower, which follows its log to the end."""
        return [one.follow(lambda number, log=log: number == self.ends.get(log)) for log, one in self.followers]  # type: ignore[misc]

    def check(self) -> None:
        """Checks that every follower has received 1, 2, 3 and so on to the end."""
        assert self.followers
        for log, one in self.followers:
            assert one.ids == list(range(1, self.ends.get(log, 0) + 1))


def _request(path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
