"""A session's log: every change of participants takes the next number, beside the messages."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from tests.conftest import Api, assert_problem

Sql = Callable[..., list[Any]]


async def ok(request: Any) -> Any:
    """The answer's body, None for none; the request must succeed."""
    response = await request
    assert response.is_success, response.text
    return response.json() if response.content else None


async def append(client: httpx.AsyncClient, path: str, text: str, **more: Any) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}], **more}
    return await client.post(f"{path}/transcript", json=body)


async def test_every_change_writes_one_event(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    path, carol = f"/sessions/{session_id}", await api.as_user("carol")
    await ok(append(alice, path, "one"))
    await ok(append(alice, path, "two"))
    await ok(alice.post(f"{path}/participants", json={"user_id": "bob", "role": "viewer"}))
    editor = {"user_id": "bob", "role": "editor", "permissions": {"cancel": True}}
    await ok(alice.post(f"{path}/participants", json=editor))
    await ok(append(bob, path, "three"))
    invitation = await ok(alice.post(f"{path}/invitations", json={"role": "viewer", "max_uses": 2}))
    claim = {"token": invitation["token"]}
    await ok(carol.post("/invitations/accept", json=claim))
    await ok(carol.post("/invitations/accept", json=claim))  # takes part already: nothing happened
    await ok(alice.patch(f"{path}/participants/carol", json={"permissions": {"send": True}}))
    await ok(alice.delete(f"{path}/invitations/{invitation['invitation_id']}"))
    await ok(carol.delete(f"{path}/participants/carol"))
    await ok(alice.post(f"{path}/transfer", json={"user_id": "bob"}))
    await ok(append(alice, path, "four"))
    await ok(bob.delete(f"{path}/participants/alice"))

    identifier = invitation["invitation_id"]
    expected = [
        (3, "participant.added", {"user_id": "bob", "role": "viewer", "permissions": {}}, "alice"),
        (4, "participant.changed", editor, "alice"),
        (6, "invitation.created", {"invitation_id": identifier, "role": "viewer", "max_uses": 2}, "alice"),
        (7, "invitation.used", {"invitation_id": identifier, "role": "viewer"}, "carol"),
        (8, "participant.added", {"user_id": "carol", "role": "viewer", "permissions": {}}, "carol"),
        (9, "participant.changed", {"user_id": "carol", "role": "viewer", "permissions": {"send": True}}, "alice"),
        (10, "invitation.revoked", {"invitation_id": identifier, "role": "viewer"}, "alice"),
        (11, "participant.removed", {"user_id": "carol", "role": "viewer", "permissions": {"send": True}}, "carol"),
        (12, "ownership.transferred", {"user_id": "bob", "former_user_id": "alice"}, "alice"),
        (14, "participant.removed", {"user_id": "alice", "role": "editor", "permissions": {}}, "bob"),
    ]
    assert sql("select seq, type, data, actor_user_id from session_events order by seq") == expected
    assert invitation["seq"] == 6
    assert sql("select seq from messages order by seq") == [(1,), (2,), (5,), (13,)]
    assert sql("select last_seq from sessions") == [(14,)]
    times = sql("select created_at from session_events union all select created_at from messages order by 1")
    log = sql(
        "select created_at from (select seq, created_at from session_events union all select seq, created_at"
        " from messages) as log order by seq"
    )
    assert log == times  # numbers and times have one order


async def test_refused_change_takes_no_number(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    path = f"/sessions/{session_id}"
    await ok(alice.post(f"{path}/participants", json={"user_id": "bob", "role": "editor"}))
    for refused in (
        await bob.post(f"{path}/participants", json={"user_id": "carol", "role": "viewer"}),
        await bob.delete(f"{path}/participants/alice"),
        await bob.post(f"{path}/invitations", json={"role": "viewer"}),
        await alice.patch(f"{path}/participants/alice", json={"role": "viewer"}),
        await alice.delete(f"{path}/participants/nobody"),
        await alice.delete(f"{path}/invitations/unknown"),
        await alice.post(f"{path}/transfer", json={"user_id": "nobody"}),
    ):
        assert refused.status_code in {403, 404, 409}
    assert sql("select seq from session_events") == [(1,)]
    assert sql("select last_seq from sessions") == [(1,)]


async def test_transcript_pages_pass_over_events(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}"
    for number in range(5):
        await ok(alice.post(f"{path}/participants", json={"user_id": f"user-{number}", "role": "viewer"}))
        await ok(append(alice, path, str(number)))
    await ok(alice.delete(f"{path}/participants/user-0"))
    pages, after = [], 0
    while after is not None:
        page = await ok(alice.get(f"{path}/transcript", params={"limit": 2, "after": after}))
        pages.append([entry["seq"] for entry in page["messages"]])
        assert page["last_seq"] == 11
        after = page["next"]
    assert pages == [[2, 4], [6, 8], [10]]
    whole = await ok(alice.get(f"{path}/transcript", params={"limit": 5}))
    assert ([entry["seq"] for entry in whole["messages"]], whole["next"]) == ([2, 4, 6, 8, 10], None)
    behind = await ok(alice.get(f"{path}/transcript", params={"after": 10}))
    assert (behind["messages"], behind["next"], behind["last_seq"]) == ([], None, 11)
    plain = await ok(alice.get(f"{path}/transcript", params={"view": "plain"}))
    assert [message["content"] for message in plain] == ["0", "1", "2", "3", "4"]


async def test_expected_seq_counts_events(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}"
    assert (await ok(append(alice, path, "one", expected_seq=0)))["last_seq"] == 1
    await ok(alice.post(f"{path}/participants", json={"user_id": "bob", "role": "viewer"}))
    stale = await append(alice, path, "two", expected_seq=1)
    problem = assert_problem(stale, 412)
    assert (problem["last_seq"], problem["missed"], problem["next"]) == (2, [], None)
    appended = await ok(append(alice, path, "two", expected_seq=problem["last_seq"]))
    assert (appended["first_seq"], appended["last_seq"], appended["message_count"]) == (3, 3, 2)


async def test_events_and_messages_at_once_leave_no_gap(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    path = f"/sessions/{session_id}"
    await ok(alice.post(f"{path}/participants", json={"user_id": "bob", "role": "editor"}))
    requests = []
    for number in range(10):
        person = {"user_id": f"user-{number}", "role": "viewer"}
        requests += [ok(append(bob, path, str(number))), ok(alice.post(f"{path}/participants", json=person))]
    await asyncio.gather(*requests)
    log = sql("select seq from session_events union all select seq from messages order by seq")
    assert [seq for (seq,) in log] == list(range(1, 22))
    assert sql("select last_seq from sessions") == [(21,)]
