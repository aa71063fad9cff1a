"""A stub of the chat completions API of OpenAI and the messages API of Anthropic, on 127.0.0.1.

    async with llm.running() as stub:                       # in this event loop
    with llm.in_thread() as stub:                           # in a thread, for services in other processes
        stub.openai_url, stub.anthropic_url                 # for `base_url`
        stub.when("weather", Reply(calls=[Call("weather")]), Reply("It rains."))
        stub.queue(Reply(status=429, headers={"retry-after-ms": "5"}), Reply("well"))

The stub answers with the first rule of `when` whose text is in the last human message (or whose function returns True),
otherwise with the next reply of the queue, otherwise with an echo of that message. If a rule has several replies, the
first one answers the human message, the second one the request after the first assistant's message, and so on; the last
one answers all further requests. The choice depends only on the transcript, so that sessions may share a rule.

A reply streams if the request asks for it. `gate` holds back each delta until the test lets it through, `pause` waits
before each one, `stall_after` sends so many deltas and then nothing until `gate` opens or the client leaves,
`cut_after` sends so many and breaks the connection, `drip` waits before each byte. Transcripts that the real APIs
refuse are answered with 400.

Every request is in `stub.requests` as soon as its body has arrived; see `Seen`. For thousands of requests the stub need
not keep their bodies: `stub.keep_bodies = False`.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tests.support import llm_rules, llm_wire
from tests.support.llm_script import Gate, Reply, Seen, last_human
from tests.support.llm_wire import Call, Said

__all__ = ["Call", "Gate", "Reply", "Seen", "Stub", "in_thread", "running"]

_STATUS_TEXT = {200: "OK", 302: "Found"}


class Stub:
    """The stub's server. `running` and `in_thread` create it."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.requests: list[Seen] = []
        self.keep_bodies = True
        self.strict = True  # refuses what the real APIs refuse
        self.port = 0
        self.connections = 0  # connections opened so far
        self._rules: list[tuple[str | Callable[[Seen], bool], tuple[Reply, ...]]] = []
        self._queue: deque[Reply] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://{self.host}:{self.port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL for Anthropic's SDK."""
        return self.url

    def when(self, match: str | Callable[[Seen], bool], *replies: Reply) -> None:
        """Adds a rule: replies if the last human message contains the text, or the function returns True."""
        self._rules.append((match, replies))

    def queue(self, *replies: Reply) -> None:
        """Adds replies to the next requests for which there is no rule."""
        self._queue.extend(replies)

    def reset(self) -> None:
        """Removes rules, queue and requests."""
        self._rules, self.requests = [], []
        self._queue.clear()

    async def start(self) -> asyncio.Server:
        """Starts to listen on a free port."""
        server = await asyncio.start_server(self._accept, self.host, 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def stop(self, server: asyncio.Server) -> None:
        """Stops the server and breaks all connections."""
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begun: bytes | None = b""
            while begun is not None and (seen := await self._read(reader, begun)) is not None:
                begun = await self._answer(seen, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, as `Seen.disconnected` tells
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, begun: bytes) -> Seen | None:
        try:
            head = begun + await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        raw = await reader.readexactly(length)
        seen = Seen(len(self.requests), method, target, headers, raw, time.perf_counter())
        self.requests.append(seen)
        return seen

    def _choose(self, seen: Seen, body: dict[str, Any]) -> Reply:
        refused = llm_rules.refusal(seen.api, body) if self.strict else None
        if refused is not None:
            return Reply(status=400, error=refused)
        for match, replies in self._rules:
            if (match in seen.asked) if isinstance(match, str) else match(seen):
                return replies[min(seen.step, len(replies) - 1)]
        return self._queue.popleft() if self._queue else Reply(f"You said: {seen.asked}")

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Answers the next request. Returns None if the connection cannot be used again."""
        body = seen.body
        seen.asked, seen.step = last_human(body.get("messages") or [])
        reply = self._choose(seen, body)
        if not self.keep_bodies:
            seen.raw = b""
        seen.status = reply.status
        answering = asyncio.ensure_future(self._write(seen, body, reply, writer))
        leaving = asyncio.ensure_future(reader.read(1))  # only the end of the connection can arrive
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            seen.disconnected = not answering.done() or answering.exception() is not None
            if seen.disconnected or not answering.result():
                return None
            return (leaving.result() or None) if leaving.done() else b""
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _write(self, seen: Seen, body: dict[str, Any], reply: Reply, writer: asyncio.StreamWriter) -> bool:
        said, wire = reply.said(seen.number), seen.api
        if reply.status != 200 or reply.raw is not None or not body.get("stream"):
            whole = reply.raw if reply.raw is not None else _whole(wire, reply, said, body)
            writer.write(_head(reply, "application/json", {"content-length": str(len(whole))}) + whole)
            await writer.drain()
            seen.done = True
            return True
        writer.write(_head(reply, "text/event-stream", {"transfer-encoding": "chunked"}))
        events = llm_wire.openai(said, body) if wire == "openai" else llm_wire.anthropic(said, body)
        for event, is_delta in events:
            if is_delta and not await self._may_send(seen, reply, writer):
                return False
            chunk = b"%x\r\n%b\r\n" % (len(event), event)
            for piece in (chunk[at : at + 1] for at in range(len(chunk))) if reply.drip else (chunk,):
                await asyncio.sleep(reply.drip)
                writer.write(piece)
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        seen.done = True
        return True

    async def _may_send(self, seen: Seen, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        """Waits as the reply demands. Returns False if the connection is cut here."""
        if reply.cut_after == len(seen.sent):
            await writer.drain()
            writer.transport.close()
            seen.done = True
            return False
        if reply.gate is not None and (reply.stall_after is None or len(seen.sent) >= reply.stall_after):
            await reply.gate.wait()
        elif reply.stall_after == len(seen.sent):
            await asyncio.get_running_loop().create_future()
        if reply.pause:
            await asyncio.sleep(reply.pause)
        seen.sent.append(time.perf_counter())
        return True


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Stub]:
    """Runs a stub in this event loop."""
    stub = Stub()
    server = await stub.start()
    try:
        yield stub
    finally:
        await stub.stop(server)


@contextlib.contextmanager
def in_thread(host: str = "127.0.0.1") -> Iterator[Stub]:
    """Runs a stub in a thread of its own. Rules, gates and requests can be used from any thread."""
    stub = Stub(host)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(stub.start(), loop).result(10)
    try:
        yield stub
    finally:
        asyncio.run_coroutine_threadsafe(stub.stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _head(reply: Reply, content_type: str, more: dict[str, str]) -> bytes:
    headers = {"content-type": content_type} | more | reply.headers
    lines = [f"HTTP/1.1 {reply.status} {_STATUS_TEXT.get(reply.status, 'Error')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _whole(api: str, reply: Reply, said: Said, body: dict[str, Any]) -> bytes:
    if reply.status != 200:
        return json.dumps(llm_wire.error(api, reply.status, reply.error)).encode()
    made = llm_wire.openai_whole(said, body) if api == "openai" else llm_wire.anthropic_whole(said, body)
    return json.dumps(made).encode()
