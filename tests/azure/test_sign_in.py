"""DATABASE_AUTH=entra with azure-identity, a server that issues tokens, and a PostgreSQL that takes the last one."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import psycopg
import pytest

from amplifier import libpq, sign_in
from amplifier.azure import credential
from amplifier.database.connections import LISTENER
from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.setting_sources import load
from amplifier.settings import Settings
from tests.support.entra_database import ADMINISTRATOR, SERVICE, EntraDatabase, serving
from tests.support.service import Service, command, running_service, wait_until
from tests.support.tls_servers import INSTALLS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL with TLS below /usr/lib/postgresql"),
]


@pytest.fixture(scope="module")
def migrated() -> Iterator[EntraDatabase]:
    """The database after `amplifier-api migrate` by its administrator, which also made the service's login."""
    with serving() as database:
        done = command(database.environ(ADMINISTRATOR) | {"DATABASE_SERVICE_USER": SERVICE}, "migrate")
        assert done.returncode == 0, done.stderr
        assert "applied 0001" in done.stdout
        assert database.sql(f"select pg_has_role('{SERVICE}', 'amplifier_app', 'member')") == [(True,)]
        yield database


@pytest.fixture
def database(migrated: EntraDatabase) -> Iterator[EntraDatabase]:
    """The database, whose server of tokens answers as usual at the start and at the end of each test."""
    yield migrated
    migrated.entra.status, migrated.entra.lifetime = 200, 3600
    migrated.entra.hanging.clear()
    migrated.entra.released.clear()


