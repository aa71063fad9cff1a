"""uvicorn's HTTP protocol with limits on headers, on the time for a request, and on unread data."""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from amplifier.errors import Problem
from amplifier.telemetry import served
from amplifier.web import write_buffers
from amplifier.web.problems import MEDIA_TYPE, encoded
from amplifier.web.response_cycle import Cycle
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
        self._size = 0  # bytes of the headers of this request, without its line
        self._in_headers = True
        self._incomplete = True
        self._half_closed = False
        self._silent = True  # nothing has come yet
        self._idle_since: float | None = None  # on the loop's clock, while no request is served or being sent
        self._patience: asyncio.TimerHandle | None = None
        self._body_due = 0.0  # when the body must be complete, on the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # proxies open connections ahead of requests, and expect them to stay open like idle ones
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

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
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._be_idle()
        if self._half_closed and self.cycle.response_complete:
            self._idle_since = None
            self.transport.close()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.begin(app, self.loop, self.tasks)

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
        self._size = 0
        super().on_message_begin()
        self.scope[CONNECTION] = self

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # trailers come after the request was authenticated and routed
            self._size += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers, self._header_bytes = False, 0
        self._body_due = self.loop.time() + BODY_GRACE
        if self._size + len(self.url) > MAX_HEADERS:
            self._refuse(431, "The request's headers are larger than 64 kB")
        elif self.parser.should_upgrade() and self._should_upgrade():
            super().on_headers_complete()
        else:
            self._serve()

    def _serve(self) -> None:
        """Begins to serve the request, or puts it in line, like uvicorn's `on_headers_complete`, with our cycle."""
        parser, scope = self.parser, self.scope
        version, url = parser.get_http_version(), httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["method"], scope["http_version"] = parser.get_method().decode("ascii"), version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = url.path, url.query or b""
        before = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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
        """Closes the connection if it has been idle for KEEP_ALIVE, else looks again when it may have been."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0.001:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()
            self._cut_off_later(write_buffers.FLUSH_SECONDS)

    def _be_idle(self) -> None:
        """Begins the idle limit. The timer runs on through further requests, because setting it costs 2 µs."""
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

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
        if idle and self._idle_since is None:
            self._be_idle()

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
