"""Clients for live events, in processes of their own. They are as cheap as possible: the service shares their cores."""

import asyncio
import contextlib
import itertools
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import uvloop

AT_ONCE = 8  # streams opened at a time, and connections with which `paced` begins
_LAST_SEQ = re.compile(rb'"last_seq":(\d+)')


class Appended(NamedTuple):
    """An append: the session's number, its seq, and the times of the request and the response."""

    session: int
    seq: int
    sent: float
    answered: float


class Followers:
    """Open streams. If `timed`, they record the arrival of each event; otherwise they count events."""

    def __init__(self, port: int, requests: list[bytes], timed: bool) -> None:
        self._port, self._requests, self._timed = port, requests, timed
        self._open: list[_Stream] = []

    async def open(self, count: int) -> None:
        """Opens the next `count` streams. Returns when all have begun."""
        gate = asyncio.Semaphore(AT_ONCE)
        numbers = range(len(self._open), len(self._open) + count)
        self._open += await asyncio.gather(*(self._begin(number, gate) for number in numbers))

    async def close(self) -> int:
        """Closes all streams. Returns the number of received events."""
        streams, self._open = self._open, []
        for stream in streams:
            stream.close()
        return sum(stream.events for stream in streams)

    async def arrivals(self) -> list[list[tuple[int, float]]]:
        """Returns the events of each stream with the times of their arrival."""
        return [stream.arrivals for stream in self._open]

    async def _begin(self, number: int, gate: asyncio.Semaphore) -> "_Stream":
        async with gate:
            loop = asyncio.get_running_loop()
            _, stream = await loop.create_connection(lambda: _Stream(self._timed), "127.0.0.1", self._port)
            stream.transport.write(self._requests[number])
            await stream.begun
            return stream


class _Stream(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, timed: bool) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrivals: list[tuple[int, float]] = []
        self.events = 0
        self._timed, self._is_closed = timed, False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.begun.done() and not self._timed:
            self.events += data.count(b"\nid: ")
            return
        now = time.perf_counter()
        data = self._rest + data
        if not self.begun.done():
            if b"\nretry: " not in data:
                self._rest = data
                return
            assert data.startswith(b"HTTP/1.1 200 "), data
            self.begun.set_result(None)
        start = 0
        while (found := data.find(b"\nid: ", start)) >= 0 and (end := data.find(b"\n", found + 5)) >= 0:
            self.arrivals.append((int(data[found + 5 : end]), now))
            start = end
        self._rest = data[max(start, found if found >= 0 else len(data) - 4) :]

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._is_closed, "the service ended a stream"

    def close(self) -> None:
        """Closes the connections."""
        self._is_closed = True
        self.transport.close()


class Appends:
    """Appends of one message each, to one session after the other."""

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self._port, self._requests = port, requests
        self._turns = itertools.count()

    async def paced(self, rate: int, seconds: float) -> list[Appended]:
        """Appends so many messages a second, without waiting for the responses to earlier ones."""
        done: list[Appended] = []
        idle = deque([await self._connected() for _ in range(AT_ONCE)])  # in turns: the service closes unused ones
        started = time.perf_counter()
        async with asyncio.TaskGroup() as appends:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                appends.create_task(self._append(idle, done))
        for connection in idle:
            connection.transport.close()
        return done

    async def rate(self, clients: int, seconds: float) -> tuple[float, int]:
        """Appends with clients that wait for their responses. Returns the appends per second and their number."""
        connections = [await self._connected() for _ in range(clients)]
        started = time.perf_counter()
        counts = await asyncio.gather(*(self._go_on(each, started + seconds) for each in connections))
        taken = time.perf_counter() - started
        for connection in connections:
            connection.transport.close()
        return sum(counts) / taken, sum(counts)

    async def _append(self, idle: "deque[_Requests]", done: list[Appended]) -> None:
        connection = idle.popleft() if idle else await self._connected()
        session = next(self._turns) % len(self._requests)
        sent = time.perf_counter()
        answer, answered = await connection.answer(self._requests[session])
        idle.append(connection)
        done.append(Appended(session, int(_LAST_SEQ.search(answer)[1]), sent, answered))  # type: ignore[index]

    async def _go_on(self, connection: "_Requests", end: float) -> int:
        for count in itertools.count(1):
            _, answered = await connection.answer(self._requests[next(self._turns) % len(self._requests)])
            if answered >= end:
                return count
        raise AssertionError

    async def _connected(self) -> "_Requests":
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Requests, "127.0.0.1", self._port))[1]


class _Requests(asyncio.Protocol):
    """A connection with one request at a time. Each response is a flat JSON object."""

    transport: asyncio.Transport
    _answer: "asyncio.Future[tuple[bytes, float]]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def answer(self, request: bytes) -> "asyncio.Future[tuple[bytes, float]]":
        """Returns the response and the time of its arrival."""
        self._data = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._data.endswith(b"}\n"):
            assert self._data.startswith(b"HTTP/1.1 20"), self._data
            self._answer.set_result((self._data, time.perf_counter()))


Call = Callable[..., Any]


@contextlib.contextmanager
def elsewhere(kind: Callable[..., Any], *arguments: Any) -> Iterator[Call]:
    """Yields a function that calls methods, by name, of an object in a process of its own."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_run, args=(theirs, kind, arguments), daemon=True)
    process.start()
    theirs.close()

    def call(*name_and_arguments: Any) -> Any:
        ours.send(name_and_arguments)
        return ours.recv()

    try:
        yield call
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _run(pipe: Connection, kind: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    async def serve() -> None:
        target, loop = kind(*arguments), asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: _give_up(context))
        with contextlib.suppress(EOFError):
            while True:
                name, *rest = await loop.run_in_executor(None, pipe.recv)
                method: Callable[..., Coroutine[Any, Any, Any]] = getattr(target, name)
                pipe.send(await method(*rest))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _give_up(context: dict[str, Any]) -> None:
    """Ends the process, and with it the measurement, on an error in a callback."""
    print(context, file=sys.stderr, flush=True)
    os._exit(1)
