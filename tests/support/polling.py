"""Waits for states of a service, and statements that find and break the connections of a test's database."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from tests.conftest import Api

WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Waits until the condition holds. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def gives(client: httpx.AsyncClient, status: int, path: str = "/configs") -> bool:
    return (await client.get(path)).status_code == status


async def remembers(client: httpx.AsyncClient, api: Api) -> bool:
    return await gives(client, 200) and bool(api.app.state.authenticator.remembered)
