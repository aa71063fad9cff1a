"""An answer with the bytes of a file, or of a range of it, that no browser executes."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from litestar.types import Receive, Scope, Send

from amplifier.errors import Problem
from amplifier.web.responses import gone, header, is_known

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*\Z")
# Whatever is in a file, it gets no origin, no script and no other page around it.
SAFE = (
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
    (b"cache-control", b"private, no-cache"),
    (b"accept-ranges", b"bytes"),
)


class FileAnswer:
    """The bytes that `parts` yields from a place up to another; `etag` never changes for the same bytes."""

    def __init__(
        self,
        parts: Callable[[int, int], AsyncIterator[bytes]],
        size: int,
        etag: str,
        content_type: str,
        name: str | None,
    ) -> None:
        self._parts, self._size, self._etag = parts, size, etag
        named = f"; filename*=UTF-8''{quote(name, safe='')}" if name else ""
        self._headers = [
            (b"content-type", content_type.encode()),
            (b"content-disposition", f"attachment{named}".encode()),
            (b"etag", f'"{etag}"'.encode()),
            *SAFE,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_known(scope, self._etag):
            await send({"type": "http.response.start", "status": 304, "headers": self._headers[2:]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        start, end = self._asked(scope)
        is_whole = (start, end) == (0, self._size)
        headers = [*self._headers, (b"content-length", b"%d" % (end - start))]
        if not is_whole:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, self._size)))
        parts = _nothing() if scope["state"].get("head") else self._parts(start, end)
        first = await anext(parts, b"")  # before the answer begins: an error gets a status
        begin: Any = {"type": "http.response.start", "status": 200 if is_whole else 206, "headers": headers}
        await send(begin)
        absent = asyncio.create_task(gone(receive))
        try:
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                if absent.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            absent.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _asked(self, scope: Scope) -> tuple[int, int]:
        """Returns the range that the request asks for, or the whole. Raises Problem 416."""
        asked, condition = header(scope, b"range"), header(scope, b"if-range")
        match = _RANGE.match(asked or "")
        if match is None or (condition is not None and condition != f'"{self._etag}"'):
            return 0, self._size
        if match[3] is not None:
            start, end = max(0, self._size - int(match[3])), self._size
        else:
            start, end = int(match[1]), min(int(match[2]) + 1, self._size) if match[2] else self._size
        if start >= end:
            raise Problem(
                416,
                f"Range: the attachment has {self._size} bytes",
                headers={"Content-Range": f"bytes */{self._size}"},
            )
        return start, end


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
