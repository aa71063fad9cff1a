"""Makes and shares the HTTP clients of the providers' SDKs.

Clients share a TLS context, send nothing from the server's environment, and are bounded in what they read.
"""

import asyncio
import functools
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Hashable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Generic, Protocol, TypeVar

import httpx2

from amplifier import __version__
from amplifier.runtime.modules.providers.options import Options
from amplifier.telemetry import tracing


class Closable(Protocol):
    """A client of an SDK."""

    async def close(self) -> None:
        """Closes the connections."""


Client = TypeVar("Client", bound=Closable)

TIMEOUT = httpx2.Timeout(connect=10, read=120, write=30, pool=10)  # seconds; `read` is between two pieces of an answer

_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=30)
_MOST_UNUSED = 64  # clients without a session that are kept with open connections
_MOST_BYTES = 64 * 1024 * 1024  # of one response
_MOST_BYTES_OF_ERROR = 256 * 1024
_FROM_HTTP = ("host", "content-length")


@functools.cache
def tls() -> ssl.SSLContext:
    """Returns the TLS context of all clients. Creating one reads all certificates of authorities, about 20 ms."""
    return httpx2.create_ssl_context()


def connect(options: Options, make: Callable[..., Any], headers: dict[str, str]) -> Any:
    """Returns an SDK's client, made by `make`, that sends `headers`, its authentication and `default_headers` only.

    Values that the SDK reads from the environment are not sent.
    """
    sent = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": f"amplifier-api/{__version__}",
    } | headers
    query = {"api-version": options.api_version} if options.api_version else None
    client = make(
        api_key=options.api_key, base_url=options.base_url, default_query=query, http_client=_http_client(sent)
    )
    for name, value in (*client.auth_headers.items(), *options.default_headers.items()):
        sent[name.lower()] = value
    return client


def _http_client(headers: dict[str, str]) -> httpx2.AsyncClient:
    """Returns a client that keeps no cookies, follows no redirects, and limits the size of responses."""

    async def replace_headers(request: httpx2.Request) -> None:
        kept = [(name, request.headers[name]) for name in _FROM_HTTP if name in request.headers]
        request.headers = httpx2.Headers([*kept, *headers.items(), *tracing.headers().items()])

    return httpx2.AsyncClient(
        verify=tls(),
        follow_redirects=False,
        timeout=TIMEOUT,
        limits=_LIMITS,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        event_hooks={"request": [replace_headers], "response": [_limit]},
    )


async def _limit(response: httpx2.Response) -> None:
    response.headers.pop("content-encoding", None)  # no encoding was accepted; decompression has no limit of size
    assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101
    response.stream = _Limited(response.stream, _MOST_BYTES if response.is_success else _MOST_BYTES_OF_ERROR)


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream, self._left = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._left -= len(piece)
            if self._left < 0:
                raise httpx2.RemoteProtocolError("the answer is too long")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class Pool(Generic[Client]):
    """Shared clients by key. Keeps the clients in use and the most recently used of the others.

    Each event loop has its own clients, because connections belong to an event loop.
    """

    def __init__(self) -> None:
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Entry[Client]]]
        self._loops = weakref.WeakKeyDictionary()

    def take(self, key: Hashable, make: Callable[[], Client]) -> Client:
        """Returns the client for `key`; calls `make` if there is none. The caller must give it back."""
        entries = self._entries()
        entry = entries.get(key)
        if entry is None:
            entry = entries[key] = _Entry(make())
        entry.users += 1
        return entry.client

    async def give_back(self, key: Hashable) -> None:
        """Returns a client to the pool. Closes the least recently used clients if too many are unused."""
        entries = self._entries()
        entry = entries.get(key)
        if entry is None:
            return
        entry.users -= 1
        if entry.users == 0:
            entries[key] = entries.pop(key)
        unused = [key for key, entry in entries.items() if not entry.users]
        for old in unused[: max(0, len(unused) - _MOST_UNUSED)]:
            await entries.pop(old).client.close()

    def _entries(self) -> "dict[Hashable, _Entry[Client]]":
        return self._loops.setdefault(asyncio.get_running_loop(), {})


class _Entry(Generic[Client]):
    def __init__(self, client: Client) -> None:
        self.client, self.users = client, 0
