"""The time of a search: one statement, which is cancelled on the server after SEARCH_TIMEOUT."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from asyncpg.connection import LoggedQuery

from amplifier.fair_share import Shares
from amplifier.web import turns
from tests.api.test_search import Sql, add, seqs
from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for

HERE = "from pg_stat_activity where datname = current_database()"
RUNNING = f"select count(*) {HERE} and query like '%%pg_sleep%%' and state <> 'idle' and pid <> %s"
BACKENDS = f"select pid {HERE} and application_name = 'amplifier-api' order by pid"


class Service(NamedTuple):
    """A service whose searches for `slow` take a minute, a client, and the path of a session with two messages."""

    api: Api
    alice: httpx.AsyncClient
    path: str


@pytest.fixture
def slow(folder: Path) -> Path:
    """A folder of queries."""
    sleeping = "from pg_sleep(case when :q = 'slow' then 60 else 0 end)\n    cross join search_matches("
    for file in (folder / "search.sql", folder / "search_facets.sql"):
        file.write_text(file.read_text().replace("from search_matches(", sleeping))
    return folder


@contextlib.asynccontextmanager
async def started(dsn: str, queries: Path, **settings: Any) -> AsyncIterator[Service]:
    async with serving(settings_for(dsn, queries_dir=str(queries), search_timeout=1, **settings)) as api:
        alice = await api.as_user("alice")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        await add(alice, session_id, "slow", "fast")
        yield Service(api, alice, f"/sessions/{session_id}")


async def stopped(client: httpx.AsyncClient, path: str = "/search") -> None:
    response = await client.get(path, params={"q": "slow"})
    assert "longer than 1 s" in assert_problem(response, 503)["detail"]
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.slow
async def test_slow_search_is_cancelled_and_its_connection_used_again(dsn: str, slow: Path, sql: Sql) -> None:
    [(own,)] = sql("select pg_backend_pid()")
    async with started(dsn, slow, database_pool_max_size=1) as service:
        backends = sql(BACKENDS)
        for path in ("/search", f"{service.path}/search", "/sessions"):
            await stopped(service.alice, path)
            assert sql(RUNNING, own) == [(0,)]
            assert await seqs(service.alice, "fast") == [2], "the connection has its usual limits again"
        assert (await service.alice.get("/sessions")).json()["total"] == 1
        assert sql(BACKENDS) == backends


async def test_other_searches_succeed_while_one_is_cancelled(dsn: str, slow: Path) -> None:
    async with started(dsn, slow, database_pool_max_size=6) as service:
        bob = await service.api.as_user("bob")
        paths = ("/search", "/search/facets")  # all that one user gets
        searches = [asyncio.create_task(stopped(service.alice, path)) for path in paths]
        while not all(search.done() for search in searches):
            assert await seqs(bob, "fast") == []
        await asyncio.gather(*searches)
        assert await seqs(service.alice, "fast") == [2]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/search", "search.list_messages"),
        ("/sessions", "search.list_sessions"),
        ("/search/facets", "search_facets.count"),
    ],
)
async def test_search_is_one_statement(dsn: str, folder: Path, path: str, name: str) -> None:
    async with started(dsn, folder, database_pool_max_size=1) as service:
        logged: list[LoggedQuery] = []
        async with service.api.app.state.queries.database.connection() as only:
            only.add_query_logger(logged.append)
        assert (await service.alice.get(path, params={"q": "fast"})).status_code == 200
        await asyncio.sleep(0)  # the loop calls loggers
        sent = [one.query.partition(" */")[0] for one in logged]
        # what has no name is no query of ours: begin, set, commit; activity is written in the background
        assert [one for one in sent if "/* search" in one or "/*" not in one] == [f"with /* {name}"]


def occupy(places: Shares) -> int:
    """Takes all places, each for a user of its own, and returns their number."""
    return next(number for number in itertools.count() if not places.take_at_once(f"user {number}"))


async def test_searches_leave_connections_to_others(dsn: str) -> None:
    """Of the ten connections of a process, three search."""
    async with serving(settings_for(dsn, database_pool_max_size=10)) as api:
        alice = await api.as_user("alice")
        session_id = (await alice.post("/sessions", json={})).json()["session_id"]
        await add(alice, session_id, "fast")
        places = api.app.state.turns["search"]
        assert occupy(places) == 3
        waiting = asyncio.create_task(alice.get("/search", params={"q": "fast"}))
        while not places.waiting and not waiting.done():
            await asyncio.sleep(0)
        await add(alice, session_id, "others")
        assert not waiting.done()
        places.give_back("user 0")
        assert [item["seq"] for item in (await waiting).json()["items"]] == [1]


async def test_search_without_turn_is_refused(
    api: Api, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_WAIT", 0.01)
    assert occupy(api.app.state.turns["search"])
    for path in ("/search", "/sessions", "/search/facets"):
        response = await alice.get(path, params={"q": "fast"})
        assert assert_problem(response, 503)["detail"] == "Too many searches are in progress: try again shortly"
