"""Outages of the database: each wait ends within its limit with 503, and no acknowledged write is lost."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import httpx
import pytest

from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.postgres import embedded
from amplifier.schema import migrate
from tests.conftest import CONFIG, SECRET, Api, assert_problem, private_folder, serving, settings_for
from tests.support.polling import TERMINATE, gives, remembers, until

Sql = Callable[..., list[Any]]
LIMITS = {"database_acquire_timeout": 0.5, "database_statement_timeout": 1, "database_lock_timeout": 0.5}
# errors after which the same statement may succeed: resources, interventions, disks, and a failover
STATES = [
    *("08006", "25006", "25P03", "25P04", "40001", "40P01", "53000", "53100", "53200", "53300", "53400"),
    *("55P03", "57014", "57P01", "57P03", "57P04", "57P05", "58000", "58030"),
]
LONGEST = 0.5 + (1 + 1) + 10  # seconds: for a connection, for a statement that the server does not end, and a reserve


class Service(NamedTuple):
    """An application with short limits, its database, a client and the path of a session."""

    api: Api
    database: Database
    client: httpx.AsyncClient
    session: str

    async def append(self) -> httpx.Response:
        return await self.client.post(f"{self.session}/transcript", json={"messages": [{"role": "user"}]})

    async def recovers(self) -> bool:
        return (await self.append()).status_code == 201

    async def unavailable(self, request: Awaitable[httpx.Response]) -> None:
        """Checks that the request gets a 503 in time, with a Retry-After and without details of the database."""
        async with asyncio.timeout(LONGEST):
            response = await request
        detail = assert_problem(response, 503)["detail"]
        assert detail.startswith(("The database ", "No database connection ")), detail
        assert response.headers["retry-after"] in ("1", "2", "3")

    async def refuses_all(self) -> None:
        """Checks that reads and writes are refused and that /health is degraded."""
        refused = (self.unavailable(request) for request in (self.client.get(self.session), self.append()))
        health, *_ = await asyncio.gather(self.client.get("/health"), *refused)
        assert (health.status_code, health.json()["status"]) == (200, "degraded")


@contextlib.asynccontextmanager
async def started(dsn: str, limits: dict[str, Any] = LIMITS) -> AsyncIterator[Service]:
    async with serving(settings_for(dsn, **limits)) as api:
        client = await api.as_user("alice")
        config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
        created = await client.post("/sessions", json={"config_id": config_id})
        yield Service(api, api.app.state.queries.database, client, f"/sessions/{created.json()['session_id']}")


@pytest.fixture
async def service(dsn: str) -> AsyncIterator[Service]:
    """A service on the shared server."""
    async with started(dsn) as service:
        yield service


@contextlib.contextmanager
def frozen(home: Path) -> Iterator[None]:
    """Stops all processes of the server of `home` for as long as the context lasts."""
    postmaster = (home / "data/postmaster.pid").read_text().split("\n", 1)[0]
    children = subprocess.check_output(["ps", "-o", "pid=", "--ppid", postmaster], timeout=10).split()
    with contextlib.ExitStack() as stack:
        for process in map(int, [postmaster, *children]):
            stack.callback(os.kill, process, signal.SIGCONT)
            os.kill(process, signal.SIGSTOP)
        yield


async def test_requests_without_free_connection_are_refused_in_time(service: Service) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(service.api.settings.database_pool_max_size):
            await stack.enter_async_context(service.database.connection())
        await service.refuses_all()
    await until(service.recovers)


async def test_slow_statement_ends_in_time(service: Service, sql: Sql) -> None:
    async with asyncio.timeout(LONGEST):
        with pytest.raises(Unavailable, match="too long"):
            await service.database.fetchval("select pg_sleep(60)")
    sql("begin")
    sql("select from sessions for update")
    await service.unavailable(service.append())
    assert await gives(service.client, 200), "reads wait for no lock"
    sql("rollback")
    await until(service.recovers)


@pytest.mark.slow
async def test_restarted_and_frozen_server_loses_no_acknowledged_append() -> None:
    acknowledged: set[int] = set()

    async def write(service: Service) -> None:
        while (response := await service.append()).status_code in (201, 503):
            acknowledged.add(response.json().get("last_seq", 1))
            await asyncio.sleep(0)

    with private_folder() as home, contextlib.ExitStack() as server:
        migrate.migrate(dsn := server.enter_context(embedded.running(home, "amplifier-api")))
        async with started(dsn) as service:
            writers = [asyncio.create_task(write(service)) for _ in range(3)]
            await until(lambda: asyncio.sleep(0, len(acknowledged) > 20))
            server.close()
            await service.refuses_all()
            server.enter_context(embedded.running(home, "amplifier-api"))
            await until(service.recovers)
            with frozen(home):
                await service.refuses_all()
            await until(service.recovers)
            for writer in writers:
                writer.cancel()
            ended = await asyncio.gather(*writers, return_exceptions=True)
            assert {type(error) for error in ended} == {asyncio.CancelledError}
            numbers = [row[0] for row in await service.database.fetch("select seq from messages order by seq")]
            assert numbers == list(range(1, len(numbers) + 1))
            assert acknowledged <= set(numbers)


@pytest.mark.parametrize("state", STATES)
async def test_error_of_the_server_is_503_without_its_text(
    service: Service, sql: Sql, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    """Raised by a trigger, because few of them can be provoked."""
    body = f"begin raise exception 'said by the database' using errcode = '{state}'; end"
    sql(f"create function fail() returns trigger language plpgsql as $$ {body} $$")
    sql("create trigger fail before insert on messages execute function fail()")
    response = await service.append()
    assert_problem(response, 503)
    assert "said" not in response.text
    assert "said by the database" in caplog.text
    sql("drop trigger fail on messages")
    sql("drop function fail")
    await until(service.recovers)


async def test_statement_that_a_dba_cancels_is_not_called_slow(service: Service, sql: Sql) -> None:
    waits = "from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    sql("begin")
    sql("select from sessions for update")
    appending = asyncio.create_task(service.append())
    await until(lambda: asyncio.sleep(0, sql(f"select pg_cancel_backend(pid) {waits}")))
    assert_problem(await appending, 503, "The database is not available at the moment. Try again shortly.")
    sql("rollback")


async def test_read_only_database_refuses_writes_until_it_is_writable(service: Service, sql: Sql) -> None:
    name = sql("select current_database()")[0][0]
    sql(f"alter database {name} set default_transaction_read_only = on")
    sql(f"{TERMINATE} and pid <> pg_backend_pid()")
    await until(lambda: gives(service.client, 200))
    await service.unavailable(service.append())
    await until(lambda: gives(service.client, 200))
    sql(f"alter database {name} reset default_transaction_read_only")
    await until(service.recovers)


async def test_terminated_connections_are_replaced(service: Service, sql: Sql) -> None:
    for _ in range(5):
        requests = [asyncio.create_task(service.append()) for _ in range(10)]
        await asyncio.sleep(0)
        sql(f"{TERMINATE} and pid <> pg_backend_pid()")
        assert {response.status_code for response in await asyncio.gather(*requests)} <= {201, 503}
        await until(lambda: remembers(service.client, service.api))


async def test_200_concurrent_appends_are_stored_in_one_order(dsn: str) -> None:
    bodies = [{"messages": [{"role": "user", "content": str(n)}] * (1 + n % 3)} for n in range(200)]
    async with started(dsn, {"database_acquire_timeout": 30}) as service:
        url = f"{service.session}/transcript"
        clients = [await service.api.as_user("alice", f"app{n}") for n in range(20)]
        answers = await asyncio.gather(*(clients[n % 20].post(url, json=body) for n, body in enumerate(bodies)))
        rows = (await service.client.get(f"{url}?limit=1000")).json()["messages"]
        assert [row["seq"] for row in rows] == list(range(1, 1 + sum(len(body["messages"]) for body in bodies)))
        for body, span in zip(bodies, (answer.json() for answer in answers), strict=True):
            assert [row["message"] for row in rows[span["first_seq"] - 1 : span["last_seq"]]] == body["messages"]
        for seq in range(len(rows), len(rows) + 10):
            race = {"messages": [{"role": "user"}], "expected_seq": seq}
            answers = await asyncio.gather(*(client.post(url, json=race) for client in clients[:2]))
            assert sorted(answer.status_code for answer in answers) == [201, 412]


async def test_last_seen_moves_at_most_once_a_minute(api: Api, sql: Sql, alice: httpx.AsyncClient) -> None:
    me = (await alice.get("/users/me")).json()
    assert (me["user_id"], me["last_seen_app_id"], me["total_sessions"], me["metadata"]) == ("alice", "app", 0, {})
    await api.app.state.activity.flush()
    sql("update users set last_seen = '2000-01-01'")
    for client in (alice, await api.as_user("carol", "other")):
        assert await gives(client, 200)
    await api.app.state.activity.flush()
    assert sql("select user_id, last_seen_app_id from users where last_seen > '2001-01-01'") == [("carol", "other")]


async def test_unexpected_error_is_500_without_details(
    api: Api, sql: Sql, alice: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(api.app.state.queries.sessions, "list", Mock(side_effect=RuntimeError("said by the database")))
    sql("alter table configs rename to elsewhere")
    crashes = [await alice.get("/sessions"), await alice.get("/configs")]
    sql("alter table applications rename column is_active to elsewhere")
    crashes.append(await (await api.as_user("bob")).get("/users/me"))  # before the caller is authenticated
    for response in crashes:
        problem = assert_problem(response, 500, "Internal server error. Report it with the request_id.")
        assert problem["request_id"] == response.headers["x-request-id"] in caplog.text
    key, token = alice.headers["x-api-key"], alice.headers["authorization"].split()[1]
    crashes += [await alice.get("/users/me", headers={"Authorization": f"Bearer {token}x"})]
    shown = "".join(response.text + str(response.headers) for response in crashes)
    assert "said by the database" in caplog.text
    assert not [text for text in ("said", "elsewhere", "configs", "is_active") if text in shown]
    assert not [secret for secret in (key, key[21:], token, SECRET) if secret in caplog.text + shown]
