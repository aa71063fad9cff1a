"""Slow clients hold no connection of the pool, and a body has a deadline."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.exceptions import LitestarException

from amplifier.web import http_protocol
from tests.conftest import Api, settings_for
from tests.support.live import Live, live, origin_of
from tests.support.raw_http import LIMIT, POST, WAIT, Service
from tests.support.raw_http import service as service

POOL = 2


@pytest.fixture
async def small(dsn: str) -> AsyncIterator[Live]:
    """The service with few connections and a short wait for one."""
    async with live(settings_for(dsn, database_pool_max_size=POOL, database_acquire_timeout=0.5)) as api:
        yield api


@contextlib.asynccontextmanager
async def half_sent(api: Live, path: str, headers: dict[str, str]) -> AsyncIterator[None]:
    """Sends a POST with one byte of its body."""
    host, _, port = origin_of(api.url).partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    fields = headers | {"host": host, "content-length": "9", "content-type": "application/json"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n{{".encode())
    await writer.drain()
    yield
    writer.close()


BODYLESS = ["sessions/{}/resume", "sessions/{}/cancel", "sessions/{}/repair", "sessions/{}/events/ticket"]
BODYLESS += ["events/ticket", "applications/app/regenerate-key"]


@pytest.mark.parametrize("path", BODYLESS)
async def test_half_sent_body_holds_no_connection(small: Live, path: str) -> None:
    alice, bob = await small.as_user("alice"), await small.as_user("bob")
    config = (await alice.post("/configs", json={"name": "n", "config_data": {"bundle": {"name": "b"}}})).json()
    session = (await alice.post("/sessions", json={"config_id": config["config_id"]})).json()
    credentials = {name: alice.headers[name] for name in ("x-api-key", "authorization")}
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3 * POOL):
            headers = credentials | {"idempotency-key": f"key-{number}"}
            await stack.enter_async_context(half_sent(small, f"/{path.format(session['session_id'])}", headers))
        for _ in range(3 * POOL):  # by then the service has read what was sent
            assert (await bob.get("/configs")).status_code == 200


async def test_client_is_never_awaited_inside_transaction(api: Api) -> None:
    """Receiving and sending raise inside a transaction, which guards future code, too."""
    alice = await api.as_user("alice")
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/sessions", "raw_path": b"/sessions"}
    scope |= {"query_string": b"", "client": None, "state": {}}
    scope["headers"] = [(b"content-type", b"application/json"), (b"host", b"test")]
    scope["headers"] += [(name.encode(), alice.headers[name].encode()) for name in ("x-api-key", "authorization")]
    awaited: list[str] = []

    async def receive() -> Any:
        awaited.append("receive")

    async def send(message: Any) -> None:
        awaited.append("send")

    async with api.app.state.queries.database.transaction():
        with pytest.raises((RuntimeError, LitestarException)):
            await api.app(scope, receive, send)  # type: ignore[arg-type]
        with pytest.raises((RuntimeError, LitestarException)):
            await api.app(scope | {"method": "GET", "path": "/version"}, receive, send)  # type: ignore[arg-type]
    assert awaited == []


async def test_body_below_minimum_rate_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no request alive, whichever way the body is framed."""
    monkeypatch.setattr(http_protocol, "BODY_SECONDS", LIMIT)
    monkeypatch.setattr(http_protocol, "BODY_GRACE", WAIT)
    framed = [(POST % 10**6, b"x"), (POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked"), b"1\r\nx\r\n")]

    async def trickle(head: bytes, piece: bytes) -> None:
        async with service.connected() as connection:
            await connection.send(head)
            sending = asyncio.create_task(keep_sending(connection, piece))
            await connection.refused(408)
            sending.cancel()

    async def keep_sending(connection: Any, piece: bytes) -> None:
        while True:
            await connection.send(piece)
            await asyncio.sleep(WAIT / 10)

    await asyncio.gather(*(trickle(head, piece) for head, piece in framed))


async def test_body_above_minimum_rate_is_accepted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part received extends the deadline of the rest."""
    monkeypatch.setattr(http_protocol, "BODY_GRACE", WAIT)
    monkeypatch.setattr(http_protocol, "BODY_RATE", 10)
    async with service.connected() as connection:
        await connection.send(POST % 30)
        for _ in range(6):
            await connection.silent(WAIT / 2)
            await connection.send(b"x" * 5)
        assert (await connection.response())[2] == b"x" * 30
