"""Live events to many clients of one process, and to clients that do not read: memory and connections stay bounded."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.soak import OURS, append, client, events, new_sessions, opened, services, until
from tests.support.streams import Audience, read_on, unread_stream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
Sql = Callable[..., list[Any]]
FOR_EVER = 3600.0  # seconds that a follower stays that does not leave before the test ends
LIMIT = 90.0  # seconds; alone on two cores the longest takes a fifth of that
GRACE = 10.0  # seconds of SHUTDOWN_GRACE


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raises the limit of open files for a thousand streams, here and in new processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_client_that_never_reads_takes_bounded_memory(dsn: str) -> None:
    stop, slowest = asyncio.Event(), 0.0

    def memory() -> int:
        """Returns the resident memory of the service in MB."""
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    async def ask() -> None:
        nonlocal slowest
        while not stop.is_set():
            started = time.monotonic()
            assert (await api.get(f"/sessions/{session_id}")).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.02)

    with services(1, dsn, RUNTIME_MODULES="provider-echo") as [
        service
    ]:  # the import of SDKs would add memory during the test
        async with client(service) as api:
            audience, [session_id] = Audience(), await new_sessions(api, 1)
            audience.add(session_id, events(session_id), lambda: service.url, lambda _: FOR_EVER)
            sizes, last_seq = [], 0
            with unread_stream(service.url, f"{events(session_id)}?after=0") as unread:
                async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
                    for coroutine in [*audience.follow(), ask()]:
                        group.create_task(coroutine)
                    for _ in range(20):
                        last_seq = await append(api, session_id, last_seq, 4, "x" * 500_000)
                        sizes.append(memory())
                    stop.set()
                    audience.ends[session_id] = last_seq + 1
                    await append(api, session_id, last_seq, 1)
                audience.check()
                assert max(sizes) - sizes[2] < 25, sizes
                assert slowest < 5
                async with asyncio.timeout(30), read_on(unread) as stream:
                    assert [(await stream.logged()).id for _ in range(last_seq + 1)] == list(range(1, last_seq + 2))


async def test_thousand_subscribers_need_no_more_connections(dsn: str, sql: Sql, many_files: None) -> None:
    def connections() -> int:
        return int(sql(f"select count(*) {OURS}")[0][0])

    limits = {f"DATABASE_{name}_TIMEOUT": "30" for name in ("ACQUIRE", "STATEMENT", "LOCK")}
    with services(1, dsn, DATABASE_POOL_MAX_SIZE="5", **limits) as [service]:
        async with client(service) as api, contextlib.AsyncExitStack() as stack:
            [session_id] = await new_sessions(api, 1)
            streams = await opened(stack, service, session_id, 1)
            with psycopg.connect(dsn) as holding:  # makes the pool open all its connections
                holding.execute("select from sessions for update")
                path = f"/sessions/{session_id}/transcript"
                busy = [asyncio.create_task(api.post(path, json={"messages": [{"role": "user"}]})) for _ in range(10)]
                await until(lambda: connections() == 6)
            assert {answer.status_code for answer in await asyncio.gather(*busy)} == {201}
            before = connections()
            assert before == 6, "the pool, and the one that listens"
            assert [(await streams[0].logged()).id for _ in busy] == list(range(1, 11))
            streams += await opened(stack, service, session_id, 999)
            await append(api, session_id, 10, 1)
            async with asyncio.timeout(20):
                assert [(await stream.logged()).id for stream in streams] == [11] * 1000
            assert connections() == before


async def test_shutdown_ends_five_hundred_streams(dsn: str, many_files: None) -> None:
    with services(1, dsn, SHUTDOWN_GRACE=str(GRACE)) as [service]:
        async with client(service) as api, contextlib.AsyncExitStack() as stack:
            followed, unread = await new_sessions(api, 2)
            stalled = stack.enter_context(unread_stream(service.url, events(unread)))
            streams = await opened(stack, service, followed, 500)
            await append(api, followed, 0, 1)
            # larger than the buffers of both sockets: after the first bytes the rest waits in the process
            await append(api, unread, 0, 1, "x" * 7_000_000)
            await until(lambda: b"message.created" in stalled.recv(2000, socket.MSG_PEEK))
            started = time.monotonic()
            service.process.terminate()
            for stream in streams:
                assert [event.id async for event in stream if event.type == "message.created"] == [1]
                first, last = stream.retries
                assert first == 2000
                assert 500 <= last <= 5000
            await until(lambda: service.process.poll() is not None)
            assert service.process.returncode == 0
            assert time.monotonic() - started < GRACE - 1
            assert "Traceback" not in service.output
