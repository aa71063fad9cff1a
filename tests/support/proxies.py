"""Proxies in front of a service that do what proxies do wrong: they buffer, refuse, or lose answers."""

import asyncio
import contextlib
import re

from tests.support.doctor import Answer


def buffering(port: int) -> Answer:
    """Passes an answer on only when all of it has come, as a proxy does that buffers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        whole = await asked(port, head, body)
        writer.write(whole)
        await writer.drain()

    return answer


def refusing(port: int, beginning: str, answer: str) -> Answer:
    """Passes requests on, except those that begin so: it answers them itself."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        refused = head.startswith(beginning.encode())
        writer.write(answer.encode() if refused else await asked(port, head, body))
        await writer.drain()

    return answered


def forgetting(port: int, beginning: str) -> Answer:
    """Passes requests on, and loses the answer of the first that begins so."""
    lost: list[bytes] = []

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        answer = await asked(port, head, body)
        if head.startswith(beginning.encode()) and not lost:
            lost.append(answer)
            return
        writer.write(answer)
        await writer.drain()

    return answered


def renaming(port: int, host: str) -> Answer:
    """Passes requests on with another Host."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        writer.write(await asked(port, re.sub(rb"(?i)\r\nhost: [^\r]*", b"\r\nHost: " + host.encode(), head), body))
        await writer.drain()

    return answered


def passing(port: int) -> Answer:
    """Passes bytes on as they come, both ways."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [_copied(reader, inner_writer), _copied(inner_reader, writer)]
        await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        inner_writer.close()

    return answer


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Returns the head and the body of the first request of a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head, await reader.readexactly(sum(lengths))


async def asked(port: int, head: bytes, body: bytes) -> bytes:
    """Returns the whole answer of the service on a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
    answer = await reader.read(-1)
    writer.close()
    return answer
