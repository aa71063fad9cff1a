"""A read replica answers reads, never with what is older than an acknowledged write, and its outage is invisible."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from amplifier.database import hosts
from amplifier.database.pool import Database
from amplifier.database.replica import Position, Replica, Shared
from amplifier.settings import Settings
from amplifier.telemetry import recorder
from tests.conftest import CONFIG, Api, private_folder, serving, settings_for
from tests.support.clusters import Cluster, copied, make_template
from tests.support.polling import until
from tests.support.replicas import promote, replica

slow = pytest.mark.slow  # starts two servers
WORD = "quince"


class Servers(NamedTuple):
    """A primary and its replica."""

    primary: Cluster
    replica: Cluster

    @property
    def settings(self) -> Settings:
        """Settings with the replica."""
        changes = {"database_read_url": self.replica.service_dsn, "database_statement_timeout": 60}
        return settings_for(self.primary.service_dsn, **changes)


class Outcomes(recorder.Recorder):
    """Counts where reads were answered."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def read(self, outcome: str) -> None:
        self.counts[outcome] += 1


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """The data of a migrated cluster."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield make_template(folder / "template")


@pytest.fixture
def servers(template: Path) -> Iterator[Servers]:
    """A primary and its replica, both running. Statements on the replica give way to replay at once."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with copied(template, folder / "one") as primary:
            primary.start(fsync="off")
            with replica(primary, folder / "two", fsync="off", max_standby_streaming_delay=0) as standby:
                yield Servers(primary, standby)


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Where reads were answered, with the numbers of reads."""
    outcomes = Outcomes()
    monkeypatch.setattr(recorder, "current", outcomes)
    return outcomes.counts


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    hosts._known.clear()
    yield
    hosts._known.clear()


@pytest.fixture
async def api(servers: Servers) -> AsyncIterator[Api]:
    """The service with the replica, which it has reached."""
    async with serving(servers.settings) as api:
        await used(api)
        yield api


async def used(api: Api, is_used: bool = True) -> None:
    """Waits until the replica is used, or is not."""

    async def condition() -> bool:
        return reads(api).is_used is is_used

    await until(condition)


def reads(api: Api) -> Any:
    return api.app.state.queries.database.reads


async def session_of(client: httpx.AsyncClient) -> str:
    config = (await client.post("/configs", json=CONFIG)).json()["config_id"]
    return str((await client.post("/sessions", json={"config_id": config})).json()["session_id"])


async def append(client: httpx.AsyncClient, session_id: str, text: str = WORD) -> int:
    """Appends a message and returns its number."""
    body = {"messages": [{"role": "user", "content": text}]}
    appended = await client.post(f"/sessions/{session_id}/transcript", json=body)
    assert appended.status_code == 201, appended.text
    return int(appended.json()["last_seq"])


async def newest(client: httpx.AsyncClient, session_id: str) -> int:
    """Returns the number of the newest message of a transcript."""
    page = await client.get(f"/sessions/{session_id}/transcript", params={"last": 1})
    assert page.status_code == 200, page.text
    return int(page.json()["messages"][-1]["seq"])


@contextlib.contextmanager
def held_up(servers: Servers) -> Iterator[None]:
    """Stops the replay on the replica for as long as the context lasts."""
    servers.replica.run("select pg_wal_replay_pause()")
    try:
        yield
    finally:
        servers.replica.run("select pg_wal_replay_resume()")


@slow
async def test_replica_answers_reads(api: Api, outcomes: Counter[str]) -> None:
    alice = await api.as_user("alice")
    session_id = await session_of(alice)
    seq = await append(alice, session_id)
    paths = [f"/sessions/{session_id}/transcript", f"/sessions/{session_id}/transcript/{seq}", "/sessions"]
    paths += [
        f"/search?q={WORD}",
        f"/search/facets?q={WORD}",
        "/sessions?status=active",
        "/sessions?include=last_message",
    ]
    for path in paths:

        async def on_replica(path: str = path) -> bool:
            before = outcomes["replica"]
            answer = await alice.get(path)
            assert answer.status_code == 200, answer.text
            assert session_id in answer.text or WORD in answer.text or '"hits":1' in answer.text
            return outcomes["replica"] > before

        await until(on_replica)  # the primary answers where the replica takes longer on a busy machine


@slow
async def test_own_write_is_read_through_another_process(servers: Servers, api: Api, outcomes: Counter[str]) -> None:
    async with serving(servers.settings) as elsewhere:
        await used(elsewhere)
        alice = await api.as_user("alice")
        there = elsewhere.client(dict(alice.headers))
        session_id = await session_of(alice)
        assert await newest_after(alice, there, session_id, 20)
        with held_up(servers):
            assert await newest_after(alice, there, session_id, 3)
            assert outcomes["behind"]
            await append(alice, session_id, "a medlar")
            assert "medlar" in (await there.get("/search", params={"q": "medlar"})).text
        before = outcomes["replica"]

        async def on_replica() -> bool:
            await newest(there, session_id)
            return outcomes["replica"] > before

        await until(on_replica)


async def newest_after(writer: httpx.AsyncClient, reader: httpx.AsyncClient, session_id: str, times: int) -> bool:
    """Returns whether each append is read at once."""
    for _ in range(times):
        seq = await append(writer, session_id)
        if await newest(reader, session_id) < seq:
            return False
    return True


@slow
async def test_revoked_access_gives_nothing_on_replica(servers: Servers, api: Api) -> None:
    alice, bob = await api.as_user("alice"), await api.as_user("bob")
    session_id = await session_of(alice)
    await append(alice, session_id)
    await bob.get("/users/me")
    added = await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    assert added.status_code == 201, added.text
    assert await newest(bob, session_id)
    with held_up(servers):
        assert (await alice.delete(f"/sessions/{session_id}/participants/bob")).status_code == 204
        assert (await bob.get(f"/sessions/{session_id}/transcript")).status_code == 404
        for path in ("/sessions", f"/search?q={WORD}"):
            answer = await bob.get(path)
            assert answer.status_code == 200
            assert session_id not in answer.text


@slow
async def test_outage_of_replica_is_invisible(servers: Servers, api: Api, outcomes: Counter[str]) -> None:
    alice = await api.as_user("alice")
    session_id = await session_of(alice)
    seq = await append(alice, session_id)
    servers.replica.kill()
    for _ in range(5):
        assert await newest(alice, session_id) == seq
    await used(api, False)
    assert await newest(alice, session_id) == seq
    servers.replica.start(fsync="off")
    await used(api)
    with servers.replica.frozen():
        async with asyncio.timeout(30):  # less than a statement may take
            assert await newest(alice, session_id) == seq
        await used(api, False)
        assert await newest(alice, session_id) == seq
    await used(api)
    assert outcomes["away"]


@slow
async def test_primary_answers_what_recovery_cancels(servers: Servers, api: Api, outcomes: Counter[str]) -> None:
    servers.primary.run("create table public.locked as select 1 as one; grant select on public.locked to amplifier_app")
    running = "select 1 from pg_stat_activity where query like '%pg_sleep(2)%' and pid <> pg_backend_pid()"

    async def runs() -> bool:
        return bool(servers.replica.run(running))

    def read() -> "asyncio.Task[int]":
        return asyncio.create_task(reads(api).fetchval("select count(*) from public.locked, pg_sleep(2)"))

    counted = read()
    await until(runs)
    servers.primary.run("alter table public.locked add column two integer")
    assert await counted == 1
    assert outcomes["failed"] == 1


@slow
async def test_transactions_stay_on_primary(api: Api, outcomes: Counter[str]) -> None:
    database: Database = api.app.state.queries.database
    async with database.transaction():
        assert await database.reads.fetchval("select pg_is_in_recovery()") is False
    assert not outcomes, "nothing was asked before"
    assert await database.reads.execute("update sessions set title = title") == "UPDATE 0"


@slow
async def test_promoted_replica_is_not_used(servers: Servers, api: Api) -> None:
    promote(servers.replica)
    await used(api, False)
    alice = await api.as_user("alice")
    session_id = await session_of(alice)
    assert await newest_after(alice, alice, session_id, 1)


@slow
async def test_server_that_is_no_replica_is_not_used(
    servers: Servers, template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = settings_for(servers.primary.service_dsn, database_read_url=servers.primary.service_dsn).read_dsn or ""
    settings = settings_for(own, database_read_url=own)
    assert settings.read_dsn == settings.dsn
    async with serving(settings) as api:
        alice = await api.as_user("alice")
        session_id = await session_of(alice)

        async def told() -> bool:
            return "the replica is not used" in caplog.text

        await until(told)
        connection = await api.app.state.queries.database.dedicated()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):  # two attempts to use it
                await connection_lost(connection)
        connection.terminate()
        assert not reads(api).is_used
        assert await newest_after(alice, alice, session_id, 1)


async def connection_lost(connection: Any) -> None:
    """Waits until a connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    await lost.wait()


