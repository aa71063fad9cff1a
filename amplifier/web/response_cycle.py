"""uvicorn's part of one request and its answer, with less work for each header, task and system call."""

import asyncio
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

# The bytes that may be in the value of a header; uvicorn searches each value for the others.
_PERMITTED = bytes(byte for byte in range(256) if (byte >= 32 or byte == 9) and byte != 127)
_MOST_COPIED = 64 * 1024  # bytes of a body that are copied behind the head
_FRAMING = (b"content-length: ", b"transfer-encoding: ", b"connection: ")  # headers that decide how an answer ends


class Cycle(RequestResponseCycle):
    """Writes the same bytes as uvicorn's cycle. The names of headers are checked once, their values all together."""

    _task: "asyncio.Task[None]"
    _running: "set[asyncio.Task[None]]"
    _says_close = False
    _held: bytes | None = None  # a head that waits for the beginning of its body, so that one system call sends both

    def begin(self, app: Any, loop: asyncio.AbstractEventLoop, running: "set[asyncio.Task[None]]") -> None:
        """Serves the request in a task, which is in `running` until it ends."""
        self._running = running
        self._task = loop.create_task(self.run_asgi(app))
        running.add(self._task)

    async def run_asgi(self, app: Any) -> None:
        """Serves the request."""
        try:
            await super().run_asgi(app)
        finally:
            self._running.discard(self._task)  # a callback of the task would be another pass through the loop

    async def send(self, message: Any) -> None:
        """Writes a part of the answer. Raises RuntimeError for a message out of turn and for an invalid header."""
        if self.response_started or message["type"] != "http.response.start":
            if self._held is not None:
                message = self._with_head(message)
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.response_started, self.waiting_for_100_continue = True, False
            head = self._head(message["status"], [*self.default_headers, *message.get("headers", ())])
            if self.expected_content_length and self.scope["method"] != "HEAD":
                self._held = head
            else:
                self.transport.write(head)

    def _with_head(self, message: Any) -> Any:
        """Returns the first message of a body of known length with the head before it, or writes the head alone."""
        head, self._held = self._held or b"", None
        body = message.get("body", b"")
        if len(body) > _MOST_COPIED:
            self.transport.write(head)
            return message
        self.expected_content_length += len(head)
        return {**message, "body": head + body}

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Returns the head of the answer, and notes how the answer ends."""
        if b"".join([value for _, value in headers]).translate(None, _PERMITTED):
            raise RuntimeError("Invalid HTTP header value.")
        parts = [STATUS_LINE[status]]
        for name, value in headers:
            beginning = _beginning(name)
            if beginning in _FRAMING:
                self._frame(beginning, value)
            parts += (beginning, value, b"\r\n")
        if not self.keep_alive and not self._says_close:
            parts.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        return b"".join(parts)

    def _frame(self, beginning: bytes, value: bytes) -> None:
        if beginning == b"content-length: ":
            if self.chunked_encoding is None:
                self.expected_content_length, self.chunked_encoding = int(value), False
        elif beginning == b"connection: ":
            if b"close" in [token.lower().strip() for token in value.split(b",")]:
                self.keep_alive, self._says_close = False, True
        elif value.lower() == b"chunked":
            self.expected_content_length, self.chunked_encoding = 0, True


@lru_cache(maxsize=1024)
def _beginning(name: bytes) -> bytes:
    """Returns what stands before the value of a header. Raises RuntimeError for an invalid name."""
    if HEADER_RE.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower() + b": "
