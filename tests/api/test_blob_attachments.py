"""Attachments in Azure Blob Storage, through Azure's own client and a server that answers as the REST API does."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from amplifier.maintenance.attachment_expiry import expire
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support import blob_server
from tests.support.blob_server import BlobServer

pytest.importorskip("azure.storage.blob")
pytestmark = pytest.mark.slow  # the client's first import takes a second
LARGE = bytes(range(256)) * 20_000  # 5 MB, more than one block


@pytest.fixture
def blobs() -> Iterator[BlobServer]:
    """A container."""
    with blob_server.running() as server:
        yield server


@pytest.fixture
async def api(dsn: str, blobs: BlobServer) -> AsyncIterator[Api]:
    """The application with attachments in the container."""
    async with serving(settings_for(dsn, attachments="azure", attachments_azure_url=blobs.url)) as api:
        yield api


async def send(client: httpx.AsyncClient, session_id: str, content: bytes) -> httpx.Response:
    return await client.post(f"/sessions/{session_id}/attachments", content=content)


async def test_content_is_written_read_and_removed(
    api: Api, alice: httpx.AsyncClient, session_id: str, blobs: BlobServer, sql: Callable[..., list[Any]]
) -> None:
    assert (await send(alice, session_id, LARGE)).status_code == 201
    assert list(blobs.blobs.values()) == [LARGE]
    assert blobs.largest <= 4 * 1024 * 1024
    assert sql("select count(*) from attachment_chunks") == [(0,)]
    assert (await send(alice, session_id, LARGE)).status_code == 200
    path = f"/sessions/{session_id}/attachments/{hashlib.sha256(LARGE).hexdigest()}"
    assert (await alice.get(path)).content == LARGE
    part = await alice.get(path, headers={"Range": "bytes=5000000-5000009"})
    assert part.content == LARGE[5_000_000:5_000_010]
    await alice.delete(path)
    await expire(api.app.state.queries, api.app.state.attachments, 60)
    assert blobs.blobs == {}
    sql("update attachment_removals set due_at = now()")
    await expire(api.app.state.queries, api.app.state.attachments, 60)
    assert sql("select count(*) from attachment_removals") == [(0,)]


async def test_fork_shares_the_blob(
    api: Api, alice: httpx.AsyncClient, session_id: str, blobs: BlobServer, sql: Callable[..., list[Any]]
) -> None:
    name = (await send(alice, session_id, b"abc")).json()["attachment"]
    await alice.post(f"/sessions/{session_id}/transcript", json={"messages": [{"file": name}]})
    fork = (await alice.post(f"/sessions/{session_id}/fork", json={})).json()["session_id"]
    await alice.delete(f"/sessions/{session_id}")
    await expire(api.app.state.queries, api.app.state.attachments, 60)
    assert len(blobs.blobs) == 1
    path = f"/sessions/{fork}/attachments/{hashlib.sha256(b'abc').hexdigest()}"
    assert (await alice.get(path)).content == b"abc"
    blobs.blobs.clear()
    assert_problem(await alice.get(path), 404, "Attachment not found")


async def test_storage_that_refuses_is_reported(
    alice: httpx.AsyncClient, session_id: str, blobs: BlobServer, sql: Callable[..., list[Any]]
) -> None:
    blobs.refuses = 403
    problem = assert_problem(await send(alice, session_id, b"abc"), 503)
    assert problem["detail"].startswith("The storage of attachments does not answer.")
    assert sql("select count(*) from attachments") == [(0,)]
    assert sql("select count(*) from attachment_removals") == [(1,)], "the blob may have been written"
