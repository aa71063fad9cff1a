"""Idempotency-Key: whatever is lost on the way, what was asked once is done once."""

import asyncio
import itertools
import json
import os
import signal
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.maintenance.expiry import sweep
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.cutting import Lost, cutting
from tests.support.live import live, origin_of, until
from tests.support.service import free_port, running_service

BUNDLE = {"bundle": {"name": "b"}}


def keyed(key: str | None = None) -> dict[str, str]:
    """The header, by default with a new key."""
    return {"Idempotency-Key": key or str(uuid.uuid4())}


async def new_session(client: httpx.AsyncClient) -> str:
    """The path of a new session."""
    config = (await client.post("/configs", json={"name": "n", "config_data": BUNDLE})).json()
    session = (await client.post("/sessions", json={"config_id": config["config_id"]})).json()
    return f"/sessions/{session['session_id']}"


def said(*texts: str) -> dict[str, Any]:
    """The body that appends these."""
    return {"messages": [{"role": "user", "content": text} for text in texts]}


async def contents(client: httpx.AsyncClient, session: str) -> list[str]:
    """What the transcript says."""
    plain = await client.get(f"{session}/transcript", params={"view": "plain"})
    return [message["content"] for message in plain.json()]


async def test_a_repeated_request_gets_the_same_answer_and_does_nothing(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    session = await new_session(alice)
    config = (await alice.get("/configs")).json()["configs"][0]["config_id"]
    for path, body, table in (
        ("/configs", {"name": "n", "config_data": BUNDLE}, "configs"),
        ("/sessions", {"config_id": config}, "sessions"),
        (f"{session}/fork", {}, "sessions"),
        (f"{session}/transcript", said("a"), "messages"),
        (f"{session}/participants", {"user_id": "bob", "role": "viewer"}, "session_participants"),
        (f"{session}/invitations", {"role": "viewer"}, "session_invitations"),
        (f"{session}/resume", {}, "session_events"),
    ):
        headers = keyed()
        first = await alice.post(path, json=body, headers=headers)
        assert first.is_success, first.text
        assert "idempotency-replayed" not in first.headers
        before = sql(f"select count(*) from {table}")
        again = await alice.post(f"{path}/", json=body, headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers.get("etag") == first.headers.get("etag")
        assert sql(f"select count(*) from {table}") == before


async def test_a_key_belongs_to_one_request_and_one_caller(api: Api, alice: httpx.AsyncClient) -> None:
    session, headers = await new_session(alice), keyed()
    await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    for path, body in ((f"{session}/transcript", said("b")), ("/configs", said("a"))):
        other = await alice.post(path, json=body | {"name": "n", "config_data": BUNDLE}, headers=headers)
        assert_problem(other, 422, "Idempotency-Key: was used for another request; use a new key for each")
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "editor"})
    for somebody in (await api.as_user("bob"), await api.as_user("alice", "other-app")):
        mine = await somebody.post(f"{session}/transcript", json=said("a"), headers=headers)
        assert mine.status_code == 201
        assert "idempotency-replayed" not in mine.headers
    assert await contents(alice, session) == ["a", "a", "a"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f", "é".encode()])
async def test_keys_of_another_form_are_refused(alice: httpx.AsyncClient, key: str | bytes) -> None:
    session = await new_session(alice)
    refused = await alice.post(f"{session}/transcript", json=said("a"), headers=[(b"Idempotency-Key", key)])  # type: ignore[list-item]
    assert_problem(refused, 422)
    assert refused.json()["detail"].startswith("Idempotency-Key: ")
    assert await contents(alice, session) == []


async def test_what_was_refused_may_be_asked_again(api: Api, alice: httpx.AsyncClient) -> None:
    session, headers = await new_session(alice), keyed()
    bob = await api.as_user("bob")
    assert_problem(await bob.post(f"{session}/transcript", json=said("a"), headers=headers), 404, "Session not found")
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "editor"})
    assert (await bob.post(f"{session}/transcript", json=said("a"), headers=headers)).status_code == 201
    assert await contents(alice, session) == ["a"]


async def test_secrets_in_answers_can_be_read_with_the_key_only(
    dsn: str, api: Api, sql: Callable[..., list[Any]]
) -> None:
    admin, headers = await api.as_user("root", "admin"), keyed()
    body = {"app_id": "new", "app_name": "New"}
    first = await admin.post("/applications", json=body, headers=headers)
    assert (await admin.post("/applications", json=body, headers=headers)).json() == first.json()
    [(row,)] = sql("select k::text || encode(response, 'escape') from idempotency_keys as k")
    for secret in (first.json()["api_key"], headers["Idempotency-Key"], "registered"):
        assert secret not in row
    async with serving(settings_for(dsn, secret_key="another secret, as after a rotation of it")) as elsewhere:
        elsewhere.app.state.authenticator = api.app.state.authenticator
        other = elsewhere.client(dict(admin.headers))
        assert_problem(await other.post("/applications", json=body, headers=headers), 409)


