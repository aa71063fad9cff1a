"""Bodies that are too large for memory: received into temporary files, whose total size is bounded.

No connection of the pool is in use while a client sends. A file has no name, so that it is gone when the process ends,
unless another process is to read it.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from pathlib import Path
from typing import Any, BinaryIO

from amplifier.errors import Problem
from amplifier.fair_share import current
from amplifier.web.responses import header

_AT_ONCE = 256 * 1024  # bytes that are written at once, in a thread: the disk must not delay other requests
_MOST_OPEN = 8  # files of one user, which may be small and slow
_RETRY = {"Retry-After": "10"}


class Spool:
    """A temporary file. What is written counts for the user until the file is closed."""

    def __init__(self, space: "Space", user: Hashable, path: Path | None) -> None:
        self._space, self._user = space, user
        # closed by `Space.file`
        self.file: BinaryIO = tempfile.TemporaryFile() if path is None else path.open("w+b")  # noqa: SIM115
        self.size = 0
        self.hash = hashlib.sha256()

    async def write(self, data: bytes) -> None:
        """Appends data. Raises Problem 429 and 503 if the space is used up."""
        self._space.reserve(self._user, len(data))
        self.size += len(data)
        await asyncio.to_thread(self._write, data)

    async def read(self, start: int, size: int) -> bytes:
        """Returns `size` bytes from `start`."""
        return await asyncio.to_thread(self._read, start, size)

    def _write(self, data: bytes) -> None:
        try:
            self.file.write(data)
        except OSError as error:
            raise Problem(503, "The service's disk is full: try again later", headers=_RETRY) from error
        self.hash.update(data)

    def _read(self, start: int, size: int) -> bytes:
        self.file.seek(start)
        return self.file.read(size)


class Space:
    """The disk space for temporary files of this process, in bytes. One user gets half of it.

    Besides, each user has `own` bytes, which the files of others cannot take.
    """

    def __init__(self, most: int, own: int = 0) -> None:
        self._most, self._own, self.used = most, own, 0
        self._sizes: Counter[Hashable] = Counter()
        self._open: Counter[Hashable] = Counter()

    @contextlib.asynccontextmanager
    async def file(self, path: Path | None = None) -> AsyncIterator[Spool]:
        """Yields an empty file, which has no name unless `path` is given. Raises Problem 429 if the user has 8 open."""
        user = current.get()
        if self._open[user] >= _MOST_OPEN:
            raise Problem(429, f"You send {_MOST_OPEN} large bodies at once: wait for an answer", headers=_RETRY)
        self._open[user] += 1
        spool = Spool(self, user, path)
        try:
            yield spool
        finally:
            await asyncio.shield(asyncio.to_thread(spool.file.close))
            self._release(user, spool.size)

    def reserve(self, user: Hashable, size: int) -> None:
        """Counts bytes that a user writes. Raises Problem 429 beyond the user's half, and 503 if nothing is left."""
        if self._sizes[user] + size > self._most // 2:
            raise Problem(429, "You send too many large bodies at once: wait for their answers", headers=_RETRY)
        shared = self._shared(self._sizes[user] + size) - self._shared(self._sizes[user])
        if self.used + shared > self._most:
            raise Problem(503, "Too many large bodies are being sent: try again", headers=_RETRY)
        self.used += shared
        self._sizes[user] += size

    def _shared(self, size: int) -> int:
        return max(0, size - self._own)

    def _release(self, user: Hashable, size: int) -> None:
        left = self._sizes[user] - size
        self.used -= self._shared(self._sizes[user]) - self._shared(left)
        self._sizes[user] = left
        self._open[user] -= 1
        for counter in (self._sizes, self._open):
            if not counter[user]:
                del counter[user]


async def receive(request: Any, spool: Spool, most: int, too_large: str) -> None:
    """Writes the body of a request to a file.

    Raises Problem 413 with the detail `too_large` for a body over `most` bytes, and 400 for one that ends early.
    """
    announced = header(request.scope, b"content-length") or "0"
    if announced.isdecimal() and int(announced) > most:
        raise Problem(413, too_large)
    waiting, held, received = [], 0, 0
    while True:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise Problem(400, "The connection was closed before the request was complete")
        if body := event.get("body", b""):
            waiting.append(body)
            held, received = held + len(body), received + len(body)
        if received > most:
            raise Problem(413, too_large)
        more = event.get("more_body", False)
        if held >= _AT_ONCE or (held and not more):
            await spool.write(b"".join(waiting))
            waiting, held = [], 0
        if not more:
            return
