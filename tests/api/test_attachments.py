"""Attachments over HTTP: the same bytes come back, for those who may, and no browser executes them."""

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for

PNG = {"Content-Type": "image/png"}
LARGE = bytes(range(256)) * 3000  # 768 kB, more than two parts


async def send(client: httpx.AsyncClient, session_id: str, content: Any, **more: Any) -> httpx.Response:
    headers = PNG | more.pop("headers", {})
    return await client.post(f"/sessions/{session_id}/attachments", content=content, headers=headers, **more)


def address(session_id: str, content: bytes) -> str:
    return f"/sessions/{session_id}/attachments/{hashlib.sha256(content).hexdigest()}"


async def test_same_bytes_come_back_with_type_and_name(alice: httpx.AsyncClient, session_id: str) -> None:
    sent = await send(alice, session_id, LARGE, params={"name": 'pläne "1".png'})
    assert sent.status_code == 201
    digest = hashlib.sha256(LARGE).hexdigest()
    assert sent.json() | {"created_at": None} == {
        "attachment": f"amplifier:sha256/{digest}",
        "size": len(LARGE),
        "content_type": "image/png",
        "name": 'pläne "1".png',
        "created_by_user_id": "alice",
        "created_at": None,
    }
    read = await alice.get(address(session_id, LARGE))
    assert read.content == LARGE
    assert read.headers["content-type"] == "image/png"
    assert read.headers["content-length"] == str(len(LARGE))
    assert read.headers["content-disposition"] == "attachment; filename*=UTF-8''pl%C3%A4ne%20%221%22.png"
    assert read.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in read.headers["content-security-policy"]
    head = await alice.head(address(session_id, LARGE))
    assert (head.content, head.headers["content-length"]) == (b"", str(len(LARGE)))


