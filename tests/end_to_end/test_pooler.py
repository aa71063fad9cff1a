"""The service behind PgBouncer, with real processes: it migrates, serves, reloads, and leaves no session state."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.conftest import CONFIG
from tests.conftest import serving as api_of
from tests.support import agents, pooled
from tests.support.doctor import examined
from tests.support.pooled import Server, needs_new, needs_old, needs_server
from tests.support.service import command, running_service

pytestmark = [pytest.mark.slow, needs_server]
SHARED = 3  # connections of the pooler to the server
STATE = """
    select
        pg_backend_pid(),
        array(
            select name
            from pg_settings
            where source = 'session' and name not in ('application_name', 'client_encoding') -- PgBouncer sets them
        ),
        pg_my_temp_schema()::bigint,
        array(select pg_listening_channels()),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        current_user::text
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A migrated server."""
    with pooled.serving() as server:
        yield server


@needs_new
def test_service_migrates_serves_and_reloads(server: Server) -> None:
    with server.pooled(default_pool_size=SHARED) as pooler:
        environ = server.environ(pooler, "amplifier_service") | {"DATABASE_POOL_MAX_SIZE": "20"}
        migrating = server.environ(pooler, "owner") | {"DATABASE_SERVICE_PASSWORD": "of the login"}
        done = command(migrating, "migrate")
        assert done.returncode == 0, done.stderr
        done = command(environ, "applications", "create", "by-command")
        assert done.returncode == 0, done.stderr
        with running_service(environ | {"SERVICE_WORKERS": "2"}, limit=60) as service:
            smoke = command({}, "doctor", "--url", service.url, limit=60)
            assert smoke.returncode == 0, smoke.stdout
            found = command(environ, "doctor", limit=60)
            assert found.returncode == 0, found.stdout
            assert "of the service, through a pooler that prepares statements" in found.stdout
            reloaded = command(environ, "queries", "reload", limit=60)
            assert reloaded.returncode == 0, reloaded.stderr
            assert reloaded.stdout.count("serves") == 2
            count = "select count(*) from pg_stat_activity where usename = 'amplifier_service' and datname = 'chats'"
            [(connections,)] = server.run(count)
            assert connections <= SHARED + 2, "and a listening one for each process"
            assert "Traceback" not in service.output


@needs_old
def test_service_does_not_start_behind_an_old_pooler(server: Server) -> None:
    with server.pooled(new=False) as pooler:
        done = command(server.environ(pooler), "serve")
    assert done.returncode == 1
    assert "the pooler keeps no prepared statements of its clients" in done.stderr
    assert "use PgBouncer 1.21 or newer with max_prepared_statements" in done.stderr
    assert "Traceback" not in done.stderr


@needs_new
async def test_clients_leave_no_state_in_the_sessions_of_the_server(server: Server) -> None:
    with server.pooled(default_pool_size=SHARED) as pooler:
        settings = server.settings(pooler, database_pool_max_size=20, database_acquire_timeout=20)
        async with api_of(settings) as api:
            alice = await api.as_user("alice")
            agent = await agents.agent(alice, agents.echo())

            async def work(number: int) -> None:
                config = (await alice.post("/configs", json=CONFIG | {"name": f"c{number}"})).json()
                session = (await alice.post("/sessions", json={"config_id": config["config_id"]})).json()
                path = f"/sessions/{session['session_id']}/transcript"
                for n in range(5):
                    message = {"role": "user", "content": f"words {number} {n}"}
                    assert (await alice.post(path, json={"messages": [message]})).status_code == 201
                found = (await alice.get("/search", params={"q": f"words {number}"})).json()
                assert found["items"], found
                assert len((await alice.get(path)).json()["messages"]) == 5

            # longer than a connection may be silent before the server is asked about it
            slow = api.app.state.queries.database.fetchval("select pg_sleep(3)")
            await asyncio.gather(*(work(number) for number in range(20)), agent.say("hello"), slow)
        clients = [await asyncpg.connect(server.url(port=pooler.port), statement_cache_size=0) for _ in range(SHARED)]
        try:
            for client in clients:
                await client.execute("begin")
            states = [await client.fetchrow(STATE) for client in clients]
        finally:
            for client in clients:
                client.terminate()
    assert len({state[0] for state in states}) == SHARED
    assert [tuple(state)[1:] for state in states] == [([], 0, [], 0, "amplifier_app")] * SHARED


@needs_new
async def test_doctor_says_what_is_wrong_behind_a_pooler(server: Server) -> None:
    with server.pooled() as pooler:
        good = await examined(server.environ(pooler), "pool", "LISTEN", "queries", "connections")
        unsettled = await examined(server.environ(pooler, "unsettled"), "pool")
        gone = await examined(server.environ(pooler) | {"DATABASE_LISTEN_URL": "postgresql://127.0.0.1:1"}, "LISTEN")
    assert {name for name, finding in good.items() if finding.status == "failed"} == set(), good
    assert {good[name].status for name in ("pool", "LISTEN", "queries", "connections")} == {"ok"}, good
    assert "alter role" in str(unsettled["pool"].remedy)
    assert gone["LISTEN"].problem == "PostgreSQL itself cannot be reached, where notifications come from"
    with server.pooled(max_prepared_statements=0) as pooler:
        unprepared = await examined(server.environ(pooler), "pool")
    assert "PgBouncer 1.21 or newer" in str(unprepared["pool"].remedy)
