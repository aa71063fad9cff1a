"""Transcripts backwards, as they were at a time, and message by message."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_transcripts import append, message, plain
from tests.conftest import assert_problem


async def page(client: httpx.AsyncClient, session_id: str, **query: Any) -> Any:
    answer = await client.get(f"/sessions/{session_id}/transcript", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(read: dict[str, Any]) -> list[str]:
    return [entry["message"]["content"] for entry in read["messages"]]


@pytest.fixture
async def talk(alice: httpx.AsyncClient, session_id: str) -> str:
    """A session with the messages 1, 2, 4 and 5; number 3 is an event."""
    await append(alice, session_id, [message("1"), message("2")])
    await alice.patch(f"/sessions/{session_id}", json={"title": "new"})
    await append(alice, session_id, [message("4"), message("5", "assistant")])
    return session_id


async def test_newest_page_comes_first(alice: httpx.AsyncClient, talk: str) -> None:
    assert said(await page(alice, talk, order="desc")) == ["5", "4", "2", "1"]
    first = await page(alice, talk, order="desc", limit=2)
    assert (said(first), first["next"], first["last_seq"]) == (["5", "4"], 4, 5)
    second = await page(alice, talk, before=first["next"], limit=1)
    assert (said(second), second["next"]) == (["2"], 2)
    assert (said(await page(alice, talk, before=2)), (await page(alice, talk, before=2))["next"]) == (["1"], None)
    assert said(await page(alice, talk, before=4, order="desc")) == ["2", "1"]
    beginning = {"session_id": talk, "last_seq": 5, "messages": [], "next": None}
    assert await page(alice, talk, before=1) == beginning
    assert said(await page(alice, talk, order="asc", after=2)) == ["4", "5"]


async def test_links_lead_to_the_beginning(alice: httpx.AsyncClient, talk: str) -> None:
    url, seen = f"/sessions/{talk}/transcript?order=desc&limit=1", []
    while url:
        answer = await alice.get(url)
        seen += said(answer.json())
        url = answer.links.get("next", {}).get("url", "")
    assert seen == ["5", "4", "2", "1"]


@pytest.mark.slow
async def test_large_messages_make_short_pages_backwards(alice: httpx.AsyncClient, session_id: str) -> None:
    large = message("x" * 3_000_000)
    for _ in range(2):
        await append(alice, session_id, [large, large])
    newest = await page(alice, session_id, order="desc", limit=1000)
    assert ([entry["seq"] for entry in newest["messages"]], newest["next"]) == ([4, 3], 3)
    assert await plain(alice, session_id, order="desc") == [large] * 4


async def test_plain_view_backwards(alice: httpx.AsyncClient, session_id: str) -> None:
    for start in range(0, 1500, 500):
        await append(alice, session_id, [message(str(start + number)) for number in range(500)])
    whole = [str(number) for number in reversed(range(1500))]
    assert [one["content"] for one in await plain(alice, session_id, order="desc")] == whole
    assert [one["content"] for one in await plain(alice, session_id, before=1000, limit=3)] == ["998", "997", "996"]
    assert await plain(alice, session_id, before=1) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"before": 3, "order": "asc"}, "order: with before"),
        ({"before": 3, "after": 1}, "after: goes with"),
        ({"order": "desc", "after": 1}, "after: goes with"),
        ({"before": 0}, "before"),
        ({"before": 2**63}, "before"),
        ({"order": "up"}, "order"),
        ({"last": 0}, "last"),
        ({"last": 1001}, "last"),
        ({"last": 1, "after": 1}, "leave out after"),
        ({"last": 1, "before": 3}, "leave out before"),
        ({"last": 1, "order": "asc", "limit": 3}, "leave out order and limit"),
    ],
)
async def test_contradictions_are_refused(
    alice: httpx.AsyncClient, session_id: str, query: dict[str, Any], named: str
) -> None:
    refused = await alice.get(f"/sessions/{session_id}/transcript", params=query)
    assert named in assert_problem(refused, 422)["detail"]


async def test_strangers_read_nothing_backwards(bob: httpx.AsyncClient, talk: str) -> None:
    assert_problem(await bob.get(f"/sessions/{talk}/transcript?order=desc"), 404, "Session not found")
    assert_problem(await bob.get(f"/sessions/{talk}/transcript/1"), 404, "Session not found")


async def test_past_has_its_own_clock(alice: httpx.AsyncClient, talk: str, sql: Callable[..., list[Any]]) -> None:
    sql("update messages set created_at = '2026-01-01T10:00:00Z'::timestamptz + seq * interval '1 hour'")
    sql("update session_events set created_at = '2026-01-01T10:00:00Z'::timestamptz + seq * interval '1 hour'")
    clocks = {"09:00": 0, "11:30": 1, "12:00": 2, "13:30": 3, "14:30": 4, "23:00": 5}
    for time, last_seq in clocks.items():
        past = {"as_of": f"2026-01-01T{time}:00Z"}
        forwards, backwards = await page(alice, talk, **past), await page(alice, talk, order="desc", **past)
        assert (forwards["last_seq"], backwards["last_seq"]) == (last_seq, last_seq), time
        assert said(forwards) == said(backwards)[::-1] == [one for one in "1245" if int(one) <= last_seq]
        url = f"/sessions/{talk}/transcript"
        for query in (past, past | {"view": "plain"}, past | {"order": "desc"}):
            etag = (await alice.get(url, params=query)).headers["etag"].replace("-gzip", "")
            assert etag == f'"{last_seq}"'
            again = await alice.get(url, params=query, headers={"If-None-Match": etag})
            assert (again.status_code, again.content) == (304, b"")
    await append(alice, talk, [message("6")])
    known = {"If-None-Match": '"6"'}  # the present, not that time
    assert (await alice.get(url, params={"as_of": "2026-01-01T12:00:00Z"}, headers=known)).status_code == 200


async def test_fork_has_clock_of_its_source(alice: httpx.AsyncClient, talk: str) -> None:
    await alice.patch(f"/sessions/{talk}", json={"title": "newer"})
    fork = (await alice.post(f"/sessions/{talk}/fork", json={})).json()
    read = await page(alice, fork["session_id"], as_of=fork["created_at"])
    assert read["last_seq"] == fork["last_seq"] == 6


async def test_one_message(alice: httpx.AsyncClient, bob: httpx.AsyncClient, talk: str) -> None:
    path = f"/sessions/{talk}/transcript"
    entry = (await alice.get(f"{path}/4")).json()
    assert entry == (await page(alice, talk, after=2))["messages"][0]
    for missing in (3, 6, 2**63 - 1):  # the first is an event
        assert_problem(await alice.get(f"{path}/{missing}"), 404, "Message not found")
    for wrong in (0, -1, 2**63):
        assert_problem(await alice.get(f"{path}/{wrong}"), 422)
    await alice.post(f"/sessions/{talk}/participants", json={"user_id": "bob", "role": "viewer"})
    assert (await bob.get(f"{path}/4")).json() == entry


async def test_last_messages_come_in_order(alice: httpx.AsyncClient, talk: str) -> None:
    assert await page(alice, talk, last=2) == await page(alice, talk, after=3)
    assert said(await page(alice, talk, last=3)) == ["2", "4", "5"]
    assert said(await page(alice, talk, last=1000)) == ["1", "2", "4", "5"]
    assert [one["content"] for one in await plain(alice, talk, last=3)] == ["2", "4", "5"]
    answer = await alice.get(f"/sessions/{talk}/transcript?last=1")
    assert (answer.headers["etag"], "link" in answer.headers) == ('"5"', False)
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await alice.get(f"/sessions/{talk}/transcript?last=1", headers=known)).status_code == 304


async def test_last_messages_of_the_past(alice: httpx.AsyncClient, talk: str, sql: Callable[..., list[Any]]) -> None:
    sql("update messages set created_at = '2026-01-01T10:00:00Z'::timestamptz + seq * interval '1 hour'")
    past = {"as_of": "2026-01-01T14:30:00Z"}
    then = await page(alice, talk, last=2, **past)
    assert (said(then), then["last_seq"], then["next"]) == (["2", "4"], 4, None)
    assert [one["content"] for one in await plain(alice, talk, last=1, **past)] == ["4"]


@pytest.mark.slow
async def test_large_last_messages_make_several_pages(alice: httpx.AsyncClient, session_id: str) -> None:
    large = message("x" * 3_000_000)
    for _ in range(2):
        await append(alice, session_id, [large, large])
    newest = await page(alice, session_id, last=3)
    assert ([entry["seq"] for entry in newest["messages"]], newest["next"]) == ([2, 3], 3)
    assert await plain(alice, session_id, last=3) == [large] * 3


async def test_retraction_changes_the_clock_of_the_past(
    alice: httpx.AsyncClient, talk: str, sql: Callable[..., list[Any]]
) -> None:
    sql("update messages set created_at = '2026-01-01T10:00:00Z'::timestamptz + seq * interval '1 hour'")
    url, past = f"/sessions/{talk}/transcript", {"as_of": "2026-01-01T14:30:00Z"}
    known = {"If-None-Match": (await alice.get(url, params=past)).headers["etag"]}
    await alice.post(f"{url}/retract", json={"seqs": [5]})  # of a later time
    assert (await alice.get(url, params=past, headers=known)).status_code == 304
    await alice.post(f"{url}/retract", json={"seqs": [2]})
    for query in ({}, {"order": "desc"}, {"last": 2}):
        answer = await alice.get(url, params=past | query, headers=known)
        assert (answer.status_code, answer.json()["last_seq"]) == (200, 7), query
        assert sorted(said(answer.json())) == ["1", "4"]