async def test_of_many_at_once_one_is_carried_out(dsn: str, api: Api, alice: httpx.AsyncClient) -> None:
    session, headers = await new_session(alice), keyed()
    async with serving(api.settings) as elsewhere:
        clients = [alice, elsewhere.client(dict(alice.headers))]
        answers = await asyncio.gather(
            *(clients[n % 2].post(f"{session}/transcript", json=said("a"), headers=headers) for n in range(40))
        )
    done = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in done}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in done) == 1
    for answer in answers:
        if answer not in done:
            assert_problem(answer, 409)
            assert answer.headers["retry-after"] == "1"
    assert await contents(alice, session) == ["a"]


async def test_while_the_first_one_runs_others_are_asked_to_wait(
    dsn: str, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    session, headers = await new_session(alice), keyed()
    with psycopg.connect(dsn) as holding:
        holding.execute("select from sessions for update")  # which an append waits for
        first = asyncio.create_task(alice.post(f"{session}/transcript", json=said("a"), headers=headers))
        await until(lambda: sql("select pid from pg_locks where not granted"))
        second = await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    assert_problem(second, 409, "A request with this Idempotency-Key is being carried out: try again")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 201
    assert await contents(alice, session) == ["a"]


async def test_after_a_day_a_key_is_new(api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]) -> None:
    session, headers = await new_session(alice), keyed()
    for _ in range(2):
        await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    sql("update idempotency_keys set created_at = now() - interval '24 hours'")
    again = await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    assert "idempotency-replayed" not in again.headers
    assert await contents(alice, session) == ["a", "a"]
    await sweep(api.app.state.queries)
    assert sql("select count(*) from idempotency_keys") == [(1,)]
    sql("update idempotency_keys set created_at = now() - interval '24 hours'")
    await sweep(api.app.state.queries)
    assert sql("select count(*) from idempotency_keys") == [(0,)]


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_wherever_the_database_is_lost_a_retry_does_it_once(dsn: str, tmp_path: Path, lost: Lost) -> None:
    """The connection is cut at every point of the conversation: BEGIN, the key, the work, the answer, COMMIT."""
    async with cutting(dsn, tmp_path) as cutter, serving(settings_for(cutter.dsn)) as api:
        alice = await api.as_user("alice")
        session, refused = await new_session(alice), 0
        for point in itertools.count(1):
            headers, body = keyed() | {"content-type": "application/json"}, json.dumps(said(str(point))).encode()
            cutter.arm(point, lost)
            first = await alice.post(f"{session}/transcript", content=body, headers=headers)
            was_cut = cutter.disarm()
            assert first.status_code in (201, 503 if was_cut else 201), first.text  # another one may have been cut
            refused += first.status_code == 503
            await until_done(alice, f"{session}/transcript", body, headers)
            assert await contents(alice, session) == [str(n) for n in range(1, point + 1)]
            if not was_cut:
                break
        assert refused >= 4


async def until_done(client: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> None:
    """Asks again as a client should: with the same key, while the answer is to come back later."""

    async def done() -> bool:
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code in (201, 409, 503), answer.text
        assert answer.status_code == 201 or "retry-after" in answer.headers
        return answer.status_code == 201

    async with asyncio.timeout(10):
        while not await done():
            pass


async def test_wherever_the_client_is_lost_a_retry_does_it_once(dsn: str) -> None:
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
def test_killed_in_the_middle_nothing_is_lost_or_doubled(dsn: str, alone: None) -> None:
    """SIGKILL while many appends are under way; after a restart each client asks again with its key."""
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


async def test_followers_hear_of_an_append_with_a_key(dsn: str) -> None:
    """They are told after the commit: a read before it would find nothing."""
    async with live(settings_for(dsn, notify_delay=3600)) as service:
        alice = await service.as_user("alice")
        session = await new_session(alice)
        async with service.stream(alice, f"{session}/events") as stream:
            await alice.post(f"{session}/transcript", json=said("a"), headers=keyed())
            event = await stream.next("message.created")
            assert event is not None
            assert event.data["message"]["content"] == "a"
