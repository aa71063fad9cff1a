"""Helpers for soak tests with real processes: sessions, repeated appends, many streams at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from tests.conftest import CONFIG
from tests.support.service import Service, running_service
from tests.support.streams import Events, open_stream

# the connections of services in pg_stat_activity, and of these the listening ones
OURS = "from pg_stat_activity where application_name like 'amplifier-api%' and datname = current_database()"
LISTENING = "application_name = 'amplifier-api listener'"


@contextlib.contextmanager
def services(count: int, dsn: str, **environ: str) -> Iterator[list[Service]]:
    """Runs processes on one database."""
    changes = {"DATABASE_URL": dsn, "MAX_STREAMS_PER_USER": "1000", "LOG_LEVEL": "warning", **environ}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running_service(changes)) for _ in range(count)]


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=30, verify=False)


async def new_sessions(api: httpx.AsyncClient, count: int) -> list[str]:
    config_id = (await api.post("/configs", json=CONFIG)).json()["config_id"]
    answers = [await api.post("/sessions", json={"config_id": config_id}) for _ in range(count)]
    return [answer.json()["session_id"] for answer in answers]


def events(session_id: str) -> str:
    return f"/sessions/{session_id}/events"


async def append(api: httpx.AsyncClient, session_id: str, last_seq: int, count: int, content: str = "x") -> int:
    """Appends to a session that has no other writers, and repeats on errors. Returns the new last_seq."""
    body = {"messages": [{"role": "user", "content": content}] * count, "expected_seq": last_seq}
    while (answer := await api.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 503:
        await asyncio.sleep(0.05)
    assert answer.status_code in (201, 412), answer.text
    assert answer.json()["last_seq"] == last_seq + count, "an earlier attempt was committed whole, or none"
    return last_seq + count


async def opened(stack: contextlib.AsyncExitStack, service: Service, session_id: str, count: int) -> list[Events]:
    """Opens `count` streams of a session, a few at a time."""
    gate = asyncio.Semaphore(50)

    async def one() -> Events:
        async with gate:
            return await stack.enter_async_context(open_stream(service.url, events(session_id)))

    return await asyncio.gather(*(one() for _ in range(count)))


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
