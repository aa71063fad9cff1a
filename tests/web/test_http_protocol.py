"""HTTP over the wire: limits of size and time, keep-alive, pipelining, clients that leave."""

import asyncio
import socket

import pytest

from amplifier.web import http_protocol
from tests.support.raw_http import CHUNKED, GET, HALF, LIMIT, POST, WAIT, Service
from tests.support.raw_http import service as service


def with_header(line: bytes) -> bytes:
    return GET[:-2] % b"/" + line + b"\r\n\r\n"


LARGE = b"X-Large: " + b"x" * 500_000
# fmt: off
REFUSED = {
    431: [
        with_header(LARGE), with_header(LARGE * 40), with_header(b"X" * 70_000 + b": x"), GET % (b"/" + b"x" * 70_000),
        with_header(b"\r\n".join(b"X-%05d: %04d" % (n, n) for n in range(10_000))), CHUNKED + b"1;" + LARGE[9:],
        CHUNKED + b"1\r\nx\r\n0\r\n" + LARGE, CHUNKED + b"1\r\nx\r\n0\r\n" + b"X-Large: x\r\n" * 50_000,
    ],
    408: [HALF, POST[:-2] % 5, POST % 5, POST % 5 + b"body", CHUNKED, CHUNKED + b"4\r\nbo"],
    400: [
        b"\x16\x03\x01\x02\0\x01", b"hello\r\n\r\n", b"GET\r\n\r\n", b"\0" * 99, b"GET / HTTP/9.9\r\n\r\n",
        with_header(b"X : a"), with_header(b"X: a\rX-Evil: 1"), with_header(b"X: a\0"), GET % "/é".encode(),
        CHUNKED[:-2] + b"Content-Length: 4\r\n\r\n0\r\n\r\n", POST[:-2] % 4 + b"Content-Length: 5\r\n\r\nbody",
        CHUNKED + b"x\r\n", POST.replace(b"%d", b"-1"), b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
}
# fmt: on


@pytest.mark.parametrize("status", REFUSED)
async def test_unservable_request_is_refused(service: Service, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if status != 408:
        monkeypatch.setattr(http_protocol, "HEADER_SECONDS", LIMIT)

    def cut(data: bytes, size: int) -> list[bytes]:
        return [data[start : start + size] for start in range(0, len(data), size)]

    async def send(data: bytes, size: int) -> None:
        async with service.connected() as connection:
            if size > 1000 or status != 408:
                await connection.send(*cut(with_header(LARGE[:60_000]), size))
                assert (await connection.response())[0] == 200
            await connection.send(*cut(data, size))
            await connection.refused(status)

    await asyncio.gather(*(send(data, size) for data in REFUSED[status] for size in (1000, 10**9)))


async def test_slow_body_is_accepted_and_slow_headers_are_not(service: Service) -> None:
    async with service.connected() as connection:
        await connection.send(POST % 6)
        for piece in (b"st", b"ea", b"dy"):
            await connection.silent(WAIT / 2)
            await connection.send(piece)
        assert (await connection.response())[2] == b"steady"
        await connection.send(HALF + b"st: x\r\n")
        for _ in range(3):
            await connection.silent(WAIT / 5)
            await connection.send(b"X-Slow: x\r\n")
        await connection.refused(408)


async def test_connection_serves_pipelined_requests_in_order(service: Service) -> None:
    bodies = [b"%03d" % number for number in range(100)]
    async with service.connected() as connection:
        for body in bodies:
            await connection.send(POST % 3, body)
            assert (await connection.response())[2] == body
        await connection.send(b"".join(POST % 3 + body for body in bodies))
        assert [(await connection.response())[2] for _ in bodies] == bodies


@pytest.mark.slow
async def test_limits_pause_while_client_waits_for_service(service: Service) -> None:
    body = b"x" * 1_000_000
    async with service.connected() as connection, service.connected() as sending:
        task = asyncio.create_task(sending.send(POST.replace(b"echo", b"late") % len(body), body))
        await connection.send(GET % b"/late", HALF)
        await connection.silent(3 * WAIT)
        service.late.set()
        await connection.send(b"st: x\r\n\r\n")
        assert [(await connection.response())[0] for _ in range(2)] == [200, 200]
        assert (await sending.response())[2] == body
        await task


async def test_expect_continue_is_answered_and_trailers_are_dropped(service: Service) -> None:
    async with service.connected() as connection:
        await connection.send(CHUNKED[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert (await connection.response())[0] == 100
        await connection.send(b"4\r\nbody\r\n0\r\nX-API-Key: x\r\n\r\n")
        _, headers, body = await connection.response()
        assert (headers["x-seen"], body) == ("host transfer-encoding expect", b"body")


async def test_request_id_cannot_add_headers(service: Service) -> None:
    async with service.connected() as connection:
        for value in (b"a%0d%0aX-Evil: 1", b"a b", b"a\xff", b"a;X-Evil: 1", b"a\\r\\nX-Evil: 1", b"x" * 200):
            await connection.send(with_header(b"X-Request-ID: " + value))
            status, headers, _ = await connection.response()
            assert (status, len(headers["x-request-id"]), "x-evil" in headers) == (200, 32, False)


SENT = [b"", HALF, POST % 9, POST.replace(b"echo", b"late") % 9, GET % b"/late" + HALF, GET % b"/echo"]


@pytest.mark.parametrize("how", ["half-closed", "closed", "reset"])
async def test_connection_of_leaving_client_is_closed(service: Service, how: str) -> None:
    for sent in SENT[:-1] if how == "half-closed" else SENT:
        async with service.connected() as connection:
            await connection.send(sent)
            await service.until(1)
            if how == "half-closed":
                connection.socket.shutdown(socket.SHUT_WR)
                await connection.read()
                assert connection.buffer == b""
            elif how == "reset":
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def test_half_closed_client_receives_response(service: Service) -> None:
    for sent, answers in [(POST.replace(b"echo", b"late") % 4 + b"body", 1), ((GET % b"/late") * 3, 3)]:
        service.late.clear()
        async with service.connected() as connection:
            await connection.send(sent)
            await service.until(1)
            connection.socket.shutdown(socket.SHUT_WR)
            await connection.silent(WAIT / 2)
            service.late.set()
            await connection.read()
            assert connection.buffer.count(b"HTTP/1.1 200") == answers


REFUSED_POST = POST.replace(b"echo", b"refused") % 4
IDLE = [(b"", b""), (b"", b"\r\n"), (GET % b"/refused", b""), (GET % b"/refused", b"\r\n"), (REFUSED_POST, b"body")]


async def test_idle_connections_are_closed(service: Service) -> None:
    async def wait(first: bytes, then: bytes) -> None:
        async with service.connected() as connection:
            await connection.send(first)
            assert not first or (await connection.response())[0] == 200
            await connection.send(then)
            await connection.read()

    await asyncio.gather(*(wait(first, then) for first, then in IDLE))
