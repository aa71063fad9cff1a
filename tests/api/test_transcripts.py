"""Transcripts over HTTP: what goes in comes out, all or nothing, in one order."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem
from tests.support.paths import DATA

DIALECTS = json.loads((DATA / "transcripts.json").read_text())


def message(text: str = "hello", role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


async def append(client: httpx.AsyncClient, session_id: str, messages: list[Any], **more: Any) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transcript", json={"messages": messages, **more})


async def plain(client: httpx.AsyncClient, session_id: str, **query: Any) -> Any:
    response = await client.get(f"/sessions/{session_id}/transcript", params={"view": "plain", **query})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def test_append_and_read(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    first = await append(alice, session_id, [message("one"), message("two", "assistant")])
    assert first.status_code == 201
    assert first.json() == {
        "session_id": session_id,
        "first_seq": 1,
        "last_seq": 2,
        "message_count": 1,
        "messages_total": 2,
    }
    other = await api.as_user("alice", "other")
    second = await append(other, session_id, [message("three")])
    assert second.json() == {
        "session_id": session_id,
        "first_seq": 3,
        "last_seq": 3,
        "message_count": 2,
        "messages_total": 3,
    }
    read = (await alice.get(f"/sessions/{session_id}/transcript")).json()
    assert (read["session_id"], read["last_seq"], read["next"]) == (session_id, 3, None)
    assert [entry["seq"] for entry in read["messages"]] == [1, 2, 3]
    assert [entry["message"]["content"] for entry in read["messages"]] == ["one", "two", "three"]
    assert [entry["author_app_id"] for entry in read["messages"]] == ["app", "app", "other"]
    assert {entry["author_user_id"] for entry in read["messages"]} == {"alice"}
    times = [entry["created_at"] for entry in read["messages"]]
    assert times == sorted(times)


@pytest.mark.parametrize("transcript", DIALECTS, ids=lambda transcript: transcript["name"])
async def test_every_dialect_comes_back_equal(alice: httpx.AsyncClient, session_id: str, transcript: Any) -> None:
    assert (await append(alice, session_id, transcript["messages"])).status_code == 201
    assert await plain(alice, session_id) == transcript["messages"]


async def test_empty_transcript(alice: httpx.AsyncClient, session_id: str) -> None:
    read = (await alice.get(f"/sessions/{session_id}/transcript")).json()
    assert read == {"session_id": session_id, "last_seq": 0, "messages": [], "next": None}
    assert await plain(alice, session_id) == []
    assert await plain(alice, session_id, after=99, limit=5) == []


async def test_pages(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [message(str(number)) for number in range(1, 251)])
    path = f"/sessions/{session_id}/transcript"
    default = (await alice.get(path)).json()
    assert (len(default["messages"]), default["next"]) == (100, 100)
    collected, after = [], 0
    while after is not None:
        page = (await alice.get(path, params={"after": after, "limit": 60})).json()
        collected += [entry["message"]["content"] for entry in page["messages"]]
        after = page["next"]
    assert collected == [str(number) for number in range(1, 251)]
    assert len(await plain(alice, session_id)) == 250
    assert [m["content"] for m in await plain(alice, session_id, after=10, limit=3)] == ["11", "12", "13"]


async def test_plain_view_of_many_pages(alice: httpx.AsyncClient, session_id: str) -> None:
    for start in range(0, 2500, 500):
        await append(alice, session_id, [message(str(start + number)) for number in range(500)])
    assert [m["content"] for m in await plain(alice, session_id)] == [str(number) for number in range(2500)]
    assert len(await plain(alice, session_id, limit=1000)) == 1000


@pytest.mark.slow
async def test_large_messages_make_short_pages(alice: httpx.AsyncClient, session_id: str) -> None:
    large = message("x" * 3_000_000)
    for _ in range(4):
        assert (await append(alice, session_id, [large, large])).status_code == 201
    page = (await alice.get(f"/sessions/{session_id}/transcript", params={"limit": 1000})).json()
    assert [entry["seq"] for entry in page["messages"]] == [1, 2]
    assert page["next"] == 2
    assert await plain(alice, session_id) == [large] * 8


async def test_append_is_all_or_nothing(alice: httpx.AsyncClient, session_id: str) -> None:
    refused = await append(alice, session_id, [message(), message(), {"role": 7}, message()])
    problem = assert_problem(refused, 422)
    assert "messages[2].role" in problem["detail"]
    assert (await alice.get(f"/sessions/{session_id}")).json()["last_seq"] == 0
    assert (await append(alice, session_id, [message()])).json()["first_seq"] == 1


async def test_stale_expected_seq(alice: httpx.AsyncClient, session_id: str) -> None:
    assert (await append(alice, session_id, [message("one")], expected_seq=0)).status_code == 201
    assert (await append(alice, session_id, [message("two")], expected_seq=1)).status_code == 201
    problem = assert_problem(await append(alice, session_id, [message("late")], expected_seq=1), 412)
    assert problem["last_seq"] == 2
    assert [entry["message"]["content"] for entry in problem["missed"]] == ["two"]
    ahead = assert_problem(await append(alice, session_id, [message("early")], expected_seq=7), 412)
    assert (ahead["last_seq"], ahead["missed"]) == (2, [])


async def test_append_needs_an_active_session(alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    problem = assert_problem(await append(alice, session_id, [message()]), 409)
    assert "completed" in problem["detail"]
    await alice.post(f"/sessions/{session_id}/resume")
    assert (await append(alice, session_id, [message()])).status_code == 201


async def test_concurrent_appends_keep_every_message(api: Api, session_id: str) -> None:
    clients = [await api.as_user("alice", app) for app in ("app", "one", "two", "three")]

    async def write(writer: int) -> list[tuple[int, int]]:
        acknowledged = []
        for number in range(10):
            answer = await append(clients[writer % 4], session_id, [message(f"{writer}:{number}"), message("second")])
            assert answer.status_code == 201, answer.text
            acknowledged.append((answer.json()["first_seq"], answer.json()["last_seq"]))
        return acknowledged

    spans = sorted(span for spans in await asyncio.gather(*map(write, range(8))) for span in spans)
    assert [first for first, _ in spans] == list(range(1, 161, 2))
    page = (await clients[0].get(f"/sessions/{session_id}/transcript", params={"limit": 1000})).json()
    assert [entry["seq"] for entry in page["messages"]] == list(range(1, 161))
    times = [entry["created_at"] for entry in page["messages"]]
    assert times == sorted(times)
    for writer in range(8):
        own = [m for m in await plain(clients[0], session_id) if m["content"].startswith(f"{writer}:")]
        assert [m["content"] for m in own] == [f"{writer}:{number}" for number in range(10)]


async def test_append_waits_for_a_removal_and_loses(
    alice: httpx.AsyncClient, session_id: str, sql: Callable[..., Any]
) -> None:
    """An append that waits for the row of a participant who is being removed adds nothing."""
    sql("begin")
    sql("delete from session_participants where session_id = %s", session_id)
    waiting = asyncio.create_task(append(alice, session_id, [message()]))
    waiters = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with asyncio.timeout(5):
        while sql(waiters) == [(0,)]:
            sql("select pg_stat_clear_snapshot()")  # a transaction goes on seeing the connections that there were
            await asyncio.sleep(0.01)
    sql("commit")
    assert_problem(await waiting, 404, "Session not found")
    assert sql("select count(*) from messages") == [(0,)]


async def test_dba_finds_the_transcript_as_one_array(
    alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    await append(alice, session_id, [message("a"), message("b")])
    rows = sql("select last_seq, transcript from session_transcripts where session_id = %s", session_id)
    assert rows == [(2, [message("a"), message("b")])]
