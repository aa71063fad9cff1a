"""Appends with keys: each key is in a session once, and a message that is there is skipped or replaced."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.live.frames import logged
from tests.conftest import Api, assert_problem
from tests.support.stage import ALICE, Stage, staged

Sql = Callable[..., list[Any]]


@pytest.fixture
async def stage(dsn: str, sql: Sql) -> AsyncIterator[Stage]:
    async with staged(dsn, sql) as stage:
        yield stage


def said(*texts: str, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for text in texts]


async def put(client: httpx.AsyncClient, session_id: str, keys: list[Any], texts: list[str], **more: Any) -> Any:
    body = {"messages": said(*texts), "keys": keys, **more}
    return await client.post(f"/sessions/{session_id}/transcript", json=body)


async def entries(client: httpx.AsyncClient, session_id: str) -> list[tuple[int, str, str | None]]:
    """Number, text and key of each message."""
    page = (await client.get(f"/sessions/{session_id}/transcript")).json()
    return [(one["seq"], one["message"]["content"], one.get("key")) for one in page["messages"]]


async def clock(client: httpx.AsyncClient, session_id: str) -> Any:
    return (await client.get(f"/sessions/{session_id}")).json()["last_seq"]


async def test_key_that_is_there_is_skipped(alice: httpx.AsyncClient, session_id: str) -> None:
    first = await put(alice, session_id, ["a", None, "b"], ["1", "2", "3"])
    assert first.json() == {
        "session_id": session_id,
        "first_seq": 1,
        "last_seq": 3,
        "message_count": 3,
        "messages_total": 3,
        "seqs": [1, 2, 3],
        "skipped": [],
        "replaced": [],
    }
    second = (await put(alice, session_id, ["b", "c", None], ["other", "4", "5"])).json()
    assert (second["seqs"], second["skipped"], second["replaced"]) == ([3, 4, 5], [0], [])
    assert (second["first_seq"], second["last_seq"], second["messages_total"]) == (3, 5, 5)
    assert await entries(alice, session_id) == [
        (1, "1", "a"), (2, "2", None), (3, "3", "b"), (4, "4", "c"), (5, "5", None)
    ]  # fmt: skip


async def test_batch_that_is_there_changes_nothing(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await put(alice, session_id, ["a", "b"], ["1", "2"])
    before = sql("select * from sessions")
    for more in ({}, {"on_conflict": "replace"}):
        again = (await put(alice, session_id, ["a", "b"], ["1", "2"], **more)).json()
        assert (again["seqs"], again["skipped"], again["last_seq"]) == ([1, 2], [0, 1], 2)
    assert sql("select * from sessions") == before
    assert sql("select count(*) from session_events") == [(0,)]


async def test_replaced_message_keeps_its_number(api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await put(alice, session_id, ["a", "b"], ["walrus", "2"])
    other = await api.as_user("alice", "other")
    body = {"messages": said("penguins", "2", "3", role="assistant"), "keys": ["a", "b", "c"], "on_conflict": "replace"}
    body["messages"][1] = said("2")[0]
    done = (await other.post(f"/sessions/{session_id}/transcript", json=body)).json()
    assert (done["seqs"], done["skipped"], done["replaced"]) == ([1, 2, 3], [1], [0])
    assert (done["last_seq"], done["message_count"], done["messages_total"]) == (4, 1, 3)
    entry = (await alice.get(f"/sessions/{session_id}/transcript/1")).json()
    assert (entry["message"]["content"], entry["author_app_id"], entry["key"]) == ("penguins", "app", "a")
    assert sql("select role, size = octet_length(message::text) from messages where seq = 1") == [("assistant", True)]
    for word, found in (("walrus", []), ("penguins", [1])):
        hits = (await alice.get("/search", params={"q": word})).json()["items"]
        assert [hit["seq"] for hit in hits] == found
    events = sql("select seq, type, data, actor_user_id from session_events")
    assert events == [(4, "message.updated", {"message_seq": 1, "key": "a"}, "alice")]
    assert sql("select count(*) from messages where message::text like '%walrus%'") == [(0,)]


@pytest.mark.parametrize(
    ("on_conflict", "text", "skipped", "replaced"), [("skip", "1", [1], []), ("replace", "2", [], [1])]
)
async def test_key_twice_in_a_batch(
    alice: httpx.AsyncClient, session_id: str, on_conflict: str, text: str, skipped: list[int], replaced: list[int]
) -> None:
    done = (await put(alice, session_id, ["a", "a"], ["1", "2"], on_conflict=on_conflict)).json()
    assert (done["seqs"], done["last_seq"], done["messages_total"]) == ([1, 1], 1, 1)
    assert (done["skipped"], done["replaced"]) == (skipped, replaced)
    assert await entries(alice, session_id) == [(1, text, "a")]


async def test_key_twice_replaces_what_is_there_once(alice: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, ["a"], ["0"])
    done = (await put(alice, session_id, ["a", None, "a"], ["1", "x", "2"], on_conflict="replace")).json()
    assert (done["seqs"], done["replaced"], done["last_seq"]) == ([1, 2, 1], [0, 2], 3)
    assert await entries(alice, session_id) == [(1, "2", "a"), (2, "x", None)]


async def test_expected_seq_holds(alice: httpx.AsyncClient, session_id: str) -> None:
    await put(alice, session_id, ["a"], ["1"])
    stale = await put(alice, session_id, ["a", "b"], ["1", "2"], expected_seq=0, on_conflict="replace")
    assert stale.status_code == 412
    assert [entry["key"] for entry in stale.json()["missed"]] == ["a"]
    assert (await put(alice, session_id, ["a", "b"], ["1", "2"], expected_seq=1)).json()["seqs"] == [1, 2]


async def test_racing_batches_add_each_key_once(api: Api, session_id: str) -> None:
    alice = await api.as_user("alice")
    batches = [[f"k{number}" for number in range(start, start + 6)] for start in range(8)]
    answers = await asyncio.gather(*(put(alice, session_id, keys, keys) for keys in batches))
    assert [answer.status_code for answer in answers] == [201] * 8
    stored = await entries(alice, session_id)
    assert sorted(key or "" for _, _, key in stored) == sorted(f"k{number}" for number in range(13))
    numbers = {key: seq for seq, _, key in stored}
    for keys, answer in zip(batches, answers, strict=True):
        assert answer.json()["seqs"] == [numbers[key] for key in keys]
    assert await clock(alice, session_id) == len(stored)


async def test_append_that_waited_sees_the_other_key(stage: Stage) -> None:
    """Its snapshot is from before the other append; what it looks up under the lock is not."""

    def append(*texts: str) -> Any:
        messages = ",".join(f'{{"role": "user", "content": "{text}"}}' for text in texts)
        given = {"messages": f"[{messages}]".encode(), "keys": ["a", "b"][: len(texts)], "expected_seq": None}
        return stage.queries.appends.create(**ALICE, **given, replaces=True, state=None, versions=None)

    async with stage.open():
        await append("1")
        waiting = stage.soon(append("grown", "2"))
        await stage.until_waiting()
    row = await waiting
    assert (row["seqs"], row["replaced"], row["last_seq"], row["messages_total"]) == ([1, 2], [0], 3, 2)
    assert stage.log() == ["message", "message", "message.updated"]
    assert stage.sql("select key, message ->> 'content' from messages order by seq") == [("a", "grown"), ("b", "2")]


async def test_sender_replaces_own_messages_only(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    bob = await api.as_user("bob")
    people = f"/sessions/{session_id}/participants"
    await alice.post(people, json={"user_id": "bob", "role": "viewer", "permissions": {"send": True}})
    start = await clock(alice, session_id)
    await put(alice, session_id, ["a"], ["of alice"])
    await put(bob, session_id, ["b"], ["of bob"])
    refused = await put(bob, session_id, ["b", "a"], ["mine", "yours"], on_conflict="replace")
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("A key belongs to a message of someone else")
    assert await clock(alice, session_id) == start + 2
    # equal, so nothing is replaced
    allowed = (await put(bob, session_id, ["b", "a"], ["mine", "of alice"], on_conflict="replace")).json()
    assert (allowed["replaced"], allowed["skipped"]) == ([0], [1])
    await alice.patch(f"{people}/bob", json={"role": "editor"})
    assert (await put(bob, session_id, ["a"], ["yours"], on_conflict="replace")).json()["replaced"] == [0]


async def test_forks_and_repairs_keep_keys(alice: httpx.AsyncClient, session_id: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}, *said("Hello")]
    await alice.post(f"/sessions/{session_id}/transcript", json={"messages": messages, "keys": ["call", "hello"]})
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    assert [key for _, _, key in await entries(alice, fork)] == ["call", "hello"]
    assert (await put(alice, fork, ["hello"], ["again"])).json()["skipped"] == [0]
    await alice.post(f"/sessions/{session_id}/repair")
    repaired = await entries(alice, session_id)
    assert [key for _, _, key in repaired] == ["call", None, "hello"]
    assert (await put(alice, session_id, ["hello"], ["again"])).json()["seqs"] == [repaired[2][0]]


async def test_stream_names_what_was_replaced(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    rows = api.app.state.queries.events
    await put(alice, session_id, ["a", None], ["1", "2"])
    await put(alice, session_id, ["a"], ["grown"], on_conflict="replace")
    read = await rows.list(actor_ids=["alice"], session_id=session_id, after=0, limit=10, max_bytes=10_000)
    frames = [json.loads(logged(row).data) for row in read]
    assert [frame.get("key", "absent") for frame in frames] == ["a", "absent", "a"]
    assert (frames[0]["message"]["content"], frames[2]["message_seq"], frames[2]["seq"]) == ("grown", 1, 3)


async def test_idempotency_key_returns_the_same_numbers(alice: httpx.AsyncClient, session_id: str) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"messages": said("1", "2"), "keys": ["a", None]}
    first, second = [
        await alice.post(f"/sessions/{session_id}/transcript", json=body, headers=headers) for _ in range(2)
    ]
    assert first.json()["seqs"] == [1, 2]
    assert (second.json(), second.headers["idempotency-replayed"]) == (first.json(), "true")


async def test_refusals(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    stranger, viewer = await api.as_user("stranger"), await api.as_user("vera")
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "vera", "role": "viewer"})
    assert_problem(await put(stranger, session_id, ["a"], ["1"]), 404, "Session not found")
    assert (await put(viewer, session_id, ["a"], ["1"])).status_code == 403
    fewer, odd = await put(alice, session_id, ["a"], ["1", "2"]), await put(alice, session_id, ["\x00"], ["1"])
    assert_problem(fewer, 422, "keys: send one for each of the 2 messages, null for none; there are 1")
    assert_problem(odd, 422, "keys[0]: must not contain NUL, halves of surrogate pairs or U+FDD0")
    assert (await put(alice, session_id, [""], ["1"])).status_code == 422
    assert (await put(alice, session_id, ["x" * 257], ["1"])).status_code == 422
    assert (await put(alice, session_id, ["x"], ["1"], on_conflict="ignore")).status_code == 422
    without = await alice.post(
        f"/sessions/{session_id}/transcript", json={"messages": said("1"), "on_conflict": "skip"}
    )
    assert_problem(without, 422, "on_conflict: goes with keys only: send keys, one for each message, or leave it out")
    assert (await put(alice, session_id, ["é" * 256], ["1"])).status_code == 201


async def test_service_replaces_no_message_without_key(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json={"messages": said("1")})
    database = api.app.state.queries.database
    replaced = await database.fetchval("select messages_replace($1, array[1], array['{}'::jsonb])", session_id)
    assert replaced == 0
    assert await entries(alice, session_id) == [(1, "1", None)]
