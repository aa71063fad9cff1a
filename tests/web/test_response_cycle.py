"""The head of an answer, compared with the one that uvicorn writes."""

import asyncio
import itertools
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from amplifier.web.response_cycle import Cycle

LENGTH, CHUNKED, CLOSE = (b"content-length", b"2"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"x, Close")
VALID = [
    [],
    [LENGTH],
    [(b"Content-Length", b"2"), (b"X-One", b"\xe9 \t,"), (b"x-one", b"")],
    [CHUNKED],
    [CLOSE, LENGTH],
    [(b"connection", b"keep-alive"), LENGTH],
    [CHUNKED, LENGTH],
    [LENGTH, CHUNKED],
    [(b"transfer-encoding", b"gzip")],
]
INVALID = [(name, b"x") for name in (b"a b", b"a:", b"a\r\nb", b"\0", b"a\x7f")]
INVALID += [(b"x", value) for value in (b"a\r\nb: c", b"a\nb", b"a\r", b"\0", b"\x1f", b"\x7f", b"ok\x0b")]


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written, self.is_closed = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def resume_reading(self) -> None:
        """Does nothing."""


async def answered(kind: type[RequestResponseCycle], status: int, headers: Any, method: str, keep_alive: bool) -> Any:
    """Returns what a cycle writes for an answer, whether it closes, and the error that it raises."""
    wire: Any = Wire()
    log = logging.getLogger(__name__)
    cycle = kind(
        scope={"method": method},  # type: ignore[typeddict-item]
        transport=wire,
        flow=FlowControl(wire),
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    error = None
    try:
        await cycle.send({"type": "http.response.start", "status": status, "headers": headers})
        await cycle.send({"type": "http.response.body", "body": b"" if status in (204, 304) else b"ok"})
    except RuntimeError as raised:
        error = str(raised)
    return wire.written, wire.is_closed, error


@pytest.mark.parametrize("headers", VALID)
async def test_answer_is_that_of_uvicorn(headers: Any) -> None:
    for status, method, keep_alive in itertools.product((200, 204, 304, 599), ("GET", "HEAD"), (True, False)):
        ours, theirs = [
            await answered(kind, status, headers, method, keep_alive) for kind in (Cycle, RequestResponseCycle)
        ]
        assert ours == theirs, (status, method, keep_alive)


@pytest.mark.parametrize("header", INVALID)
async def test_invalid_header_is_refused(header: tuple[bytes, bytes]) -> None:
    for headers in ([header], [LENGTH, header, LENGTH]):
        ours, theirs = [await answered(kind, 200, headers, "GET", True) for kind in (Cycle, RequestResponseCycle)]
        assert ours == theirs
        assert ours[0] == b""
        assert ours[2] is not None