@slow
async def test_connection_to_another_server_is_refused(servers: Servers, api: Api, outcomes: Counter[str]) -> None:
    """An address may lead to several replicas, of which the position of one is known."""

    async def on_replica() -> bool:
        return bool(await reads(api).fetchval("select pg_is_in_recovery()"))

    await until(on_replica)
    reads(api)._server = "another"
    await reads(api)._pool._pool.expire_connections()
    await reads(api)._pool._return_idle()
    outcomes.clear()
    for _ in range(20):
        assert not await on_replica()
    assert outcomes["failed"]


@slow
async def test_replica_on_former_timeline_is_not_fresh(servers: Servers) -> None:
    """The writes of a former primary after a promotion elsewhere are not in the present primary's history."""
    database = Database(servers.settings, servers.primary.service_dsn)
    await database.connect()
    try:
        replica = Replica(servers.settings, servers.settings.read_dsn or "", database)
        replica._fault, replica._replayed = None, Position(1, 2**60)
        assert await replica._outcome() == "replica"
        promote(servers.replica)
        async with serving(settings_for(servers.replica.service_dsn)) as promoted:
            replica._primary = promoted.app.state.queries.database
            assert await replica._outcome() == "behind"
    finally:
        await database.close()


async def test_shared_answer_is_no_older_than_the_call() -> None:
    asked: list[asyncio.Future[Position]] = []

    async def ask() -> Position:
        asked.append(asyncio.get_running_loop().create_future())
        return await asked[-1]

    shared = Shared(ask)
    async with asyncio.timeout(10):
        first = asyncio.create_task(shared.answer())
        while not asked:
            await asyncio.sleep(0)
        later = [asyncio.create_task(shared.answer()) for _ in range(3)]
        await asyncio.sleep(0)
        asked[0].set_result(Position(1, 1))
        assert await first == Position(1, 1)
        while len(asked) < 2:
            await asyncio.sleep(0)
        asked[1].set_result(Position(1, 2))
        assert await asyncio.gather(*later) == [Position(1, 2)] * 3
        assert len(asked) == 2
