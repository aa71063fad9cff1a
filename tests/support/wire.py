"""A TCP proxy whose faults tests switch while connections are open: the wire between a service and its server.

    with wire.between(dsn) as line:           # in a thread of its own
        line.dsn                              # the address that services get
        line.delay(0.2); line.heal()

The proxy passes bytes on in order and loses none, as TCP does: a direction that is held is delivered after `heal`.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

Way = Literal["to_server", "to_client"]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Result = TypeVar("Result")
_SIZE = 4096  # bytes that are passed on at once, so that a throttled wire is even
_QUEUED = 64  # pieces that are on their way in one direction


class Line:
    """The wire and its present fault. Its methods may be called from any thread."""

    def __init__(self, upstream: Callable[[], Awaitable[Streams]]) -> None:
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._delay, self._rate = 0.0, 0.0
        self._free_at: dict[Way, float] = {"to_server": 0.0, "to_client": 0.0}
        self._open: dict[Way, asyncio.Event] = {"to_server": asyncio.Event(), "to_client": asyncio.Event()}
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.dsn = ""
        self.opened = 0  # connections so far

    def cut(self) -> None:
        """Resets all connections. New ones work."""
        self._in_loop(self._cut)

    def half_open(self) -> None:
        """Makes both ends of all connections vanish without FIN or RST. New ones work."""
        self._in_loop(self._orphan)

    def delay(self, seconds: float) -> None:
        """Delays each direction."""
        self._in_loop(lambda: setattr(self, "_delay", seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """Limits each direction, for all connections together."""
        self._in_loop(lambda: setattr(self, "_rate", bytes_per_second))

    def hold(self, *ways: Way) -> None:
        """Lets nothing through in these directions, by default in both."""
        self._in_loop(lambda: [self._open[way].clear() for way in ways or tuple(self._open)])

    def heal(self) -> None:
        """Ends delay, limit and hold. What was held is delivered."""
        self._in_loop(self._heal)

    @property
    def connections(self) -> int:
        """The connections that are open and not orphaned."""
        return self._in_loop(lambda: sum(not link.is_orphan for link in self._links))

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection in a task of its own."""
        self.opened += 1
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await self._upstream()
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), there)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.abort()

    async def admit(self, way: Way, size: int, came_at: float) -> None:
        """Waits until the wire lets a piece through that came at this time of the loop's clock."""
        now = self._loop.time()
        due = came_at + self._delay
        if self._rate:
            due = self._free_at[way] = max(due, self._free_at[way]) + size / self._rate
        await asyncio.sleep(due - now)
        await self._open[way].wait()

    def _cut(self) -> None:
        for link in self._links:
            link.abort()

    def _orphan(self) -> None:
        for link in self._links:
            link.is_orphan = True

    def _heal(self) -> None:
        self._delay = self._rate = 0.0
        self._free_at = dict.fromkeys(self._free_at, 0.0)
        for event in self._open.values():
            event.set()

    def _in_loop(self, act: Callable[[], Result]) -> Result:
        async def acting() -> Result:
            return act()

        return self.run(acting())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine in the thread of the proxy and waits for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Listens on a free port of 127.0.0.1 until the context ends."""
        thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        thread.start()
        self.heal()
        server = self.run(asyncio.start_server(self.accept, "127.0.0.1", 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            self.run(self._stop(server))
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class Link:
    """One connection through the wire."""

    def __init__(self, line: Line, client: Streams, server: Streams) -> None:
        self._line, self._client, self._server = line, client, server
        self.is_orphan = False

    def abort(self) -> None:
        """Resets both sides."""
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def run(self) -> None:
        """Passes bytes on until either side closes. An orphan never ends: neither side hears that the other left."""
        ways = (
            self._pass_on("to_server", self._client[0], self._server[1]),
            self._pass_on("to_client", self._server[0], self._client[1]),
        )
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._vanish()
        finally:
            for task in tasks:
                task.cancel()

    async def _pass_on(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED)
        reading = asyncio.ensure_future(_read(reader, pieces))
        try:
            while (piece := await pieces.get())[1]:
                await self._line.admit(way, len(piece[1]), piece[0])
                await self._vanish()
                writer.write(piece[1])
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            reading.cancel()

    async def _vanish(self) -> None:
        """Waits forever if the connection is orphaned."""
        if self.is_orphan:
            await asyncio.Event().wait()


async def _read(reader: asyncio.StreamReader, pieces: "asyncio.Queue[tuple[float, bytes]]") -> None:
    """Queues what comes, each piece with its time, and an empty piece at the end."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_SIZE):
            await pieces.put((loop.time(), data))
    await pieces.put((loop.time(), b""))


@contextlib.contextmanager
def between(dsn: str) -> Iterator[Line]:
    """Stands between services and a PostgreSQL server; `dsn` of what it yields is the address for services."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts["host"]), str(parts.get("port", "5432"))

    async def upstream() -> Streams:
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    line = Line(upstream)
    with line.running():
        login = f"{quote(str(parts['user']))}:{quote(str(parts.get('password', '')))}"
        line.dsn = f"postgresql://{login}@127.0.0.1:{line.port}/{parts['dbname']}?{urlencode({'sslmode': 'disable'})}"
        yield line


@contextlib.contextmanager
def before(port: int) -> Iterator[Line]:
    """Stands between clients and a service on this port of 127.0.0.1."""

    async def upstream() -> Streams:
        return await asyncio.open_connection("127.0.0.1", port)

    line = Line(upstream)
    with line.running():
        yield line
