"""NUL and halves of surrogate pairs in messages: answers return them, searches and agents get other characters."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import assert_problem
from tests.support.agents import agent, echo, settings
from tests.support.live import Live, live
from tests.support.llm import Stub

Sql = Callable[..., list[Any]]
JSON = {"Content-Type": "application/json"}
ODD = r'{"role": "user", "content": "needle\u0000one \ud83d two\udfff \\u0000", "\u0000": ["\ufdd0", "😀\ud83d\ude00"]}'
CALL = r'{"role": "assistant", "tool_calls": [{"id": "c\ud800", "function": {"name": "b\u0000", "arguments": "{}"}}]}'
# the exponent has the numbers checked, too
LARGE = r'{"role": "user", "content": [{"type": "text", "text": "\ud83d"}], "n": 1e-100}'
SENT = [json.loads(one) for one in (ODD, CALL, LARGE)]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings(dsn, stub)) as api:
        yield api


async def add(client: httpx.AsyncClient, session_id: str, *messages: str, **headers: str) -> httpx.Response:
    body = f'{{"messages": [{", ".join(messages)}]}}'
    answer = await client.post(f"/sessions/{session_id}/transcript", content=body, headers=JSON | headers)
    assert answer.status_code == 201, answer.text
    return answer


async def test_transcript_returns_what_was_sent(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    await add(alice, session_id, ODD, CALL, LARGE)
    path = f"/sessions/{session_id}/transcript"
    assert (await alice.get(path, params={"view": "plain"})).json() == SENT
    for query in ({}, {"order": "desc"}, {"as_of": "2999-01-01T00:00:00Z"}):
        page = (await alice.get(path, params=query)).json()["messages"]
        assert {entry["seq"]: entry["message"] for entry in page} == dict(enumerate(SENT, 1))
    assert (await alice.get(f"{path}/1")).json()["message"] == SENT[0]
    missed = await alice.post(path, json={"messages": [{}], "expected_seq": 0})
    assert [entry["message"] for entry in assert_problem(missed, 412)["missed"]] == SENT
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    assert (await alice.get(f"/sessions/{fork}/transcript?view=plain")).json() == SENT
    assert sql("select message ->> 'content' from messages where session_id = %s and seq = 1", session_id) == [
        ("needle\ufdd00000one \ufdd0d83d two\ufdd0dfff \\u0000",)
    ]


async def test_streams_return_what_was_sent(api: Live, alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}"
    await add(alice, session_id, ODD)
    async with api.socket(alice, f"{path}/ws?after=0") as socket, api.stream(alice, f"{path}/events?after=0") as stream:
        await add(alice, session_id, CALL)
        for sent in SENT[:2]:
            assert (await stream.next()).data["message"] == sent  # type: ignore[union-attr]
            assert (await socket.next()).data["message"] == sent


async def test_repeated_append_is_answered_alike(alice: httpx.AsyncClient, session_id: str) -> None:
    first, again = [await add(alice, session_id, ODD, **{"Idempotency-Key": "odd"}) for _ in range(2)]
    assert first.json() == again.json()
    assert (await alice.get(f"/sessions/{session_id}/transcript?view=plain")).json() == SENT[:1]


async def test_diagnosis_and_repair_read_odd_messages(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, CALL, ODD, LARGE)
    [found, *_] = (await alice.get(f"/sessions/{session_id}/diagnosis")).json()["findings"]
    assert found["tool_call_id"] == "c\ufffd"
    repaired = await alice.post(f"/sessions/{session_id}/repair")
    assert repaired.status_code == 200, repaired.text
    plain = (await alice.get(f"/sessions/{session_id}/transcript?view=plain")).json()
    assert [one for one in plain if one in SENT] == [SENT[1], SENT[0], SENT[2]]


async def test_agent_continues_odd_transcript(api: Live, stub: Stub) -> None:
    here = await agent(await api.as_user("alice"), echo())
    await add(here.client, here.session_id, ODD, LARGE)
    answer = await here.say("Go on")
    assert answer["response"]


async def test_search_shows_a_space(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, ODD, '{"role": "user", "content": "thimble"}')
    query = {"q": "thimble", "context": 1}
    [hit] = (await alice.get(f"/sessions/{session_id}/search", params=query)).json()["items"]
    assert [one["text"] for one in hit["before"]] == ["needle one   two  \\u0000"]
    [hit] = (await alice.get(f"/sessions/{session_id}/search", params={"q": '"needle one two"'})).json()["items"]
    assert hit["headline"].split()[:3] == ["<mark>needle</mark>", "<mark>one</mark>", "<mark>two</mark>"]


@pytest.mark.parametrize("character", [r"\u0000", r"\ud83d"])
async def test_other_bodies_refuse_odd_text(
    alice: httpx.AsyncClient, config_id: str, session_id: str, character: str
) -> None:
    for method, path, body in (
        ("POST", "/sessions", f'{{"config_id": "{config_id}", "metadata": {{"a": ["{character}"]}}}}'),
        ("PATCH", f"/sessions/{session_id}", f'{{"tags": {{"a": "{character}"}}}}'),
        ("POST", f"/sessions/{session_id}/messages", f'{{"message": "a", "context": {{"a": "{character}"}}}}'),
    ):
        answer = await alice.request(method, path, content=body, headers=JSON)
        assert "which is no text" in assert_problem(answer, 422)["detail"], path
        large = body.replace(character, character + "x" * 300_000)
        assert_problem(await alice.request(method, path, content=large, headers=JSON), 422)


async def test_odd_text_in_ignored_field_is_ignored(alice: httpx.AsyncClient, config_id: str) -> None:
    body = f'{{"config_id": "{config_id}", "note": "\\u0000"}}'
    answer = await alice.post("/sessions", content=body, headers=JSON)
    assert answer.status_code == 201, answer.text
    assert "'note' was ignored" in answer.json()["warnings"][0]
