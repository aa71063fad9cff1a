"""uvicorn's protocols with limits: headers of 64 kB, no waiting for half a request, nor for who does not read."""

import asyncio
import logging
import struct
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from amplifier.errors import Problem
from amplifier.web.problems import MEDIA_TYPE, document
from amplifier.web.write_buffers import ROUTED, Unread

MAX_HEADERS = 64 * 1024  # bytes of request line and headers
HEADER_SECONDS = 10.0  # until a request's headers must be complete
BODY_SECONDS = 30.0  # between two parts of a body
BODY_GRACE = 10.0  # seconds for a whole body, and one more for each BODY_RATE bytes that have come
BODY_RATE = 16 * 1024  # bytes a second: 8 MB take nine minutes at most
FLUSH_SECONDS = 2.0  # until what is left of an answer that was ended must have been read
ENDING = "amplifier.ending"  # in a request's scope: what ends an answer that would go on for ever
CONNECTION = "amplifier.connection"  # in a request's scope: its protocol, one of these two
MOST_WAITING = 2500  # messages of a WebSocket that came and were not taken yet
MOST_CONTROLS = 100  # pings, pongs and parts of a message that a client may send in a second
_PIECE = 4096  # bytes that are parsed before these are looked at
DRAINING = "amplifier.draining"  # in a request's scope: what is to know that the service stops while it is answered


_sockets = logging.getLogger("uvicorn.error.sockets")


def _without_query(record: logging.LogRecord) -> bool:
    """Cuts the query string from the address that uvicorn logs: it may carry a ticket, or what somebody searches."""
    if isinstance(record.args, tuple):
        record.args = tuple(one.partition("?")[0] if isinstance(one, str) else one for one in record.args)
    return True


_sockets.addFilter(_without_query)
logging.getLogger("uvicorn.access").addFilter(_without_query)


class BoundedWebSocketProtocol(Unread, WebSocketsSansIOProtocol):
    """A WebSocket of somebody who reads, and who sends no more than can be taken.

    Its address is logged only where requests are, without the query; no header and no frame is logged.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _sockets.setLevel(logging.INFO if self.config.access_log else logging.WARNING)
        self.logger = self.conn.logger = _sockets
        self.conn.debug = False
        self._controls, self._counted_since = 0, 0.0

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            super().data_received(data[start : start + _PIECE])
            if self.transport.is_closing():
                return
            if self.queue.qsize() > MOST_WAITING or self._controls > MOST_CONTROLS:
                self.transport.abort()
                return

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope[CONNECTION] = self

    def handle_ping(self) -> None:
        self._count()
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # the pong, which nobody would read

    def handle_pong(self, event: Any) -> None:
        self._count()
        super().handle_pong(event)

    def handle_cont(self, event: Any) -> None:
        self._count()
        super().handle_cont(event)

    def _count(self) -> None:
        now = self.loop.time()
        if now > self._counted_since + 1:
            self._controls, self._counted_since = 0, now
        self._controls += 1

    async def drained(self) -> None:
        """Waits until the client has read most of what was written."""
        await self.writable.wait()

    async def share(self, message: bytes) -> None:
        """Sends a large text without copying or compressing it: others are sent the same bytes."""
        await self.drained()
        if not (self.close_sent or self.transport.is_closing()):
            self.transport.write(struct.pack("!BBQ", 0x81, 127, len(message)))
            self.transport.write(message)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # uvicorn forgets it, and logs an error for each refusal

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._cut_off_later(self.close_timeout + FLUSH_SECONDS)

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_off_later(0 if self._stalled is not None else FLUSH_SECONDS)


class BoundedProtocol(Unread, HttpToolsProtocol):
    """Answers 431 to headers over the limit, 408 to one that stops or is too slow, 400 to what is not HTTP."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0  # that came without a body's part: headers, trailers, the extensions of chunks
        self._in_headers = True
        self._incomplete = True
        self._half_closed = False
        self._patience: asyncio.TimerHandle | None = None
        self._body_due = 0.0  # when the body must have come, on the loop's clock

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._header_bytes += len(data)
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
        """Whether the connection stays: who has nothing more to say may wait for the answer, if that has an end."""
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
        """Sends a part of an answer without a length, not copying it: others are sent the same bytes."""
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
        if self._in_headers:  # trailers are not headers: nobody has seen them when the request is judged
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
        """uvicorn waits for answers under way: endless ones are ended, or cut off where nobody reads."""
        if self.cycle is not None and not self.cycle.response_complete:
            scope = _routed(self.cycle.scope)
            if ENDING in scope:
                scope[ENDING]()
                self._cut_off_later(0 if self._stalled is not None else FLUSH_SECONDS)
            elif DRAINING in scope:
                scope[DRAINING]()
        super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_off_later(FLUSH_SECONDS)

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
        serving = self._in_headers and self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or serving:  # the client waits for us
            self._body_due = self.loop.time() + BODY_SECONDS
            self._wait(BODY_SECONDS)
        elif self._incomplete:
            self._refuse(408, "The request was not complete in time")

    def _keep_alive(self) -> None:
        """uvicorn forgets its limit for idle connections when a blank line or the rest of a refused body comes."""
        idle = self.cycle is not None and self.cycle.response_complete and not self.transport.is_closing()
        if idle and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _refuse(self, status: int, detail: str) -> None:
        """Answers and closes, unless an answer is under way, which is then cut off."""
        if self.transport.is_closing():
            return
        started = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not started and not self.pipeline:
            body = msgspec.json.encode(document(Problem(status, detail)))
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()


def _routed(scope: Any) -> Any:
    return scope.get(ROUTED, scope)
