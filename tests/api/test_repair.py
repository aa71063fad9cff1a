"""Diagnosis and repair over HTTP: for whom, what followers see of it, and that nothing is lost on the way."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.transcripts.integrity import LOST, diagnose
from tests.conftest import assert_problem, settings_for
from tests.support.live import Live, live
from tests.transcripts.test_integrity import ASKED, SAID, call, result
from tests.transcripts.test_tool_calls import ROUNDS, vercel

Sql = Callable[..., list[Any]]
SPOILT = [ASKED, call("a", "b"), SAID, result("b"), ASKED, SAID]  # misplaced: b; missing: a
MENDED = [ASKED, call("a", "b"), result("a", content=LOST), result("b"), SAID, ASKED, SAID]
KEPT = (
    "select message, author_user_id, author_app_id, created_at, search, search_truncated, search_revision from messages"
)


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


async def append(client: httpx.AsyncClient, session_id: str, messages: list[Any]) -> None:
    body = {"messages": messages}
    assert (await client.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 201


async def plain(client: httpx.AsyncClient, session_id: str) -> list[Any]:
    response = await client.get(f"/sessions/{session_id}/transcript", params={"view": "plain"})
    messages: list[Any] = response.json()
    return messages


async def diagnosis(client: httpx.AsyncClient, session_id: str) -> Any:
    return (await client.get(f"/sessions/{session_id}/diagnosis")).json()


async def ask_repair(client: httpx.AsyncClient, session_id: str) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/repair")


def multiset(messages: list[Any]) -> Counter[str]:
    return Counter(json.dumps(message, sort_keys=True) for message in messages)


async def test_diagnosis_names_what_is_wrong(alice: httpx.AsyncClient, session_id: str) -> None:
    assert await diagnosis(alice, session_id) == {
        "session_id": session_id,
        "last_seq": 0,
        "valid": True,
        "findings": [],
    }
    await append(alice, session_id, [*SPOILT, ASKED])
    response = await alice.get(f"/sessions/{session_id}/diagnosis")
    found = response.json()
    assert (found["last_seq"], found["valid"]) == (7, False)
    assert [(one["problem"], one["seq"], one["tool_call_id"], one["turn"]) for one in found["findings"]] == [
        ("missing_result", 2, "a", 1),
        ("misplaced_result", 4, "b", 1),
    ]
    assert all(one["detail"].endswith(".") for one in found["findings"])
    assert [one["providers"] for one in found["findings"]] == [["anthropic", "openai"]] * 2
    known = {"If-None-Match": response.headers["etag"]}
    assert (await alice.get(f"/sessions/{session_id}/diagnosis", headers=known)).status_code == 304
    await append(alice, session_id, [SAID])
    assert (await alice.get(f"/sessions/{session_id}/diagnosis", headers=known)).status_code == 200


async def test_repair_moves_what_is_there_and_adds_what_is_missing(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    await append(alice, session_id, SPOILT)
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    before = {str(row): row for row in sql(KEPT)}
    answer = await ask_repair(bob, session_id)
    said = {"session_id": session_id, "last_seq": 13, "moved": 4, "added": 1}
    assert answer.json() == said
    assert await plain(alice, session_id) == MENDED
    after = {str(row): row for row in sql(KEPT)}
    assert before.items() <= after.items()
    [(added,)] = [row[1:2] for key, row in after.items() if key not in before]
    assert added == "bob"
    entries = (await alice.get(f"/sessions/{session_id}/transcript")).json()["messages"]
    assert [entry["seq"] for entry in entries] == [1, 2, 9, 10, 11, 12, 13]
    session = (await alice.get(f"/sessions/{session_id}")).json()
    assert (session["last_seq"], session["message_count"]) == (13, 2)
    assert sql("select seq, data, actor_user_id from session_events where type = 'transcript.repaired'") == [
        (8, {"from_seq": 3, "moved": 4, "added": 1}, "bob")
    ]
    assert sql("select transcript from session_transcripts") == [(MENDED,)]
    assert sql("select details from audit_log where action = 'repair_transcript'") == [({"moved": 4, "added": 1},)]
    assert (await diagnosis(alice, session_id))["findings"] == []
    again = {"session_id": session_id, "last_seq": 13, "moved": 0, "added": 0}
    assert (await ask_repair(bob, session_id)).json() == again


async def test_addition_at_end_moves_nothing(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await append(alice, session_id, [ASKED, call("a")])
    assert (await ask_repair(alice, session_id)).json()["moved"] == 0
    assert sql("select seq, data from session_events") == [(3, {"from_seq": 3, "moved": 0, "added": 1})]
    messages = await plain(alice, session_id)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    await append(alice, session_id, [ASKED])
    found = await diagnosis(alice, session_id)
    assert (found["valid"], [one["problem"] for one in found["findings"]]) == (True, ["unfinished_turn"])


async def test_results_of_no_call_stay(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [ASKED, result("x"), SAID])
    found = await diagnosis(alice, session_id)
    assert (found["valid"], [one["problem"] for one in found["findings"]]) == (True, ["unknown_result"])
    assert (await ask_repair(alice, session_id)).json()["moved"] == 0


async def test_roles_that_may_repair(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await append(alice, session_id, SPOILT)
    assert_problem(await bob.get(f"/sessions/{session_id}/diagnosis"), 404, "Session not found")
    assert_problem(await ask_repair(bob, session_id), 404, "Session not found")
    member = f"/sessions/{session_id}/participants"
    await alice.post(member, json={"user_id": "bob", "role": "viewer"})
    assert not (await diagnosis(bob, session_id))["valid"]
    assert_problem(await ask_repair(bob, session_id), 403)
    await alice.patch(f"{member}/bob", json={"role": "editor", "permissions": {"send": False}})
    assert_problem(await ask_repair(bob, session_id), 403)
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    assert "completed" in assert_problem(await ask_repair(alice, session_id), 409)["detail"]
    assert (await plain(alice, session_id)) == SPOILT
    await alice.post(f"/sessions/{session_id}/resume")
    await alice.patch(f"{member}/bob", json={"role": "viewer", "permissions": {"send": True}})
    assert (await ask_repair(bob, session_id)).status_code == 200


async def test_followers_see_the_event_and_then_the_tail_anew(
    api: Live, alice: httpx.AsyncClient, session_id: str
) -> None:
    await append(alice, session_id, SPOILT)
    path = f"/sessions/{session_id}/events"
    async with api.stream(alice, path, params={"after": 0}) as first, api.socket(alice, f"{path[:-6]}ws") as socket:
        shown = [event.data["message"] for _ in SPOILT if (event := await first.next())]
        await ask_repair(alice, session_id)
        async with api.stream(alice, path, headers={"Last-Event-ID": "4"}) as late:
            for follower in (first, late, socket):
                event = await follower.next()
                assert event is not None
                assert (event.id, event.type, event.data["from_seq"]) == (7, "transcript.repaired", 3)
                tail = [entry for _ in MENDED[2:] if (entry := await follower.next())]
                assert [entry.id for entry in tail] == [8, 9, 10, 11, 12]
                assert shown[: 3 - 1] + [entry.data["message"] for entry in tail] == MENDED


async def test_fork_of_a_repaired_session_is_valid(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, SPOILT)
    await ask_repair(alice, session_id)
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    assert await plain(alice, fork) == MENDED
    assert (await diagnosis(alice, fork))["valid"]


async def test_moved_messages_are_found(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [*SPOILT, {"role": "assistant", "content": "Zanzibar"}])
    await ask_repair(alice, session_id)
    hits = (await alice.get("/search", params={"q": "zanzibar"})).json()
    assert [hit["seq"] for hit in hits["items"]] == [14]


async def test_two_repairs_at_once(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    for _ in range(10):
        await append(alice, session_id, SPOILT)
        answers = await asyncio.gather(*(ask_repair(alice, session_id) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json()["added"] for answer in answers].count(1) == 1
    assert await plain(alice, session_id) == MENDED * 10
    assert sql("select count(*) from session_events") == [(10,)]


@pytest.mark.slow
async def test_appends_meanwhile(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    sent: list[Any] = []

    async def talk(client: httpx.AsyncClient, name: str) -> None:
        for number in range(30):
            message = {"role": "assistant", "content": f"{name} {number}"}
            await append(client, session_id, [message, call(f"{name}-{number}")])
            sent.extend([message, call(f"{name}-{number}")])

    async def mend() -> None:
        for _ in range(15):
            assert (await ask_repair(alice, session_id)).status_code in (200, 409)

    await asyncio.gather(talk(alice, "alice"), talk(bob, "bob"), mend(), mend())
    assert (await ask_repair(alice, session_id)).status_code == 200
    messages = await plain(alice, session_id)
    assert multiset(sent) <= multiset(messages)
    assert not any(one.needs_repair for one in diagnose(messages))
    [(last_seq, numbers, distinct)] = sql("""
        with numbers as (select seq from messages union all select seq from session_events)
        select (select last_seq from sessions), count(*), count(distinct seq) from numbers
    """)
    assert numbers == distinct <= last_seq


async def test_diagnosis_lists_first_what_needs_repair(alice: httpx.AsyncClient, session_id: str) -> None:
    await append(alice, session_id, [{"role": "user", "content": ""}] * 999)
    await append(alice, session_id, [{"type": "summary", "summary": "x"}, call("a"), SAID])
    found = await diagnosis(alice, session_id)
    assert (found["valid"], len(found["findings"])) == (False, 1000)
    assert [(one["problem"], one["seq"]) for one in found["findings"]][-2:] == [
        ("blank_message", 999),
        ("missing_result", 1001),
    ]


@pytest.mark.parametrize("name", ["gemini", "responses", "claude code", "vercel"])
async def test_transcript_of_other_format_needs_repair_only_where_result_is_missing(
    alice: httpx.AsyncClient, session_id: str, name: str
) -> None:
    whole = [ASKED, *ROUNDS[name], SAID]
    await append(alice, session_id, whole)
    assert await diagnosis(alice, session_id) == {
        "session_id": session_id,
        "last_seq": len(whole),
        "valid": True,
        "findings": [],
    }
    [open_call] = vercel("c", state="input-available")
    await append(alice, session_id, [ASKED, open_call, SAID])
    [found] = (await diagnosis(alice, session_id))["findings"]
    assert (found["problem"], found["tool_call_id"], found["seq"]) == ("missing_result", "c", len(whole) + 2)
    assert (await ask_repair(alice, session_id)).json()["added"] == 1
    lost = {"role": "tool", "tool_call_id": "c", "name": "get", "content": LOST}
    assert await plain(alice, session_id) == [*whole, ASKED, open_call, lost, SAID]
    assert await diagnosis(alice, session_id) | {"last_seq": 0} == {
        "session_id": session_id,
        "last_seq": 0,
        "valid": True,
        "findings": [],
    }
