"""Retraction over HTTP: which messages leave the transcript, for whom, and what is left of them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_transcripts import append, message, plain
from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]


async def retract(client: httpx.AsyncClient, session_id: str, **body: Any) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/transcript/retract", json=body)


async def retracted(client: httpx.AsyncClient, session_id: str, **body: Any) -> dict[str, Any]:
    answer = await retract(client, session_id, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def seqs(answer: dict[str, Any], name: str = "retracted") -> list[int]:
    return [entry["seq"] for entry in answer[name]]


async def texts(client: httpx.AsyncClient, session_id: str) -> list[str]:
    return [one["content"] for one in await plain(client, session_id)]


async def join(alice: httpx.AsyncClient, session_id: str, user_id: str, role: str, **permissions: bool) -> None:
    body = {"user_id": user_id, "role": role, "permissions": permissions}
    assert (await alice.post(f"/sessions/{session_id}/participants", json=body)).status_code == 201


@pytest.fixture
async def talk(alice: httpx.AsyncClient, session_id: str) -> str:
    """A session with the messages 1 to 5, of which the even ones are an assistant's."""
    talk = [message(f"word{number}", "assistant" if number % 2 == 0 else "user") for number in range(1, 6)]
    await append(alice, session_id, talk)
    return session_id


async def test_last_messages_are_returned_in_order(alice: httpx.AsyncClient, talk: str) -> None:
    before = (await alice.get(f"/sessions/{talk}/transcript")).json()["messages"]
    assert await retracted(alice, talk, last=2) == {
        "session_id": talk,
        "last_seq": 6,
        "message_count": 2,
        "messages_total": 3,
        "retracted": before[3:],
        "next": None,
    }
    session = (await alice.get(f"/sessions/{talk}")).json()
    assert (session["last_seq"], session["message_count"], session["messages_total"]) == (6, 2, 3)
    assert seqs(await retracted(alice, talk, last=1000)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ({"seqs": [4, 1, 1, 99]}, [1, 4]),
        ({"after_seq": 2}, [3, 4, 5]),
        ({"after_seq": 0}, [1, 2, 3, 4, 5]),
        ({"last": 1, "expected_seq": 5}, [5]),
    ],
)
async def test_chosen_messages_leave_every_read(
    alice: httpx.AsyncClient, talk: str, body: dict[str, Any], gone: list[int]
) -> None:
    assert seqs(await retracted(alice, talk, **body)) == gone
    left = [number for number in range(1, 6) if number not in gone]
    path = f"/sessions/{talk}"
    assert await texts(alice, talk) == [f"word{number}" for number in left]
    for query in ("", "?order=desc", "?last=5", "?as_of=2100-01-01T00:00:00Z"):
        assert sorted(seqs((await alice.get(f"{path}/transcript{query}")).json(), "messages")) == left, query
    for number in gone:
        assert_problem(await alice.get(f"{path}/transcript/{number}"), 404, "Message not found")
        for search in (f"/search?q=word{number}", f"{path}/search?q=word{number}"):
            assert (await alice.get(search)).json()["items"] == [], search
    fork = (await alice.post(f"{path}/fork", json={})).json()
    assert (fork["messages_total"], await texts(alice, fork["session_id"])) == (len(left), await texts(alice, talk))


