"""Each fault of a sign-in is made on a server of its own, and doctor names it and its remedy."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest

from amplifier.cli.doctor.refusals import refusal
from amplifier.cli.doctor.target import Target
from amplifier.postgres import embedded
from amplifier.schema import migrate
from amplifier.setting_sources import load
from tests.conftest import private_folder
from tests.support.doctor import examined
from tests.support.pgbouncer import PROGRAM, pooling
from tests.support.service import command, free_port
from tests.support.tls_servers import INSTALLS, Authority, initialise, running

needs_server = pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL below /usr/lib/postgresql")
needs_pooler = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed")
PASSWORD = "canary-51c0"
RULES = """
host all knows 127.0.0.1/32 scram-sha-256
host all nobody,unlogged,limited,stranger,api,banned 127.0.0.1/32 trust
"""
ROLES = f"""
create role knows login password '{PASSWORD}' in role amplifier_app;
create role unlogged;
create role limited login connection limit 0;
create role stranger login;
create role api login in role amplifier_app;
create role banned login in role amplifier_app;
create role unlisted login;
create database private;
revoke connect on database private from public;
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of the servers' data, with that of a new one."""
    with private_folder() as folder:
        folder.chmod(0o755)
        data = initialise(folder, INSTALLS[-1].parent.parent)
        with (data / "pg_hba.conf").open("a") as file:
            file.write(RULES)
        with (data / "postgresql.conf").open("a") as file:
            file.write("max_connections = 20\n")
        Authority("any").issue(data, "localhost")
        yield folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    """The port of a migrated server with ROLES and RULES."""
    data = shutil.copytree(folder / "data", folder / "primary")
    with running(INSTALLS[-1].parent.parent, data, ssl=False) as port:
        migrate.migrate(address(port))
        with psycopg.connect(address(port), autocommit=True) as connection:
            for statement in ROLES.strip().split("\n"):
                connection.execute(statement.encode())
        yield port


def address(port: int, login: str = embedded.ROLE, database: str = "postgres") -> str:
    return f"postgresql://{login}@127.0.0.1:{port}/{database}"


FAULTS = [
    (f"knows:{PASSWORD}-wrong", "postgres", "the password is wrong", "alter role knows password '...';"),
    ("knows", "postgres", "the login needs a password, and none is configured", "DATABASE_URL"),
    ("nobody", "postgres", "there is no such login", "create role nobody login password '...' in role amplifier_app;"),
    ("unlogged", "postgres", "the role has no login", "alter role unlogged login;"),
    (
        "unlisted",
        "postgres",
        "pg_hba.conf of the server has no line",
        "host postgres unlisted 127.0.0.1/32 scram-sha-256",
    ),
    ("api", "chats", "there is no database 'chats'", "create database chats;"),
    ("api", "private", "may not connect to this database", "grant connect on database private to api;"),
    ("limited", "postgres", "the role has as many connections as it may have", "alter role limited connection limit"),
]


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize(("login", "database", "problem", "remedy"), FAULTS)
async def test_refusal_is_named_with_its_remedy(
    login: str, database: str, problem: str, remedy: str, port: int
) -> None:
    found = await examined({"DATABASE_URL": address(port, login, database)}, "sign-in", "role")
    assert (found["sign-in"].status, found["role"].status) == ("failed", "skipped")
    assert problem in str(found["sign-in"].problem), found["sign-in"]
    assert remedy in str(found["sign-in"].remedy), found["sign-in"]
    assert PASSWORD not in str(found)


@needs_server
@pytest.mark.slow
async def test_server_whose_connections_others_hold_is_named(port: int) -> None:
    async with contextlib.AsyncExitStack() as held:
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            for _ in range(30):
                held.push_async_callback((await asyncpg.connect(address(port, "api"))).close)
        found = (await examined({"DATABASE_URL": address(port, "api")}, "sign-in"))["sign-in"]
    assert (found.status, found.problem) == ("failed", "all connections of the server (max_connections) are in use")
    assert "pg_stat_activity" in str(found.remedy)


@needs_server
@pytest.mark.slow
async def test_login_outside_the_role_is_named(port: int) -> None:
    found = (await examined({"DATABASE_URL": address(port, "stranger")}, "role"))["role"]
    assert (found.status, found.seen) == ("failed", "stranger is no member of amplifier_app")
    assert found.remedy == "as an administrator:\ngrant amplifier_app to stranger;"


@needs_server
@pytest.mark.slow
async def test_login_of_the_service_passes_every_check(port: int) -> None:
    found = await examined({"DATABASE_URL": address(port, "api")})
    assert {name: one for name, one in found.items() if one.status not in ("ok", "skipped")}.keys() <= {
        "server settings"
    }
    assert found["role"].seen == "api is a member of amplifier_app, and no more"
    assert "fsync = off" in found["server settings"].seen, "the test's server runs without"


