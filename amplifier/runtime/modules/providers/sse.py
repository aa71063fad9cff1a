"""Reads the data of server-sent events from an HTTP response. Other fields of events are ignored."""

from collections.abc import AsyncIterator

import httpx2

_MOST_BYTES = 16 * 1024 * 1024  # of one line


async def data(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yields the data of each event as soon as it is complete. Raises errors of httpx2 if the response breaks off."""
    parts: list[bytes] = []
    size = 0
    event: list[bytes] = []
    async for piece in response.aiter_raw():
        parts.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise httpx2.RemoteProtocolError("a line of the answer is too long")
        if b"\n" not in piece:
            continue
        *lines, rest = b"".join(parts).split(b"\n")
        parts, size = [rest], len(rest)
        for line in lines:
            if line.startswith(b"data:"):
                event.append(line[5:].strip())
            elif event and line in (b"", b"\r"):
                yield event[0] if len(event) == 1 else b"\n".join(event)
                event = []
    last = b"".join(parts)  # some servers end without an empty line
    if last.startswith(b"data:"):
        event.append(last[5:].strip())
    if event:
        yield b"\n".join(event)