async def test_same_content_is_stored_once(alice: httpx.AsyncClient, session_id: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    first = await send(alice, session_id, chunks(), params={"name": "first"})
    again = await send(alice, session_id, b"abc", params={"name": "second"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (await alice.get(address(session_id, b"abc"))).content == b"abc"
    assert len((await alice.get(f"/sessions/{session_id}/attachments")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=262140-262150", 262_140, 262_151),
        ("bytes=767990-", 767_990, 768_000),
        ("bytes=-5", 767_995, 768_000),
        ("bytes=10-9999999", 10, 768_000),
    ],
)
async def test_ranges(alice: httpx.AsyncClient, session_id: str, asked: str, start: int, end: int) -> None:
    await send(alice, session_id, LARGE)
    read = await alice.get(address(session_id, LARGE), headers={"Range": asked})
    assert read.status_code == 206
    assert read.content == LARGE[start:end]
    assert read.headers["content-range"] == f"bytes {start}-{end - 1}/768000"


async def test_conditions_and_ranges_beyond_the_end(alice: httpx.AsyncClient, session_id: str) -> None:
    await send(alice, session_id, b"abc")
    path = address(session_id, b"abc")
    tag = (await alice.get(path)).headers["etag"]
    assert (await alice.get(path, headers={"If-None-Match": tag})).status_code == 304
    beyond = await alice.get(path, headers={"Range": "bytes=3-"})
    assert_problem(beyond, 416, "Range: the attachment has 3 bytes")
    assert beyond.headers["content-range"] == "bytes */3"
    for headers in ({"Range": "bytes=0-0,2-2"}, {"Range": "lines=1"}, {"Range": "bytes=0-0", "If-Range": '"old"'}):
        assert (await alice.get(path, headers=headers)).content == b"abc"
    assert (await alice.get(path, headers={"Range": "bytes=1-1", "If-Range": tag})).content == b"b"


async def test_access(alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    await send(alice, session_id, b"abc")
    path, listed = address(session_id, b"abc"), f"/sessions/{session_id}/attachments"
    for answer in (
        await send(bob, session_id, b"x"),
        await bob.get(path),
        await bob.get(listed),
        await bob.delete(path),
    ):
        assert_problem(answer, 404, "Session not found")
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    assert (await bob.get(path)).content == b"abc"
    assert_problem(await send(bob, session_id, b"x"), 403)
    assert_problem(await bob.delete(path), 403)
    await alice.patch(f"/sessions/{session_id}/participants/bob", json={"role": "editor"})
    assert (await bob.delete(path)).status_code == 204
    assert_problem(await bob.get(path), 404, "Attachment not found")
    assert_problem(await bob.delete(path), 404, "Attachment not found")
    await alice.patch(f"/sessions/{session_id}", json={"status": "completed"})
    assert "is completed" in assert_problem(await send(alice, session_id, b"x"), 409)["detail"]


async def test_sender_without_other_rights_may_delete(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "editor"})
    await send(bob, session_id, b"abc")
    await alice.patch(f"/sessions/{session_id}/participants/bob", json={"role": "viewer"})
    assert (await bob.delete(address(session_id, b"abc"))).status_code == 204


async def test_bad_requests(alice: httpx.AsyncClient, session_id: str) -> None:
    assert "is empty" in assert_problem(await send(alice, session_id, b""), 422)["detail"]
    assert_problem(await send(alice, session_id, b"x", headers={"Content-Type": "png"}), 415)
    many = "a/a" + " ;" * 120 + "\u00e9"  # parameters in so many ways that trying each would not end
    assert_problem(await send(alice, session_id, b"x", headers={"Content-Type": many.encode("latin-1")}), 415)
    assert_problem(await send(alice, session_id, b"x", headers={"Content-Encoding": "gzip"}), 415)
    assert_problem(await send(alice, session_id, b"x", params={"name": "a\nb"}), 422)
    assert_problem(await send(alice, session_id, b"x", params={"name": "n" * 256}), 422)
    assert_problem(await alice.get(f"/sessions/{session_id}/attachments/{'A' * 64}"), 422)
    assert_problem(await alice.get(f"/sessions/{session_id}/attachments", params={"cursor": "x"}), 422)


async def test_list_continues_at_its_cursor(alice: httpx.AsyncClient, session_id: str) -> None:
    for text in (b"a", b"b", b"c"):
        await send(alice, session_id, text, params={"name": text.decode()})
    path = f"/sessions/{session_id}/attachments"
    first = (await alice.get(path, params={"limit": 2})).json()
    rest = (await alice.get(path, params={"limit": 2, "cursor": first["next"]})).json()
    assert [one["name"] for one in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["next"] is None


async def test_sizes_are_limited(dsn: str, sql: Callable[..., list[Any]]) -> None:
    limits = {"max_attachment_bytes": 100, "max_session_attachment_bytes": 150, "max_user_attachment_bytes": 200}
    async with serving(settings_for(dsn, **limits)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        ids = [(await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"] for _ in range(2)]
        assert "MAX_ATTACHMENT_BYTES" in assert_problem(await send(alice, ids[0], b"x" * 101), 413)["detail"]
        assert (await send(alice, ids[0], b"x" * 100)).status_code == 201
        assert "exceed 150 bytes" in assert_problem(await send(alice, ids[0], b"y" * 51), 409)["detail"]
        assert (await send(alice, ids[0], b"x" * 100)).status_code == 200
        assert (await send(alice, ids[1], b"y" * 51)).status_code == 201
        assert "exceed 200 bytes" in assert_problem(await send(alice, ids[1], b"z" * 50), 409)["detail"]
        assert api.app.state.space.used == 0
        await alice.delete(f"/sessions/{ids[0]}")
        assert sql("select count(*) from attachment_chunks") == [(1,)]


async def test_repeated_request_is_replayed(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    key = {"Idempotency-Key": "once"}
    first = await send(alice, session_id, b"abc", headers=key)
    again = await send(alice, session_id, b"abc", headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert_problem(await send(alice, session_id, b"abd", headers=key), 422)
