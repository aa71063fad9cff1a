"""The command that prepares a database for the search by meaning, and takes that back."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import embeddings
from tests.support.service import command

Sql = Callable[..., list[Any]]
ROWS = """
    insert into applications (app_id, app_name, api_key_hash, api_key_prefix) values ('a', 'a', repeat('0', 64), 'p');
    insert into sessions (session_id, owner_user_id, created_by_app_id) values ('s', 'u', 'a');
    insert into messages (session_id, seq, message, author_user_id, author_app_id)
    select 's', n, '{"role": "user", "content": "car"}', 'u', 'a' from generate_series(1, 2500) as n
"""


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of the stub, which answers in a thread: the command is another process."""
    started, ends = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with embeddings.running() as server:
            found.append(server.url)
            started.set()
            await asyncio.to_thread(ends.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    yield found[0]
    ends.set()
    thread.join(10)


@pytest.mark.slow
def test_command_prepares_reports_and_disables(dsn: str, sql: Sql, url: str) -> None:
    sql(ROWS)
    environment = {"DATABASE_URL": dsn, "SEARCH_EMBEDDINGS": "openai:small", "SEARCH_EMBEDDINGS_URL": url}
    status = command(environment, "search", "embeddings", "--status")
    assert status.stdout == "the search by meaning is off\n"
    for added in (2500, 0):  # the second run finds all prepared
        done = command(environment, "search", "embeddings")
        assert done.returncode == 0, done.stderr
        assert f"openai:small with 64 dimensions: {added} more messages wait to be embedded" in done.stdout
    status = command(environment, "search", "embeddings", "--status")
    assert "0 messages embedded, 2500 waiting" in status.stdout
    assert command(environment, "search", "embeddings", "--disable").stdout == "removed all embeddings\n"
    assert sql("select count(*) from message_embeddings") == [(0,)]


@pytest.mark.slow
def test_command_says_what_is_missing(dsn: str) -> None:
    done = command({"DATABASE_URL": dsn}, "search", "embeddings")
    assert (done.returncode, "SEARCH_EMBEDDINGS must name a model" in done.stderr) == (1, True)
    broken = {"DATABASE_URL": dsn, "SEARCH_EMBEDDINGS": "openai:x", "SEARCH_EMBEDDINGS_URL": "http://127.0.0.1:1"}
    done = command(broken, "search", "embeddings")
    assert (done.returncode, "openai:x does not work" in done.stderr) == (1, True)
