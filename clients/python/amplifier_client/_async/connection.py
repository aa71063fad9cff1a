"""Requests and streams: credentials, retries, and the ids of sessions with keys."""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from amplifier_client import _protocol as protocol
from amplifier_client import models
from amplifier_client._connections import AsyncConnections
from amplifier_client._protocol import Event
from amplifier_client.errors import AmplifierError, NotFound

T = TypeVar("T")

_KNOWN_KEYS = 10_000  # sessions whose id a client remembers


class AsyncConnection:
    """Sends requests over connections that it keeps open."""

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        user: str | None = None,
        token: protocol.Token | None = None,
        timeout: float = protocol.TIMEOUT,
        retries: int = protocol.RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._options = protocol.options(url, api_key, user, token, timeout, retries)
        self._connections = AsyncConnections(self._options, transport)
        self._ids: dict[str, str] = {}

    def as_user(self, user: str) -> Self:
        """Returns a client that acts for another user through the same application and connections."""
        other = copy.copy(self)
        other._options = msgspec.structs.replace(self._options, user=user, token=None)
        other._ids = {}
        return other

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T:
        """Sends a request of any route and returns its answer as `kind`: a struct, `Any`, `bytes`, or `None`.

        POST, PATCH and DELETE get an `Idempotency-Key`, unless the request is `repeatable` by itself. Raises Problem,
        NoConnection.
        """
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent.update(headers or {})
        if method in ("POST", "PATCH", "DELETE") and not repeatable:
            sent.setdefault("Idempotency-Key", protocol.idempotency_key())
        content = protocol.encode(body) if body is not None else content
        answer = await self._patiently(method, path, protocol.parameters(params or {}), content, sent, timeout)
        if kind is bytes:
            return answer  # type: ignore[return-value]
        return protocol.decode(answer or b"null", kind)

    async def _patiently(
        self,
        method: str,
        path: str,
        params: httpx.QueryParams,
        content: bytes | None,
        headers: dict[str, str],
        timeout: float | None,  # noqa: ASYNC109
    ) -> bytes:
        """Sends a request until it is answered, or the retries are used up."""
        attempt = 0
        while True:
            try:
                return await self._once(method, path, params, content, headers, timeout)
            except AmplifierError as fault:
                await self.pause(attempt, fault)
                attempt += 1

    async def _once(
        self,
        method: str,
        path: str,
        params: httpx.QueryParams,
        content: bytes | None,
        headers: dict[str, str],
        timeout: float | None,  # noqa: ASYNC109
    ) -> bytes:
        limit = (
            httpx.USE_CLIENT_DEFAULT if timeout is None else httpx.Timeout(timeout, connect=protocol.CONNECT_TIMEOUT)
        )
        with protocol.connection_faults(self._options.url):
            response = await self._connections.client().request(
                method,
                path,
                params=params,
                content=content,
                headers=self._options.headers(headers),
                timeout=limit,
            )
        if response.status_code >= 400:
            raise protocol.problem(response)
        return response.content

    @asynccontextmanager
    async def open_stream(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> AsyncIterator["AsyncEvents"]:
        """Opens a stream of events once, without retries. Raises Problem, NoConnection."""
        sent = self._options.headers({"Content-Type": "application/json", **headers})
        content = protocol.encode(body) if body is not None else None
        limit = httpx.Timeout(protocol.SILENCE, connect=protocol.CONNECT_TIMEOUT)
        with protocol.connection_faults(self._options.url):
            async with self._connections.client().stream(
                method, path, content=content, headers=sent, timeout=limit
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise protocol.problem(response)
                yield AsyncEvents(response)

    @asynccontextmanager
    async def open_download(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Opens a file once, without retries, and yields its pieces. Raises Problem, NoConnection."""
        limit = httpx.Timeout(protocol.SILENCE, connect=protocol.CONNECT_TIMEOUT)
        with protocol.connection_faults(self._options.url):
            async with self._connections.client().stream(
                "GET", path, params=protocol.parameters(params), headers=self._options.headers({}), timeout=limit
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise protocol.problem(response)
                yield response.aiter_bytes()

    async def pause(self, attempt: int, fault: AmplifierError, *, endless: bool = False) -> None:
        """Waits before a request is repeated. Raises the fault if that is no use, or the retries are used up."""
        wait = protocol.delay(attempt, fault)
        if wait is None or (attempt >= self._options.retries and not endless):
            raise fault
        await self._connections.sleep(wait)

    async def session_id(self, key: str, wanted: Mapping[str, Any]) -> str:
        """Returns the id of the caller's session with a key. Creates it if it is not there."""
        known = self._ids.get(key)
        if known is None:
            row = await self.request("PUT", protocol.key_path(key), models.Session, body=wanted)
            known = self.remember(key, row.session_id)
        return known

    async def known_id(self, key: str) -> str | None:
        """Returns the id of the caller's session with a key, or None if it is not there."""
        if key in self._ids:
            return self._ids[key]
        try:
            row = await self.request("GET", protocol.key_path(key), models.Session)
        except NotFound:
            return None
        return self.remember(key, row.session_id)

    def remember(self, key: str, session_id: str | None) -> str:
        """Remembers the id of the session with a key, or forgets it."""
        self._ids.pop(key, None)
        if session_id is not None:
            if len(self._ids) >= _KNOWN_KEYS:
                self._ids.clear()
            self._ids[key] = session_id
        return session_id or ""

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncEvents:
    """The events of an open stream. `retry` is the time in seconds after which the service wants a client back."""

    def __init__(self, response: httpx.Response) -> None:
        self._response, self._lines = response, protocol.EventLines()

    @property
    def retry(self) -> float | None:
        return self._lines.retry

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for line in self._response.aiter_lines():
            event = self._lines.feed(line)
            if event is not None:
                yield event