async def test_nothing_changes_without_a_message(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    before = sql("select to_jsonb(s) - 'last_active_at' from sessions as s")
    for body in ({"last": 3}, {"seqs": [1]}, {"after_seq": 0}):
        assert await retracted(alice, session_id, **body) == {
            "session_id": session_id,
            "last_seq": 0,
            "message_count": 0,
            "messages_total": 0,
            "retracted": [],
            "next": None,
        }
    assert sql("select to_jsonb(s) - 'last_active_at' from sessions as s") == before
    assert sql("select count(*) from session_events") == [(0,)]


async def test_numbers_of_retracted_messages_stay_unused(alice: httpx.AsyncClient, talk: str) -> None:
    await retracted(alice, talk, last=1)
    assert (await append(alice, talk, [message("again")])).json()["first_seq"] == 7
    assert seqs(await retracted(alice, talk, seqs=[5, 6, 7])) == [7]


async def test_stale_expectation_is_refused(alice: httpx.AsyncClient, talk: str) -> None:
    await append(alice, talk, [message("missed")])
    problem = assert_problem(await retract(alice, talk, last=1, expected_seq=5), 412)
    assert (problem["last_seq"], seqs(problem, "missed")) == (6, [6])
    assert len(await texts(alice, talk)) == 6


async def test_rights(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, talk: str) -> None:
    carol, dave = await api.as_user("carol"), await api.as_user("dave")
    await join(alice, talk, "bob", "viewer", send=True)
    await join(alice, talk, "carol", "editor")
    await join(alice, talk, "dave", "editor", send=False)
    await append(bob, talk, [message("bob's")])  # 9, after three events
    for body in ({"last": 2}, {"seqs": [5, 9]}, {"after_seq": 0}):
        refused = assert_problem(await retract(bob, talk, **body), 403)
        assert refused["detail"] == "Only owners and editors may take back messages of others"
    assert len(await texts(alice, talk)) == 6
    assert seqs(await retracted(bob, talk, last=1)) == [9]
    assert seqs(await retracted(carol, talk, last=1)) == [5]
    assert "permission send" in assert_problem(await retract(dave, talk, last=1), 403)["detail"]


async def test_session_must_be_active(alice: httpx.AsyncClient, talk: str) -> None:
    await alice.patch(f"/sessions/{talk}", json={"status": "completed"})
    refused = assert_problem(await retract(alice, talk, last=1), 409)
    assert refused["detail"] == "The session is completed: resume it before you take messages back"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "one of seqs, last and after_seq"),
        ({"last": 1, "seqs": [1]}, "one of seqs, last and after_seq"),
        ({"last": 0}, "last"),
        ({"last": 1001}, "last"),
        ({"seqs": []}, "seqs"),
        ({"seqs": [0]}, "seqs[0]"),
        ({"seqs": [1] * 1001}, "seqs"),
        ({"after_seq": -1}, "after_seq"),
        ({"last": 1, "erase": "yes"}, "erase"),
        ({"last": 1, "all": True}, "all"),
    ],
)
async def test_bodies_that_do_not_fit(
    alice: httpx.AsyncClient, session_id: str, body: dict[str, Any], named: str
) -> None:
    problem = assert_problem(await retract(alice, session_id, **body), 422)
    assert named in str(problem.get("errors", "")) + problem["detail"]


async def test_too_many_messages_at_once(alice: httpx.AsyncClient, session_id: str) -> None:
    for _ in range(2):
        await append(alice, session_id, [message("x")] * 501)
    assert "1,000" in assert_problem(await retract(alice, session_id, after_seq=1), 422)["detail"]
    assert len(seqs(await retracted(alice, session_id, after_seq=2))) == 1000


async def test_event_tells_followers(alice: httpx.AsyncClient, talk: str, sql: Sql) -> None:
    answer = await retracted(alice, talk, seqs=[4, 2])
    assert sql("select seq, type, data, actor_user_id from session_events") == [
        (answer["last_seq"], "message.retracted", {"seqs": [2, 4]}, "alice")
    ]


async def test_repeated_request_takes_back_once(alice: httpx.AsyncClient, talk: str) -> None:
    path, headers = f"/sessions/{talk}/transcript/retract", {"Idempotency-Key": "one"}
    first = await alice.post(path, json={"last": 1}, headers=headers)
    again = await alice.post(path, json={"last": 1}, headers=headers)
    assert (first.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")
    assert len(await texts(alice, talk)) == 4


async def test_large_messages_are_returned_in_part(alice: httpx.AsyncClient, session_id: str) -> None:
    for _ in range(2):
        await append(alice, session_id, [message("x" * 3_000_000)] * 2)
    answer = await retracted(alice, session_id, last=4)
    assert (seqs(answer), answer["next"], answer["messages_total"]) == ([1, 2], 2, 0)
    rest = await alice.get(f"/sessions/{session_id}/transcript/retracted?after=2&limit=1")
    assert (seqs(rest.json(), "messages"), rest.json()["next"]) == ([3], 3)
    assert rest.links["next"]["url"].endswith("?limit=1&after=3")


async def test_event_of_many_large_numbers_names_its_list(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sql("update sessions set last_seq = 1000000000000")
    await append(alice, session_id, [message("x")] * 600)
    assert len(seqs(await retracted(alice, session_id, last=600))) == 600
    assert sql("select data from session_events") == [({"changed": ["seqs"]},)]
