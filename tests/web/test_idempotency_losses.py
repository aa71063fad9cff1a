"""Idempotency-Key: a retry does the work once, wherever the database, the client or the service was lost."""

import asyncio
import json
import os
import signal
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import serving, settings_for
from tests.support.cutting import Lost, cutting
from tests.support.live import live, origin_of
from tests.support.service import free_port, running_service
from tests.web.test_idempotency import BUNDLE, contents, keyed, new_session, said


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize(("beside", "statements"), [({}, 1), ({"state": {"session": {"a": 1}}}, 5)])
async def test_retry_after_lost_database_does_work_once(
    dsn: str, tmp_path: Path, lost: Lost, beside: dict[str, Any], statements: int
) -> None:
    """The connection is cut at every message to the database: the one statement of an append, or BEGIN, the key, the
    work, the answer, COMMIT."""
    async with cutting(dsn, tmp_path) as cutter, serving(settings_for(cutter.dsn)) as api:
        alice = await api.as_user("alice")
        session, sent, point, others = await new_session(alice), 0, 1, 0
        was_cut = True
        while was_cut:
            sent += 1
            headers = keyed() | {"content-type": "application/json"}
            body = json.dumps(said(str(sent)) | beside).encode()
            cutter.arm(point, lost)
            first = await alice.post(f"{session}/transcript", content=body, headers=headers)
            was_cut = cutter.disarm()
            assert first.status_code in (201, 503 if was_cut else 201), first.text
            await until_done(alice, f"{session}/transcript", body, headers)
            assert await contents(alice, session) == [str(n) for n in range(1, sent + 1)]
            others = others + 1 if was_cut and first.status_code == 201 else 0
            # a connection of the background may have sent the message that was cut: then the same point is tried again
            point += others in (0, 10)
        assert point > statements


async def until_done(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> None:
    """Repeats the request as a client should: with the same key, as long as the answer is to retry later."""

    async def done() -> bool:
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code in (201, 409, 503), answer.text
        assert answer.status_code == 201 or "retry-after" in answer.headers
        return answer.status_code == 201

    async with asyncio.timeout(10):
        while not await done():
            pass


async def test_retry_after_lost_client_does_work_once(dsn: str) -> None:
    async with live(settings_for(dsn)) as service:
        alice = await service.as_user("alice")
        session = await new_session(alice)
        host, _, port = origin_of(service.url).partition(":")
        expected = []
        for text in ("in the middle of the headers", "before the body", "within the body", "before the answer"):
            headers, sent = keyed(), json.dumps(said(text)).encode()
            headers["content-type"] = "application/json"
            fields = dict(alice.headers) | headers | {"host": host, "content-length": str(len(sent))}
            head = f"POST {session}/transcript HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
            whole = head.encode() + b"\r\n" + sent
            ends = {"in the middle of the headers": 40, "before the body": len(head) + 2}
            part = whole[: ends.get(text, len(whole) - 5 if text == "within the body" else len(whole))]
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(part)
            expected.append(text)
            await until_done(alice, f"{session}/transcript", sent, headers)
            assert await contents(alice, session) == expected


@pytest.mark.slow
def test_killed_service_loses_and_doubles_nothing(dsn: str, alone: None) -> None:
    """SIGKILL during many appends; after a restart each client repeats its request with its key."""
    environ = {"DATABASE_URL": dsn, "SERVICE_PORT": str(free_port())}
    keys = [str(uuid.uuid4()) for _ in range(200)]

    def append(client: httpx.Client, path: str, number: int) -> bool:
        body, headers = said(str(number)), keyed(keys[number])
        try:
            return client.post(path, json=body, headers=headers, timeout=10).status_code == 201
        except httpx.TransportError:
            return False

    with ThreadPoolExecutor(16) as pool:
        with running_service(environ) as service, httpx.Client(base_url=service.url) as client:
            config = client.post("/configs", json={"name": "n", "config_data": BUNDLE}).json()
            session = client.post("/sessions", json={"config_id": config["config_id"]}).json()
            path = f"/sessions/{session['session_id']}/transcript"
            under_way = [pool.submit(append, client, path, number) for number in range(len(keys))]
            next(iter(task for task in under_way if task.result()))
            os.killpg(service.process.pid, signal.SIGKILL)
            service.process.wait(10)
            acknowledged = [task.result() for task in under_way]
        assert any(acknowledged)
        assert not all(acknowledged)
        with running_service(environ) as service, httpx.Client(base_url=service.url) as client:
            left = range(len(keys))
            for _ in range(20):
                results = list(pool.map(lambda number: append(client, path, number), left))
                left = [number for number, done in zip(left, results, strict=True) if not done]
                if not left:
                    break
            stored = [int(message["content"]) for message in client.get(path, params={"view": "plain"}).json()]
    assert sorted(stored) == list(range(len(keys)))
