"""The sweep of attachments: those to which no message refers go, all others stay; blobs follow their attachments."""

import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.maintenance.attachment_expiry import expire
from tests.conftest import Api
from tests.support.stage import holding

GRACE = 3600
DUE = "update attachments set checked_at = now() - interval '2 hours'"


class Removed:
    """A store that notes which blobs it is to remove."""

    def __init__(self) -> None:
        self.locations: list[str] = []

    async def remove(self, location: str) -> None:
        self.locations.append(location)


async def attach(client: httpx.AsyncClient, session_id: str, content: bytes) -> str:
    answer = await client.post(f"/sessions/{session_id}/attachments", content=content)
    return str(answer.json()["attachment"])


async def names(client: httpx.AsyncClient, session_id: str) -> set[str]:
    return {one["attachment"] for one in (await client.get(f"/sessions/{session_id}/attachments")).json()["items"]}


async def refer(client: httpx.AsyncClient, session_id: str, attachment: str) -> None:
    block = {"type": "image_url", "image_url": {"url": attachment}}
    messages = [{"role": "user", "content": [block]}, {"role": "user", "content": "later"}]
    await client.post(f"/sessions/{session_id}/transcript", json={"messages": messages})


async def test_only_attachments_without_reference_expire(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    kept, left = await attach(alice, session_id, b"kept"), await attach(alice, session_id, b"left")
    await refer(alice, session_id, kept)
    await expire(api.app.state.queries, api.app.state.attachments, GRACE)
    assert await names(alice, session_id) == {kept, left}
    sql(DUE)
    new = await attach(alice, session_id, b"new")
    await expire(api.app.state.queries, api.app.state.attachments, GRACE)
    assert await names(alice, session_id) == {kept, new}
    assert sql("select referenced_seq from attachments where referenced_seq is not null") == [(1,)]
    assert sql("select count(*) from attachment_chunks") == [(2,)]


async def test_attachment_that_is_sent_again_stays(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    left = await attach(alice, session_id, b"left")
    sql(DUE)
    assert await attach(alice, session_id, b"left") == left
    await expire(api.app.state.queries, api.app.state.attachments, GRACE)
    assert await names(alice, session_id) == {left}


@pytest.mark.slow
async def test_session_that_cannot_be_checked_delays_no_other(
    api: Api, alice: httpx.AsyncClient, config_id: str, session_id: str, dsn: str, sql: Callable[..., list[Any]]
) -> None:
    other = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    stuck, left = await attach(alice, session_id, b"stuck"), await attach(alice, other, b"left")
    sql(DUE)
    with holding(dsn, f"select from sessions where session_id = '{session_id}' for update"):
        await expire(api.app.state.queries, api.app.state.attachments, GRACE)
    assert await names(alice, session_id) == {stuck}
    assert left not in await names(alice, other)


async def test_blob_is_removed_when_no_attachment_has_it(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    for content in (b"one", b"two"):
        await attach(alice, session_id, content)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]
    sql(f"update attachments set location = 'blob-' || case when sha256 = '{digests[0]}' then 1 else 2 end")
    sql("insert into attachment_removals values ('blob-2', now()), ('blob-3', now() + interval '1 hour')")
    await alice.delete(f"/sessions/{session_id}/attachments/{digests[0]}")
    store: Any = Removed()
    await expire(api.app.state.queries, store, GRACE)
    assert store.locations == ["blob-1"]
    assert sql("select location from attachment_removals") == [("blob-3",)]


async def test_fork_has_attachments_of_its_messages(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]]
) -> None:
    large = b"large" * 100_000
    kept, left = await attach(alice, session_id, large), await attach(alice, session_id, b"left")
    await refer(alice, session_id, kept)
    await refer(alice, session_id, left)
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={"up_to_seq": 2})).json()["session_id"]
    assert await names(alice, fork) == {kept}
    await alice.delete(f"/sessions/{session_id}")
    path = f"/sessions/{fork}/attachments/{hashlib.sha256(large).hexdigest()}"
    assert (await alice.get(path)).content == large
    assert sql("select count(*) from attachments") == [(1,)]
