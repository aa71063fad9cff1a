"""uvicorn's WebSocket protocol with limits on messages that wait, on control frames and on unread data."""

import asyncio
import logging
import struct
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from amplifier.telemetry import served
from amplifier.web import write_buffers
from amplifier.web.scope_keys import CONNECTION

MOST_WAITING = 2500  # messages received and not handled yet
MOST_CONTROLS = 100  # pings, pongs and parts of a message that a client may send in a second
_PIECE = 4096  # bytes that are parsed between two checks of these limits

_sockets = logging.getLogger("uvicorn.error.sockets")
_sockets.setLevel(logging.WARNING)  # below, uvicorn logs addresses with tickets; telemetry/access_log.py logs sockets


class BoundedWebSocketProtocol(write_buffers.Unread, WebSocketsSansIOProtocol):
    """Aborts WebSockets whose client does not read, or sends faster than its messages are handled.

    Logs no address, no header and no frame.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
        else:
            served.refuse(self.app, self.client, self.response.status_code)

    def handle_ping(self) -> None:
        self._count()
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # discards the pong: the client does not read

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
        """Sends a large text without copying or compressing it, because other connections send the same bytes."""
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
        self._cut_off_later(self.close_timeout + write_buffers.FLUSH_SECONDS)

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_off_later(0 if self._stalled is not None else write_buffers.FLUSH_SECONDS)