@pytest.fixture
def settings(database: EntraDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of a service in this process."""
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(credential, "_PAUSE", 0.0)
    monkeypatch.setattr(credential, "_REPEAT", 0.0)
    monkeypatch.setattr(sign_in, "_known", {})
    credential.shared.cache_clear()
    yield load({**os.environ, "DATABASE_POOL_MIN_SIZE": "1", "DATABASE_POOL_MAX_SIZE": "5"}, env_file="/nonexistent")
    credential.shared.cache_clear()


@pytest.mark.parametrize(
    ("user", "arguments", "output"),
    [
        (ADMINISTRATOR, ("migrate",), "the schema is up to date"),
        (ADMINISTRATOR, ("search", "reindex"), ""),
        (ADMINISTRATOR, ("retention", "--older-than", "1y", "--apply"), "deleted 0 sessions"),
        (ADMINISTRATOR, ("queries", "check"), "queries"),
        (SERVICE, ("applications", "create", "an-app"), "app_"),
        (SERVICE, ("psql", "--no-psqlrc", "-Atc", "select session_user"), SERVICE),
    ],
)
def test_each_command_signs_in_with_a_token(
    database: EntraDatabase, user: str, arguments: tuple[str, ...], output: str
) -> None:
    before = len(database.entra.tokens)
    done = command(database.environ(user), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert output in done.stdout
    assert len(database.entra.tokens) == before + 1  # kept for all connections of the command
    assert "entra-token" not in done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_service_connects_again_with_new_tokens(database: EntraDatabase, workers: str) -> None:
    settings = {"SERVICE_WORKERS": workers, "LOG_LEVEL": "debug", "DATABASE_POOL_MAX_SIZE": "3"}
    with running_service(database.environ() | settings) as service:
        for _ in range(2):
            wait_until(lambda: _listeners(database) == int(workers), explain=lambda: service.output)
            _use(service)
            database.rotate()
            database.end_connections()
            service.wait_until_healthy()
        wait_until(lambda: _listeners(database) == int(workers), explain=lambda: service.output)
        done = command(database.environ(), "queries", "reload")
        assert done.returncode == 0, done.stderr
        assert f"amplifier on localhost:{database.port}, as {SERVICE} with a token of Microsoft Entra" in service.output
        assert "entra-token" not in service.output


def test_service_waits_for_the_endpoint_and_survives_its_absence(database: EntraDatabase) -> None:
    database.entra.status, before = 500, len(database.entra.requests)
    with ThreadPoolExecutor(1) as threads:
        starts = threads.submit(_used_without_endpoint, database)
        wait_until(lambda: len(database.entra.requests) > before + 4)  # a request and its repetition, twice
        database.entra.status = 200
        output = starts.result()
    assert "trying again for 30 s: Microsoft Entra gave no token" in output
    assert "managed identity: " in output
    assert "entra-token" not in output


def _used_without_endpoint(database: EntraDatabase) -> str:
    with running_service(database.environ()) as service:
        database.entra.status = 500
        database.end_connections()
        service.wait_until_healthy()
        wait_until(lambda: _listeners(database) == 1)
        _use(service)
        return service.output


async def test_pool_grows_with_new_tokens(database: EntraDatabase, settings: Settings) -> None:
    pool = await _connected(settings)
    database.rotate()
    users = await asyncio.gather(*(pool.fetchval("select session_user from pg_sleep(0.2)") for _ in range(5)))
    listener = await pool.dedicated()
    assert {*users, await listener.fetchval("select session_user")} == {SERVICE}
    assert len(database.sql(f"select 1 from pg_stat_activity where usename = '{SERVICE}'")) == 6
    await listener.close()
    await pool.close()


async def test_missing_token_makes_the_database_unavailable(database: EntraDatabase, settings: Settings) -> None:
    database.entra.hanging.set()
    with pytest.raises(Unavailable):
        await Database(msgspec.structs.replace(settings, database_connect_timeout=0.1), settings.dsn or "").connect()
    database.entra.hanging.clear()
    database.entra.released.set()
    database.entra.status = 400
    credential.shared.cache_clear()
    with pytest.raises(Unavailable) as raised:
        await _connected(settings)
    assert "managed identity: " in str(raised.value.__cause__)
    assert "not available at the moment" in str(raised.value)


async def test_login_without_rights_does_not_ask_for_more_tokens(
    database: EntraDatabase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential, "_PAUSE", 30.0)
    dsn = (settings.dsn or "").replace(SERVICE, "id-stranger")
    before = len(database.entra.requests)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await Database(settings, dsn).connect()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            libpq.connect(dsn)
    assert len(database.entra.requests) == before + 2


def test_token_is_sent_to_no_other_server(database: EntraDatabase, settings: Settings) -> None:
    sign_in.use(settings)
    assert sign_in.scope(settings.dsn or "") == "https://ossrdbms-aad.database.windows.net/.default"
    assert sign_in.scope((settings.dsn or "").replace("localhost", "localhost.example")) is None
    assert sign_in.scope((settings.dsn or "").replace(SERVICE, f"{SERVICE}:a-password")) is None


def test_doctor_signs_in_and_names_a_wrong_principal(database: EntraDatabase) -> None:
    done = command(database.environ(), "doctor", limit=60)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = command(database.environ("id-stranger"), "doctor", limit=60)
    assert wrong.returncode == 1
    assert "the server refuses the token" in wrong.stdout
    assert "select * from pgaadauth_create_principal('id-stranger', false, false);" in wrong.stdout
    assert "entra-token" not in done.stdout + done.stderr + wrong.stdout + wrong.stderr


def test_principal_that_the_server_cannot_make_is_named(database: EntraDatabase) -> None:
    database.sql("alter function pgaadauth_create_principal rename to gone")
    done = command(database.environ(ADMINISTRATOR) | {"DATABASE_SERVICE_USER": "id-other"}, "migrate")
    database.sql("alter function gone rename to pgaadauth_create_principal")
    assert done.returncode == 1
    assert "the role id-other is missing, and this server cannot make it" in done.stderr


async def _connected(settings: Settings) -> Database:
    database = Database(settings, settings.dsn or "")
    await database.connect()
    return database


def _listeners(database: EntraDatabase) -> int:
    return len(database.sql(f"select 1 from pg_stat_activity where application_name = '{LISTENER}'"))


def _use(service: Service) -> None:
    """Makes more requests at once than the pools have connections."""

    def ask(_: int) -> int:
        return httpx.get(f"{service.url}/sessions", timeout=10).status_code

    with ThreadPoolExecutor(8) as threads:
        wait_until(lambda: {*threads.map(ask, range(8))} == {200}, explain=lambda: service.output)
