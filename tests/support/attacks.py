"""Attacks by one user on a service. Each returns when all its requests are answered, or after a time limit."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
import websockets.asyncio.client

from tests.support.agents import agent, echo
from tests.support.service import Service

SECONDS = 12.0  # limit of an attack that would not end by itself
ORPHANS = 1500  # tool calls without a result in a transcript that is repaired
GROWING = "[" + ",".join(["1e99"] * 12_000) + "]"  # 60 kB that are 1.2 MB as numeric


class Attacker:
    """The credentials of one user, HTTP clients, and misbehaving sockets."""

    def __init__(self, service: Service, headers: dict[str, str]) -> None:
        self.service, self.headers = service, headers
        limits = httpx.Limits(max_connections=None)
        self.client = httpx.AsyncClient(
            base_url=service.url, headers=headers, timeout=SECONDS, verify=False, limits=limits
        )

    async def session(self, **sections: Any) -> str:
        """Creates a session whose agent echoes messages, and returns its path."""
        return (await agent(self.client, sections.pop("provider", echo()), **sections)).path

    async def all(self, requests: Iterable[Awaitable[Any]]) -> list[Any]:
        """Makes requests concurrently and returns the responses, or an exception for each that is cut off or late."""
        async with asyncio.timeout(10 * SECONDS):
            return await asyncio.gather(*requests, return_exceptions=True)

    def post(self, path: str, body: str | bytes) -> Awaitable[httpx.Response]:
        """Posts JSON text."""
        return self.client.post(path, content=body, headers={"Content-Type": "application/json"})

    def raw(self, method: str, path: str, *headers: str) -> bytes:
        """Returns the head of a request as bytes."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    @contextlib.asynccontextmanager
    async def sockets(self, count: int, data: bytes) -> AsyncIterator[list[asyncio.StreamWriter]]:
        """Opens connections that send `data` and read nothing."""
        address = urlsplit(self.service.url)
        async with contextlib.AsyncExitStack() as stack:
            writers = []
            for _ in range(count):
                # with a small limit the reader and the socket stop reading at once
                _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
                stack.callback(writer.transport.abort)
                writer.write(data)
                writers.append(writer)
            yield writers


async def braces(attacker: Attacker) -> None:
    """Sends messages that look like the beginning of a tool call."""
    path = await attacker.session()
    text = "/call " + "{" * 120_000 + " x"
    await attacker.all(attacker.client.post(f"{path}/messages", json={"message": text}) for _ in range(4))


async def half_bodies(attacker: Attacker) -> None:
    """Sends more bodies than the pool has connections, each byte by byte."""
    path = await attacker.session()
    head = ("Idempotency-Key: {}", "Content-Type: application/json", "Content-Length: 1000")
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            data = attacker.raw("POST", f"{path}/resume", head[0].format(f"key-{number}"), *head[1:]) + b"{"
            await stack.enter_async_context(attacker.sockets(1, data))
        await asyncio.sleep(SECONDS)


async def large_events(attacker: Attacker) -> None:
    """Makes many changes of the largest size, and opens streams that replay all of them."""
    path = await attacker.session()
    for size in (1_000_000, 60_000):
        for number in range(30):
            await attacker.client.patch(path, json={"metadata": {"text": "x" * size, "number": number}})
    async with attacker.sockets(20, attacker.raw("GET", f"{path}/events?after=0")):
        await asyncio.sleep(SECONDS / 2)


async def growing_numbers(attacker: Attacker) -> None:
    """Sends few bytes that become many when they are parsed."""
    path = await attacker.session()
    for body in (GROWING, "[" + ",".join([GROWING] * 100) + "]"):
        await attacker.client.patch(
            path, content=f'{{"metadata": {{"a": {body}}}}}', headers={"Content-Type": "application/json"}
        )
        await attacker.all(attacker.post(f"{path}/transcript", _messages(f'{{"a": {body}}}', 1)) for _ in range(4))
        await attacker.all(attacker.client.get(path) for _ in range(20))


async def poisoned_runs(attacker: Attacker) -> None:
    """Queues messages whose runs cannot start, and transcripts that cannot be read."""
    numbers = "[" + ",".join(["1e99"] * 200_000) + "]"
    paths = [await attacker.session(provider=echo(delay=0.2)) for _ in range(4)]
    for path in paths:
        await attacker.post(f"{path}/transcript", _messages("9" * 5000, 1))
    bodies = ('{"message": "one two three"}', f'{{"message": "x", "context": {{"a": {numbers}}}}}')
    await attacker.all(attacker.post(f"{path}/messages", body) for path in paths for body in bodies)


async def many_runs(attacker: Attacker) -> None:
    """Starts more slow agents than a process runs at a time."""
    paths = await asyncio.gather(*(attacker.session(provider=echo(delay=1)) for _ in range(60)))
    message = {"message": "one two three four five six"}
    await attacker.all(attacker.client.post(f"{path}/messages", json=message) for path in paths)


async def heavy_appends(attacker: Attacker) -> None:
    """Sends more appends than the pool has connections, each of the largest size."""
    path = await attacker.session()
    body = _messages('"' + "lorem ipsum dolor " * 450 + '"', 200)
    await attacker.all(attacker.post(f"{path}/transcript", body) for _ in range(24))
    await attacker.all([attacker.post(f"{path}/transcript", _messages('"' + "word " * 1600 + '"', 900))])


async def repairs(attacker: Attacker) -> None:
    """Repairs many faulty transcripts concurrently."""
    paths = [await attacker.session() for _ in range(12)]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for path in paths:
        messages = [
            {"role": "assistant", "content": "", "tool_calls": [call | {"id": f"call-{number}"}]}
            for number in range(ORPHANS)
        ]
        for start in range(0, ORPHANS, 500):
            await attacker.client.post(f"{path}/transcript", json={"messages": messages[start : start + 500]})
    await attacker.all(attacker.client.get(f"{path}/diagnosis") for path in paths)
    await attacker.all(attacker.client.post(f"{path}/repair") for path in paths)


async def read_frames(attacker: Attacker) -> None:
    """Sends read markers without end over sockets."""
    path = await attacker.session()
    await attacker.post(f"{path}/transcript", _messages('"x"', 100))
    url = f"ws{attacker.service.url.removeprefix('http')}{path}/ws"

    async def flood() -> None:
        async with websockets.asyncio.client.connect(url, additional_headers=attacker.headers) as socket:
            for number in range(2000):
                await socket.send(json.dumps({"type": "read", "seq": number % 100 + 1}))

    await attacker.all(flood() for _ in range(20))


async def unread_answers(attacker: Attacker) -> None:
    """Requests streams and responses and does not read them."""
    path = await attacker.session()
    await attacker.post(f"{path}/transcript", _messages('"' + "x" * 7_900_000 + '"', 1))
    stream = attacker.raw("GET", f"{path}/events?after=0")
    whole = attacker.raw("GET", f"{path}/transcript?limit=1000")
    async with attacker.sockets(30, stream), attacker.sockets(40, whole):
        await asyncio.sleep(SECONDS)


def _messages(content: str, count: int) -> str:
    """Returns the body of an append of so many messages with this content, which is JSON text."""
    return '{"messages": [' + ", ".join([f'{{"role": "user", "content": {content}}}'] * count) + "]}"


ATTACKS: list[Callable[[Attacker], Awaitable[None]]] = [
    braces,
    half_bodies,
    large_events,
    growing_numbers,
    poisoned_runs,
    many_runs,
    heavy_appends,
    repairs,
    read_frames,
    unread_answers,
]
