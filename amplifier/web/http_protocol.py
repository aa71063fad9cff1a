"""uvicorn's HTTP protocol with limits on headers, on the time for a request, and on unread data."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from amplifier.errors import Problem
from amplifier.telemetry import served
from amplifier.web import write_buffers
from amplifier.web.problems import MEDIA_TYPE, encoded
from amplifier.web.scope_keys import CONNECTION, DRAINING, ENDING, ROUTED

MAX_HEADERS = 64 * 1024  # bytes of request line and headers
HEADER_SECONDS = 10.0  # until a request's headers must be complete
BODY_SECONDS = 30.0  # between two parts of a body
BODY_GRACE = 10.0  # seconds for a whole body, and one more for each BODY_RATE bytes that have come
BODY_RATE = 16 * 1024  # bytes a second: 8 MB take nine minutes at most


class BoundedProtocol(write_buffers.Unread, HttpToolsProtocol):
    """Answers 431 to headers over the limit, 408 to a request that is too slow, 400 to bytes that are not HTTP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0  # received since the last part of a body: headers, trailers, extensions of chunks
        self._in_headers = True
        self._incomplete = True
        self._half_closed = False
        self._silent = True  # nothing has come yet
        self._patience: asyncio.TimerHandle | None = None
        self._body_due = 0.0  # when the body must be complete, on the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # proxies open connections ahead of requests, and expect them to stay open like idle ones
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._silent:
            self._silent = False
            self._stop_waiting()
        try:
            super().data_received(data)
        except UnicodeDecodeError:  # a path that is not ASCII
            self.send_400_response("Invalid HTTP request received.")
        if self._header_bytes > MAX_HEADERS:
            self._refuse(431, "The request's headers are larger than 64 kB")
        elif not self._incomplete:
            self._stop_waiting()
            self._keep_alive()
        elif self._in_headers:
            if self._patience is None:
                self._wait(HEADER_SECONDS)
        else:
            self._stop_waiting()
            self._wait(min(BODY_SECONDS, max(0.0, self._body_due - self.loop.time())))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Returns whether to keep a half-closed connection: until the answer is sent, unless the answer is endless."""
        waits = self.cycle is not None and not self.cycle.response_complete and not self._incomplete
        self._half_closed = waits and ENDING not in _routed(self.cycle.scope)
        return self._half_closed

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._half_closed and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.transport.close()

    async def drained(self) -> None:
        """Waits until the client has read most of what was written."""
        await self.flow.drain()

    async def share(self, body: bytes) -> None:
        """Sends a chunk of an answer without copying it, because other connections send the same bytes."""
        await self.drained()
        if not self.transport.is_closing():
            self.transport.write(b"%x\r\n" % len(body))
            self.transport.write(body)
            self.transport.write(b"\r\n")

    def on_message_begin(self) -> None:
        self._in_headers = self._incomplete = True
        super().on_message_begin()
        self.scope[CONNECTION] = self

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # trailers come after the request was authenticated and routed
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._in_headers, self._header_bytes = False, 0
        self._body_due = self.loop.time() + BODY_GRACE
        if size > MAX_HEADERS:
            self._refuse(431, "The request's headers are larger than 64 kB")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0
        self._body_due += len(body) / BODY_RATE
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._incomplete, self._in_headers, self._header_bytes = False, False, 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        """Ends an endless answer, or aborts it if the client does not read; uvicorn waits for the other answers."""
        if self.cycle is not None and not self.cycle.response_complete:
            scope = _routed(self.cycle.scope)
            if ENDING in scope:
                scope[ENDING]()
                self._cut_off_later(0 if self._stalled is not None else write_buffers.FLUSH_SECONDS)
            elif DRAINING in scope:
                scope[DRAINING]()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_off_later(write_buffers.FLUSH_SECONDS)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _wait(self, seconds: float) -> None:
        self._patience = self.loop.call_later(seconds, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        if self._silent:
            self.transport.close()
            return
        serving = self._in_headers and self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or serving:  # the client waits for us
            self._body_due = self.loop.time() + BODY_SECONDS
            self._wait(BODY_SECONDS)
        elif self._incomplete:
            self._refuse(408, "The request was not complete in time")

    def _keep_alive(self) -> None:
        """Restarts the idle limit, which uvicorn drops when a blank line or the rest of a refused body comes."""
        idle = self.cycle is not None and self.cycle.response_complete and not self.transport.is_closing()
        if idle and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _refuse(self, status: int, detail: str) -> None:
        """Answers with a problem and closes. An answer that has begun is cut off instead."""
        if self.transport.is_closing():
            return
        serves = self.cycle is not None and not self.cycle.response_complete
        started = serves and self.cycle.response_started
        if not serves:
            served.refuse(self.app, self.client, status)
        elif not started:
            _routed(self.cycle.scope)[served.REFUSED_STATUS] = status
        if not started and not self.pipeline:
            body = encoded(Problem(status, detail))
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()


def _routed(scope: Any) -> Any:
    return scope.get(ROUTED, scope)
