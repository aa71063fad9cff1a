"""The connections of the two clients, which stay open between requests. All that differs between them is here."""

import asyncio
import time

import httpx

from ._protocol import CONNECT_TIMEOUT, Options


class AsyncConnections:
    """Connections of each event loop that uses the client: they cannot be shared."""

    def __init__(self, options: Options, transport: httpx.AsyncBaseTransport | None) -> None:
        self._options, self._transport = options, transport
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    def client(self) -> httpx.AsyncClient:
        """Returns the HTTP client of the running loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            self._clients = {one: kept for one, kept in self._clients.items() if not one.is_closed()}
            timeout = httpx.Timeout(self._options.timeout, connect=CONNECT_TIMEOUT)
            client = httpx.AsyncClient(base_url=self._options.url, timeout=timeout, transport=self._transport)
            self._clients[loop] = client
        return client

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        """Closes the connections of the running loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


class Connections:
    """Connections of a synchronous client; threads may share it."""

    def __init__(self, options: Options, transport: httpx.BaseTransport | None) -> None:
        timeout = httpx.Timeout(options.timeout, connect=CONNECT_TIMEOUT)
        self._client = httpx.Client(base_url=options.url, timeout=timeout, transport=transport)

    def client(self) -> httpx.Client:
        """Returns the HTTP client."""
        return self._client

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
