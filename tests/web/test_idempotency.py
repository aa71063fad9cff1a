"""Idempotency-Key: a repeated request gets the stored answer and does nothing again."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.maintenance.expiry import sweep
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.live import live, until
from tests.support.polling import WAITING

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
    """Returns the contents of the transcript's messages."""
    plain = await client.get(f"{session}/transcript", params={"view": "plain"})
    return [message["content"] for message in plain.json()]


async def test_repeated_deletion_replays_answer_without_body(alice: httpx.AsyncClient) -> None:
    session = await new_session(alice)
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "viewer"})
    headers = keyed()
    answers = [await alice.delete(f"{session}/participants/bob", headers=headers) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, True]
    assert_problem(await alice.delete(f"{session}/participants/bob"), 404, "Participant not found")


async def test_repeated_request_replays_answer_without_change(
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


async def test_key_belongs_to_one_request_and_caller(api: Api, alice: httpx.AsyncClient) -> None:
    session, headers = await new_session(alice), keyed()
    await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    for path, body in ((f"{session}/transcript", said("b")), ("/configs", {"name": "n", "config_data": BUNDLE})):
        other = await alice.post(path, json=body, headers=headers)
        assert_problem(other, 422, "Idempotency-Key: was used for another request; use a new key for each")
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "editor"})
    for somebody in (await api.as_user("bob"), await api.as_user("alice", "other-app")):
        mine = await somebody.post(f"{session}/transcript", json=said("a"), headers=headers)
        assert mine.status_code == 201
        assert "idempotency-replayed" not in mine.headers
    assert await contents(alice, session) == ["a", "a", "a"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f", "é".encode()])
async def test_malformed_key_is_refused(alice: httpx.AsyncClient, key: str | bytes) -> None:
    session = await new_session(alice)
    refused = await alice.post(f"{session}/transcript", json=said("a"), headers=[(b"Idempotency-Key", key)])  # type: ignore[list-item]
    assert_problem(refused, 422)
    assert refused.json()["detail"].startswith("Idempotency-Key: ")
    assert await contents(alice, session) == []


async def test_refused_request_may_be_repeated(api: Api, alice: httpx.AsyncClient) -> None:
    session, headers = await new_session(alice), keyed()
    bob = await api.as_user("bob")
    assert_problem(await bob.post(f"{session}/transcript", json=said("a"), headers=headers), 404, "Session not found")
    await alice.post(f"{session}/participants", json={"user_id": "bob", "role": "editor"})
    assert (await bob.post(f"{session}/transcript", json=said("a"), headers=headers)).status_code == 201
    assert await contents(alice, session) == ["a"]


async def test_stored_secrets_are_readable_only_with_key(dsn: str, api: Api, sql: Callable[..., list[Any]]) -> None:
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


async def test_one_of_many_concurrent_requests_is_carried_out(dsn: str, api: Api, alice: httpx.AsyncClient) -> None:
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


async def test_concurrent_repeat_is_asked_to_wait(
    dsn: str, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    session, headers = await new_session(alice), keyed()
    with psycopg.connect(dsn) as holding:
        holding.execute("select from sessions for update")  # which the change waits for
        first = asyncio.create_task(alice.patch(session, json={"title": "a"}, headers=headers))
        await until(lambda: sql(WAITING))
        second = await alice.patch(session, json={"title": "a"}, headers=headers)
    assert_problem(second, 409, "A request with this Idempotency-Key is being carried out: try again")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 200
    assert sql("select count(*) from session_events") == [(1,)]


async def test_concurrent_repeat_of_append_waits_for_its_answer(
    dsn: str, api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    """Both statements began before either committed, so that none sees the other's key."""
    session, headers = await new_session(alice), keyed()
    async with serving(api.settings) as elsewhere:
        clients = [alice, elsewhere.client(dict(alice.headers))]
        with psycopg.connect(dsn) as holding:
            holding.execute("select from sessions for update")
            sent = [
                asyncio.create_task(client.post(f"{session}/transcript", json=said("a"), headers=headers))
                for client in clients
            ]
            await until(lambda: len(sql(WAITING)) == 2)
        answers = await asyncio.gather(*sent)
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]
    assert await contents(alice, session) == ["a"]
    assert sql("select last_seq, message_count from sessions") == [(1, 1)]


async def test_key_of_append_to_another_session_is_refused(
    dsn: str, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    """Also while the other append is under way: neither waits for a row of the other's session."""
    sessions, headers = [await new_session(alice) for _ in range(2)], keyed()
    with psycopg.connect(dsn) as holding:
        holding.execute("select from sessions for update")
        sent = [
            asyncio.create_task(alice.post(f"{session}/transcript", json=said("a"), headers=headers))
            for session in sessions
        ]
        await until(lambda: len(sql(WAITING)) == 2)
    answers = sorted(await asyncio.gather(*sent), key=lambda answer: answer.status_code)
    assert answers[0].status_code == 201
    assert_problem(answers[1], 422, "Idempotency-Key: was used for another request; use a new key for each")
    assert sorted([await contents(alice, session) for session in sessions]) == [[], ["a"]]


async def test_append_and_its_stored_answer_are_one_statement(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    session, headers = await new_session(alice), keyed()
    sql("alter table idempotency_keys add constraint full_check check (false) not valid")
    try:
        assert_problem(await alice.post(f"{session}/transcript", json=said("a"), headers=headers), 500)
        assert await contents(alice, session) == []
    finally:
        sql("alter table idempotency_keys drop constraint full_check")
    first = await alice.post(f"{session}/transcript", json=said("a"), headers=headers)
    [(stored, is_encrypted)] = sql("select convert_from(response, 'UTF8'), is_encrypted from idempotency_keys")
    assert (first.text, is_encrypted) == (f"{stored}\n", False)
    assert sql("select count(*) from messages as m join idempotency_keys as k on k.xmin = m.xmin") == [(1,)]


async def test_repeat_of_append_with_expected_seq_is_replayed(alice: httpx.AsyncClient) -> None:
    """The repeated append is refused, because the first one moved the clock."""
    session, headers = await new_session(alice), keyed()
    body = said("a") | {"expected_seq": 0}
    first = await alice.post(f"{session}/transcript", json=body, headers=headers)
    again = await alice.post(f"{session}/transcript", json=body, headers=headers)
    assert (first.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (await alice.post(f"{session}/transcript", json=body, headers=keyed())).status_code == 412


async def test_key_expires_after_one_day(api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]) -> None:
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


async def test_followers_receive_append_with_key(dsn: str) -> None:
    """They are notified after the commit: a read before it would find nothing."""
    async with live(settings_for(dsn, notify_delay=3600)) as service:
        alice = await service.as_user("alice")
        session = await new_session(alice)
        async with service.stream(alice, f"{session}/events") as stream:
            await alice.post(f"{session}/transcript", json=said("a"), headers=keyed())
            event = await stream.next("message.created")
            assert event is not None
            assert event.data["message"]["content"] == "a"
