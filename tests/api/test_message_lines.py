"""Appends of messages that come a line each: all or none, with the line of a fault, in bounded space."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving, settings_for

LINES = {"Content-Type": "application/x-ndjson"}


def lines(count: int, text: str = "hello") -> bytes:
    return b"".join(b'{"role":"user","content":"%s %d"}\n' % (text.encode(), number) for number in range(count))


async def send(client: httpx.AsyncClient, session_id: str, content: Any, **more: Any) -> httpx.Response:
    headers = LINES | more.pop("headers", {})
    return await client.post(f"/sessions/{session_id}/transcript", content=content, headers=headers, **more)


async def contents(client: httpx.AsyncClient, session_id: str) -> list[Any]:
    return [one.get("content") for one in (await client.get(f"/sessions/{session_id}/transcript?view=plain")).json()]


async def test_lines_are_appended_in_order_with_consecutive_numbers(alice: httpx.AsyncClient, session_id: str) -> None:
    answer = await send(alice, session_id, lines(2500))
    assert answer.status_code == 201
    assert answer.json() == {
        "session_id": session_id,
        "first_seq": 1,
        "last_seq": 2500,
        "message_count": 2500,
        "messages_total": 2500,
    }
    assert await contents(alice, session_id) == [f"hello {number}" for number in range(2500)]
    page = (await alice.get(f"/sessions/{session_id}/transcript", params={"after": 999, "limit": 3})).json()
    assert [entry["seq"] for entry in page["messages"]] == [1000, 1001, 1002]
    assert {entry["author_user_id"] for entry in page["messages"]} == {"alice"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"content":"a"}\r\n\r\n{"content":"b"}\r\n', ["a", "b"]),
        (b'\xef\xbb\xbf{"content":"a"}\n{"content":"b"}', ["a", "b"]),
        (b'{"content":"\\u0000 \\ud800"}\n', ["\x00 \ud800"]),
        (b"  {}\t\n\n \n", [None]),
    ],
    ids=["line breaks of Windows", "byte order mark and no last break", "odd characters", "blanks"],
)
async def test_forms_of_lines(alice: httpx.AsyncClient, session_id: str, body: bytes, expected: list[Any]) -> None:
    assert (await send(alice, session_id, body)).status_code == 201
    assert await contents(alice, session_id) == expected


@pytest.mark.parametrize(
    ("body", "place", "detail"),
    [
        (b'{}\n\n{"a":1\n{}', "line 3.a", "is not valid JSON"),
        (b"{}\n[]\n", "line 2", "must be a JSON object"),
        (b"{}{}\n", "line 1", "is not one JSON object: a line has one message"),
        (b'{}\n{"role":7}\n', "line 2.role", "must be text of 1 to 64 characters"),
        (b'{}\n{"a":"\xff"}\n', "line 2.a", "is not valid UTF-8"),
        (b'{}\n{"a":1e999}\n', "line 2.a", "the number is out of range"),
        (b'{}\n{"a":"\x00"}\n', "line 2.a", "is not valid JSON"),
        (b'{}\n\n{"a":' + b"[" * 70 + b"]" * 70 + b"}\n", "line 3.a", "nested deeper than 64 levels"),
    ],
)
async def test_fault_names_the_line(
    alice: httpx.AsyncClient, session_id: str, body: bytes, place: str, detail: str
) -> None:
    problem = assert_problem(await send(alice, session_id, lines(1500) + body), 422)
    first = int(place.split(".", 1)[0].removeprefix("line "))
    expected = place.replace(f"line {first}", f"line {first + 1500}")
    assert problem["errors"][0]["field"] == expected
    assert problem["detail"].startswith(f"{expected}: {detail}")
    assert await contents(alice, session_id) == []


@pytest.mark.parametrize("body", [b"", b"\r\n \n", b"\xef\xbb\xbf"])
async def test_body_without_messages_is_refused(alice: httpx.AsyncClient, session_id: str, body: bytes) -> None:
    assert "has no messages" in assert_problem(await send(alice, session_id, body), 422)["detail"]


async def test_bounds(alice: httpx.AsyncClient, session_id: str) -> None:
    many = assert_problem(await send(alice, session_id, b"{}\n" * 10_001), 413)
    assert many["detail"].startswith("Line 10001: a request has at most 10,000 messages")
    long = b'{"content":"' + b"x" * (8 * 1024 * 1024) + b'"}'
    assert assert_problem(await send(alice, session_id, b"{}\n" + long), 413)["detail"].startswith("Line 2 is larger")
    announced = await send(alice, session_id, b"{}", headers={"Content-Length": str(64 * 1024 * 1024 + 1)})
    assert "larger than 64 MB" in assert_problem(announced, 413)["detail"]
    assert await contents(alice, session_id) == []


async def test_chunks_over_the_limit_are_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield b" " * (1024 * 1024)

    assert "larger than 64 MB" in assert_problem(await send(alice, session_id, chunks()), 413)["detail"]


async def test_content_coding_is_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    refused = await send(alice, session_id, b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert_problem(refused, 415, "Send the body uncompressed")


async def test_expected_seq(alice: httpx.AsyncClient, session_id: str) -> None:
    fits = await send(alice, session_id, lines(1200), params={"expected_seq": 0})
    assert fits.json()["last_seq"] == 1200
    stale = assert_problem(await send(alice, session_id, lines(1200), params={"expected_seq": 1199}), 412)
    assert (stale["last_seq"], len(stale["missed"])) == (1200, 1)
    assert_problem(await send(alice, session_id, b"{}", params={"expected_seq": -1}), 422)
    path = f"/sessions/{session_id}/transcript?expected_seq=1200"
    twice = await alice.post(path, json={"messages": [{}]})
    assert_problem(twice, 422, "expected_seq: goes into a JSON body, beside messages")


async def test_rights_and_status(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    assert_problem(await send(bob, session_id, b"{}"), 404)
    joined = await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    assert joined.status_code == 201
    assert_problem(await send(bob, session_id, b"{}"), 403)
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    assert "is completed" in assert_problem(await send(alice, session_id, b"{}"), 409)["detail"]


async def test_repeated_request_is_replayed(alice: httpx.AsyncClient, session_id: str) -> None:
    key = {"Idempotency-Key": "once"}
    first = await send(alice, session_id, lines(1001), headers=key)
    again = await send(alice, session_id, lines(1001), headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert_problem(await send(alice, session_id, lines(1002), headers=key), 422)
    assert len(await contents(alice, session_id)) == 1001


async def test_racing_appends_do_not_mix(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    people = [(alice, "a"), (bob, "b"), (alice, "c")]
    answers = await asyncio.gather(*(send(who, session_id, lines(1500, text)) for who, text in people))
    assert [answer.status_code for answer in answers] == [201] * 3
    read = [text[0] for text in await contents(alice, session_id)]
    assert sorted("".join(read[at : at + 1500]) for at in (0, 1500, 3000)) == ["a" * 1500, "b" * 1500, "c" * 1500]


async def test_client_that_stops_leaves_nothing(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    events = [{"type": "http.request", "body": lines(2000), "more_body": True}, {"type": "http.disconnect"}]
    headers = [(name.lower().encode(), value.encode()) for name, value in {**alice.headers, **LINES}.items()]
    path = f"/sessions/{session_id}/transcript"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "client": ("127.0.0.1", 1), "server": ("test", 80), "http_version": "1.1"}
    scope |= {"scheme": "http", "root_path": "", "asgi": {"version": "3.0"}}
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def answer(message: Any) -> None:
        sent.append(message)

    await api.app(scope, receive, answer)  # type: ignore[arg-type]
    assert json.loads(sent[1]["body"])["detail"] == "The connection was closed before the request was complete"
    assert await contents(alice, session_id) == []
    assert api.app.state.space.used == 0


async def test_secrets_are_replaced_in_each_line(dsn: str) -> None:
    pytest.importorskip("re2")
    async with serving(settings_for(dsn, redact="emails")) as api:
        alice = await api.as_user("alice")
        config = {"name": "a", "config_data": {"bundle": {"name": "a"}}}
        config_id = (await alice.post("/configs", json=config)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        await send(alice, session_id, lines(1000) + b'{"content":"to ann@example.com"}')
        assert (await contents(alice, session_id))[-1] == "to [redacted: email]"
