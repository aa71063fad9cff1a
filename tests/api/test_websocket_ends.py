"""Sockets end with the right to read and leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.api.test_streams import add, share
from tests.api.test_websockets import Sql
from tests.conftest import serving, settings_for
from tests.support.live import Live, live, until


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network, for the pages of one origin."""
    async with live(settings_for(dsn, allowed_origins="https://app.example")) as api:
        yield api


@pytest.mark.parametrize("end", ["removed", "deleted", "expired"])
async def test_socket_ends_when_it_has_to(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql, end: str
) -> None:
    await share(alice, session_id, "bob")
    ticket = (await bob.post(f"/sessions/{session_id}/events/ticket")).json()["ticket"]
    if end == "expired":
        sql("update stream_tickets set token_expires_at = now() + interval '1 second'")
    async with api.socket(api.client(), f"/sessions/{session_id}/ws?ticket={ticket}") as socket:
        if end == "removed":
            await alice.delete(f"/sessions/{session_id}/participants/bob")
        elif end == "deleted":
            await alice.delete(f"/sessions/{session_id}")
        types = {"removed": "access.revoked", "deleted": "session.deleted", "expired": "token.expired"}
        assert (await socket.next()).type == types[end]
        with pytest.raises(ConnectionClosed):
            await socket.next()


async def test_closed_socket_is_forgotten(api: Live, alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    for close in (True, False):
        async with api.socket(alice, f"/sessions/{session_id}/ws") as socket:
            await until(lambda: sql("select count(*) from streams") == [(1,)])
            if not close:
                socket.connection.transport.abort()
        await until(lambda: sql("select count(*) from streams") == [(0,)])
    await add(alice, session_id, "nobody hears")


async def test_plain_request_finds_no_socket(dsn: str) -> None:
    async with serving(settings_for(dsn)) as api:
        assert (await api.client().get("/ws")).status_code in (404, 405)


async def test_two_sockets_talk_while_a_third_is_silent(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}/ws"
    async with api.socket(alice, path) as one, api.socket(alice, path) as two, api.socket(alice, path):
        await asyncio.gather(*(add(alice, session_id, str(number)) for number in range(20)))
        for socket in (one, two):
            assert [(await socket.next()).id for _ in range(20)] == list(range(1, 21))
