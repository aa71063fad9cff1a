"""Reads the data of server-sent events from an HTTP response. Other fields of events are ignored.

An answer that is one JSON value and no stream, as some servers send it for errors, is read as one event.
"""

from collections.abc import AsyncIterator

import httpx2

_MOST_BYTES = 16 * 1024 * 1024  # of one line
_MARK = b"\xef\xbb\xbf"  # a byte order mark, which may begin a stream
_JSON = (b"{", b"[")


async def data(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Yields the data of each event as soon as it is complete. Raises errors of httpx2 if the response breaks off."""
    reader = _Reader()
    async for piece in response.aiter_raw():
        for event in reader.feed(piece):
            yield event
    for event in reader.end():
        yield event


class _Reader:
    """Joins pieces to lines, which end with LF, CR or both, and lines to events."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._event: list[bytes] = []
        self._begun = self._is_json = self._after_return = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Returns the events that the piece completes. Raises RemoteProtocolError if a line is too long."""
        if not self._begun:
            piece = self._begin(piece)
        if self._after_return or b"\r" in piece:
            piece = self._with_feeds(piece)
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > _MOST_BYTES:
            raise httpx2.RemoteProtocolError("a line of the answer is too long")
        if b"\n" not in piece or not self._begun or self._is_json:
            return []
        *lines, rest = b"".join(self._parts).split(b"\n")
        self._parts, self._size = [rest], len(rest)
        return self._read(lines)

    def end(self) -> list[bytes]:
        """Returns the last event, which some servers do not end with an empty line."""
        last = b"".join(self._parts)
        return [last] if self._is_json else self._read([last, b""])

    def _begin(self, piece: bytes) -> bytes:
        """Returns what has arrived, without a mark and space before it, or nothing until more has arrived."""
        arrived = b"".join(self._parts) + piece
        self._parts, self._size = [], 0
        first = arrived.removeprefix(_MARK).lstrip()
        if not first or (len(arrived) < len(_MARK) and _MARK.startswith(arrived)):
            return arrived
        self._begun, self._is_json = True, first.startswith(_JSON)
        return first

    def _with_feeds(self, piece: bytes) -> bytes:
        """Returns the piece with LF as the end of lines. A CR and its LF may be in different pieces."""
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, lines: list[bytes]) -> list[bytes]:
        """Returns the events that the lines complete."""
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._event.append(line[5:].strip())
            elif line.startswith(b"{"):  # some proxies send the error that ends a stream without `data:`
                events.append(line)
            elif not line and self._event:
                events.append(b"\n".join(self._event))
                self._event = []
        return events
