"""An answer with a file that is made while it is sent, and that no browser executes."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from litestar.types import Receive, Scope, Send

from amplifier.web.file_answer import SAFE
from amplifier.web.responses import gone, is_known, takes_gzip

_LEVEL = 1  # of zlib, as for other answers
_GZIP = 31  # zlib's wbits for the format
_IN_THREAD_FROM = 128 * 1024  # bytes; compressing more in the event loop would delay other requests


class Download:
    """The bytes that `parts` yields, as a file of this name. `etag` never changes for the same bytes.

    An error before the first part has a status. A later one ends the connection, so that no client takes a part
    for the whole.
    """

    def __init__(
        self, parts: AsyncIterator[bytes], etag: str, content_type: str, name: str, is_compressed: bool = False
    ) -> None:
        """A file that `is_compressed` is not compressed again."""
        self._parts, self._etag, self._is_compressed = parts, etag, is_compressed
        self._headers = [
            (b"content-type", content_type.encode()),
            (b"content-disposition", _disposition(name)),
            *(header for header in SAFE if header[0] != b"accept-ranges"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gzip = not self._is_compressed and takes_gzip(scope)
        headers = [*self._headers, (b"vary", b"Accept-Encoding")]
        headers += [(b"content-encoding", b"gzip")] if gzip else []
        headers.append((b"etag", f'"{self._etag}{"-gzip" if gzip else ""}"'.encode()))
        is_unchanged = is_known(scope, self._etag)
        has_body = not is_unchanged and not scope["state"].get("head")
        parts = self._parts if has_body else _nothing()
        first = await anext(parts, b"")
        start: Any = {"type": "http.response.start", "status": 304 if is_unchanged else 200, "headers": headers}
        await send(start)
        absent = asyncio.create_task(gone(receive))
        try:
            async for part in _gzipped(_all(first, parts)) if gzip and has_body else _all(first, parts):
                if absent.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            absent.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _disposition(name: str) -> bytes:
    """Returns the header with the name of the file; old clients read it with `_` in the place of other characters."""
    plain = "".join(letter if letter.isascii() and letter not in '"\\%' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()


async def _all(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part


async def _gzipped(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async for part in parts:
        if len(part) < _IN_THREAD_FROM:
            yield compressor.compress(part)
        else:
            yield await asyncio.to_thread(compressor.compress, part)
    yield compressor.flush()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
