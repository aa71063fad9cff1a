"""Users share the pool's connections: none takes all of them, and no user waits for another's requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import httpx
import pytest

from amplifier import fair_share
from amplifier.database.pool import Database
from amplifier.errors import Crowded, Unavailable
from amplifier.fair_share import Shares, current
from tests.conftest import CONFIG, assert_problem, serving, settings_for, token
from tests.support.live import until
from tests.support.stage import holding


async def as_user(user: str | None, work: Awaitable[Any]) -> Any:
    """Awaits `work` in a task that counts for `user`."""
    current.set(user)
    return await work


def soon(user: str | None, work: Awaitable[Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(as_user(user, work))


@contextlib.asynccontextmanager
async def connected(dsn: str, size: int, **changes: Any) -> AsyncIterator[Database]:
    database = Database(settings_for(dsn, database_pool_max_size=size, **changes), dsn)
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


async def test_surplus_requests_of_user_wait_for_own_connections(dsn: str) -> None:
    async with connected(dsn, 6, database_acquire_timeout=5) as database, contextlib.AsyncExitStack() as held:
        for _ in range(2):
            await as_user("alice", held.enter_async_context(database.connection()))
        surplus = [soon("alice", database.fetchval("select 1")) for _ in range(100)]
        await asyncio.sleep(0)
        assert await soon("bob", database.fetchval("select 2")) == 2
        assert await soon(None, database.fetchval("select 3")) == 3
        assert not any(task.done() for task in surplus)
        await held.aclose()
        assert await asyncio.gather(*surplus) == [1] * 100


async def test_refusal_names_load_of_user_or_of_pool(dsn: str) -> None:
    async with connected(dsn, 3, database_acquire_timeout=0.05) as database, contextlib.AsyncExitStack() as held:
        await as_user("alice", held.enter_async_context(database.connection()))
        with pytest.raises(Crowded):
            await soon("alice", database.fetchval("select 1"))
        for _ in range(2):
            await as_user(None, held.enter_async_context(database.connection()))
        with pytest.raises(Unavailable) as refused:
            await soon("bob", database.fetchval("select 1"))
        assert not isinstance(refused.value, Crowded)


@pytest.mark.parametrize("size", [1, 2])
async def test_smallest_pools_serve_nested_work(dsn: str, size: int) -> None:
    async with connected(dsn, size, database_acquire_timeout=5) as database:

        async def nested() -> int:
            async with database.transaction(), database.patient(5):
                return int(await database.fetchval("select 1"))

        users = ["alice", "bob", None]
        assert await asyncio.gather(*(soon(users[n % 3], nested()) for n in range(60))) == [1] * 60


async def test_waiting_users_take_turns() -> None:
    places, served = Shares(1, 1), []

    async def visit(user: str | None, name: str) -> None:
        await places.take(user)
        served.append(name)
        await asyncio.sleep(0)
        places.give_back(user)

    await places.take(None)
    visits = [("a", "a"), ("a", "a"), ("a", "a"), ("b", "b"), (None, "service"), (None, "service"), ("c", "c")]
    tasks = [asyncio.create_task(visit(*one)) for one in visits]
    await asyncio.sleep(0)
    places.give_back(None)
    await asyncio.gather(*tasks)
    assert served == ["a", "b", "service", "service", "c", "a", "a"]


async def test_cancelled_waits_leave_no_trace() -> None:
    places = Shares(3, 1)
    for _ in range(50):
        for user in ("a", "b", None):
            await places.take(user)
        tasks = [asyncio.create_task(places.take(user)) for user in ("a", "b", "c", None) * 5]
        await asyncio.sleep(0)
        tasks[0].cancel()  # has not noticed yet when a place is handed out
        places.give_back("a")
        tasks[4].cancel()  # has got a place and not noticed yet
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        places.give_back("b")
        places.give_back(None)
        assert not places._waiting
        assert not places._taken
        assert places._free == 3


async def test_waiting_requests_of_user_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_share, "_MOST_WAITING", 10)
    places = Shares(3, 1)
    await places.take("alice")
    waiting = [asyncio.create_task(places.take("alice")) for _ in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await places.take("alice")
    await places.take("bob")
    for task in waiting:
        task.cancel()


async def test_requests_count_against_their_user(dsn: str) -> None:
    """Each request holds a transaction that waits for a lock."""
    limits = {
        "database_pool_min_size": 6,
        "database_pool_max_size": 6,
        "database_acquire_timeout": 1,
        "database_lock_timeout": 10,
    }
    async with serving(settings_for(dsn, database_statement_timeout=10, **limits)) as api:
        alice, bob = await api.as_user("alice"), await api.as_user("bob")
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        with holding(dsn, "select from configs for update") as release:
            path = f"/configs/{config_id}"
            tasks = [asyncio.create_task(alice.put(path, json={"name": str(n)})) for n in range(12)]
            await until(lambda: sum(task.done() for task in tasks) == 10)
            crowded = [task.result() for task in tasks if task.done()]
            for answer in crowded:
                assert "your other requests" in assert_problem(answer, 503)["detail"]
                assert answer.headers["retry-after"] in ("1", "2", "3")
            assert (await bob.post("/configs", json=CONFIG)).status_code == 201
            release()
            assert {(await task).status_code for task in tasks if task not in crowded} == {200, 503}


async def test_entire_pool_is_shared_without_authentication(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_required=False, database_pool_max_size=3)) as api:
        database: Database = api.app.state.queries.database
        clients = [api.client() for _ in range(3)]
        config_id = (await clients[0].post("/configs", json=CONFIG)).json()["config_id"]
        with work_on(database) as running:
            answers = [client.put(f"/configs/{config_id}", json={"name": "two"}) for client in clients]
            assert {answer.status_code for answer in await asyncio.gather(*answers)} == {200}
        assert running == {None}


async def test_forged_credentials_count_against_their_address(dsn: str) -> None:
    async with serving(settings_for(dsn)) as api:
        headers = {"X-API-Key": f"app_{'0' * 16}_{'x' * 43}", "Authorization": f"Bearer {token(sub='alice')}"}
        with work_on(api.app.state.queries.database) as running:
            assert_problem(await api.client(headers).get("/configs"), 401)
        assert ("address", "127.0.0.1") in running


@contextlib.contextmanager
def work_on(database: Database) -> Any:
    """Returns the users for whom connections are taken during the requests."""
    seen: set[Any] = set()
    gate, take = database._gate, database._gate.take_at_once

    def spy(user: Any) -> bool:
        seen.add(user)
        return take(user)

    gate.take_at_once = spy  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        del gate.take_at_once


async def test_request_leaves_no_current_user(api: Any, alice: httpx.AsyncClient) -> None:
    assert (await alice.get("/configs")).status_code == 200
    assert current.get() is None