@needs_server
@pytest.mark.slow
async def test_server_that_was_never_migrated_has_no_role(folder: Path) -> None:
    data = shutil.copytree(folder / "data", folder / "empty")
    with running(INSTALLS[-1].parent.parent, data, ssl=False) as port:
        with psycopg.connect(address(port), autocommit=True) as connection:
            connection.execute("drop role only_encrypted; drop role only_in_clear; drop role amplifier_app")
        found = (await examined({"DATABASE_URL": address(port)}, "role"))["role"]
    assert (found.status, found.seen) == ("failed", "there is no role amplifier_app")
    assert "amplifier-api migrate" in str(found.remedy)


@needs_server
@pytest.mark.slow
async def test_replica_is_named(folder: Path) -> None:
    data = shutil.copytree(folder / "data", folder / "replica")
    (data / "standby.signal").touch()
    with standing_by(data) as replica:
        found = (await examined({"DATABASE_URL": address(replica)}, "writable"))["writable"]
    assert (found.status, found.seen) == ("failed", "the server is a replica")
    assert "target_session_attrs=read-write" in str(found.remedy)


@contextlib.contextmanager
def standing_by(data: Path) -> Iterator[int]:
    """Runs a server that only reads, and yields its port."""
    from amplifier.postgres import server_process
    from amplifier.postgres.os_user import account_of

    port, account = free_port(), account_of("amplifier-api")
    for path in (data, *data.rglob("*")):
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
    options = (
        f"-D {data} -p {port} -c max_connections=100 -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    )
    with (data / "log").open("wb") as log:
        server = server_process.popen([str(INSTALLS[-1]), *options.split()], account, log)
    try:
        assert server_process.is_ready(address(port), data, lambda: server.poll() is not None), (
            data / "log"
        ).read_text()
        yield port
    finally:
        server_process.stop(server)


SETTINGS = "timezone, jit, plan_cache_mode, role, statement_timeout, lock_timeout, idle_in_transaction_session_timeout"


@needs_server
@needs_pooler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "ignored", "pool", "listens"),
    [
        ("session", "", "unsupported startup parameter", "a notification arrives"),
        ("transaction", "", "unsupported startup parameter", "a connection pooler in transaction mode is in between"),
        ("session", SETTINGS, "a connection pooler drops the role amplifier_app", "a notification arrives"),
        ("transaction", SETTINGS, "drops the role", "let the service connect to PostgreSQL itself"),
    ],
)
async def test_pooler_is_recognized_with_what_it_prevents(
    mode: str, ignored: str, pool: str, listens: str, port: int
) -> None:
    with private_folder() as folder:
        folder.chmod(0o755)
        with pooling(folder, port, mode, ignored) as pooler:
            found = await examined({"DATABASE_URL": address(pooler, "api")}, "pool", "LISTEN", "clock")
    assert "through a connection pooler" in found["sign-in"].seen
    assert found["clock"].status == "ok", "checks of the database work through a pooler"
    assert (found["pool"].status, pool in str(found["pool"])) == ("failed", True), found["pool"]
    assert found["LISTEN"].status == ("ok" if mode == "session" else "failed"), found["LISTEN"]
    assert listens in str(found["LISTEN"])


def test_refusal_by_the_firewall_of_azure_has_the_command_that_opens_it() -> None:
    said = 'no pg_hba.conf entry for host "203.0.113.7", user "api", database "chats", no encryption'
    remedy = _azure(asyncpg.InvalidAuthorizationSpecificationError(said))
    assert "az postgres flexible-server firewall-rule create --resource-group GROUP --name chats " in remedy
    assert "--start-ip-address 203.0.113.7 --end-ip-address 203.0.113.7" in remedy
    assert remedy.startswith("DATABASE_SSL_MODE=verify-full")


def test_full_server_of_azure_has_the_command_that_raises_the_limit() -> None:
    remedy = _azure(asyncpg.TooManyConnectionsError("remaining connection slots are reserved for azure replication"))
    assert "parameter set --resource-group GROUP --server-name chats --name max_connections" in remedy


async def test_default_server_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", str(free_port()))
    monkeypatch.delenv("PGHOST", raising=False)
    found = await examined({"DATABASE_URL": "postgresql:///chats"}, "sign-in")
    assert found["TCP"].seen == "because no host is configured: the driver looks for a server on this machine"
    assert (found["sign-in"].status, "name it in DATABASE_URL" in str(found["sign-in"].remedy)) == ("failed", True)


def _azure(error: Exception) -> str:
    target = Target(lambda: load({"DATABASE_HOST": "chats.postgres.database.azure.com"}, env_file="no such file"))
    asyncio.run(target.load())
    asyncio.run(target.choose())
    return str(refusal(target, error).outcome.remedy)


@needs_server
@pytest.mark.slow
def test_command_shows_no_password_and_fails(port: int) -> None:
    environ = {"DATABASE_URL": address(port, f"knows:{PASSWORD}-wrong")}
    text, document = command(environ, "doctor"), command(environ, "doctor", "--json")
    assert (text.returncode, document.returncode) == (1, 1)
    assert PASSWORD not in text.stdout + text.stderr + document.stdout + document.stderr
    assert '"name": "sign-in"' in document.stdout
    given = command({}, "doctor", "--database", address(port, "api"))
    assert given.returncode == 0, given.stdout + given.stderr
    assert "ok       sign-in              as api\n" in given.stdout
