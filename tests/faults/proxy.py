"""A reverse proxy in front of the processes. It asks each whether it is ready, and keeps connections open."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import httpx

from tests.support.proxies import request

PROBE = 0.2  # seconds between two looks at /health/ready
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked\r\n")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Sends each request to the next process that was ready when it was asked last."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.url = ""
        self.ready: dict[str, bool] = dict.fromkeys(urls, False)
        self._idle: dict[str, list[Connection]] = {url: [] for url in urls}
        self._turn = 0
        self._serving: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Ends all connections."""
        for one in self._serving:
            one.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for url in self._idle:
            self._forget(url)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection in a task."""
        task = asyncio.create_task(self.serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def probe(self) -> None:
        """Asks all processes again and again."""
        async with httpx.AsyncClient(timeout=5, verify=False) as client:
            while True:
                for url in self.ready:
                    try:
                        answer = await client.get(f"{url}/health/ready", headers={"Connection": "close"})
                        self.ready[url] = answer.status_code == 200
                    except httpx.TransportError:
                        self.ready[url] = False
                    if not self.ready[url]:
                        self._forget(url)
                await asyncio.sleep(PROBE)

    def _forget(self, url: str) -> None:
        while self._idle[url]:
            self._idle[url].pop()[1].close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves the requests of one connection of a client."""
        try:
            while True:
                head, body = await request(reader)
                await self._pass_on(head + body, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client left, or a process cut the answer off: the client's connection ends
        finally:
            writer.close()

    async def _pass_on(self, asked: bytes, client: asyncio.StreamWriter) -> None:
        url = self._chosen()
        upstream = self._idle[url].pop() if self._idle[url] else await _connected(url)
        try:
            upstream[1].write(asked)
            await _relay(upstream[0], client)
        except BaseException:
            upstream[1].transport.abort()
            raise
        self._idle[url].append(upstream)

    def _chosen(self) -> str:
        ready = [url for url, is_ready in self.ready.items() if is_ready]
        if not ready:
            raise ConnectionError("no process is ready")
        self._turn += 1
        return ready[self._turn % len(ready)]


async def _connected(url: str) -> Connection:
    address = urlsplit(url)
    return await asyncio.open_connection(address.hostname, address.port)


async def _relay(upstream: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """Passes one answer on, as it comes."""
    head = await upstream.readuntil(b"\r\n\r\n")
    client.write(head)
    if _CHUNKED.search(head):
        size = 1
        while size:
            line = await upstream.readuntil(b"\r\n")
            size = int(line, 16)
            chunk = line + await upstream.readexactly(size + 2)
            if client.is_closing():
                raise ConnectionError("the client has left")
            client.write(chunk)
            await client.drain()
    elif length := _LENGTH.search(head):
        client.write(await upstream.readexactly(int(length[1])))
    await client.drain()


@contextlib.asynccontextmanager
async def proxying(urls: Sequence[str]) -> AsyncIterator[Proxy]:
    """Runs a proxy in front of these addresses, when at least one of them is ready."""
    proxy = Proxy(urls)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    probing = asyncio.create_task(proxy.probe())
    try:
        async with asyncio.timeout(30):
            while not all(proxy.ready.values()):
                await asyncio.sleep(PROBE / 4)
        yield proxy
        assert not probing.done(), probing.exception()
    finally:
        probing.cancel()
        server.close()
        await proxy.close()
