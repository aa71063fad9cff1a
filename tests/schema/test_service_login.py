"""The service's login cannot get more rights than its role has, as SECURITY.md promises."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest

from amplifier.database.connections import ROLE
from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.postgres.embedded import SERVICE
from amplifier.schema import migrate, service_login
from amplifier.schema.service_login import LoginError
from tests.conftest import private_folder, settings_for
from tests.schema.test_roles import FORBIDDEN, OWNED
from tests.support.service import command, postgres_servers, running_service

# workers that share the server of DATABASE_URL share its roles
pytestmark = pytest.mark.xdist_group("roles")

Sql = Callable[..., list[Any]]
PASSWORD = "of the service's login"
ESCAPES = ["set role none", "reset role", "set session authorization default", "reset all", "discard all"]
MORE = [
    f"set role {embedded.ROLE}",
    f"set session authorization {embedded.ROLE}",
    f"alter role {SERVICE} superuser",
    f"alter role {SERVICE} createrole",
    f"grant {embedded.ROLE} to {SERVICE}",
    f"grant pg_read_server_files to {SERVICE}",
    "alter table messages disable row level security",
    "create or replace function messages_move(text, bigint[], bigint[]) returns bigint language sql return 1",
    "create publication things for all tables",
    "create database things",
    "create policy things on messages",
    "create rule things as on insert to messages do instead nothing",
    "delete from audit_log",
    "update audit_log set action = 'x'",
    "truncate audit_log",
    "insert into notification_keys (inner_key, outer_key) values ('', '')",
    "select lo_import('/etc/passwd')",
    "select pg_ls_dir('.')",
    "select pg_reload_conf()",
    "copy messages to program 'true'",
    "copy sessions from '/etc/passwd'",
]


def address(dsn: str) -> str:
    """Returns the database's address for the service's login."""
    if embedded.service_address(dsn) != dsn:
        return embedded.service_address(dsn)
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{SERVICE}:{PASSWORD.replace(' ', '%20')}@{host}"))


def test_tests_of_one_group_run_in_one_worker(request: pytest.FixtureRequest) -> None:
    """Of these and of others that change roles of the server: pytest-xdist groups by what follows the name."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("there are no groups without --dist loadgroup")
    assert request.node.nodeid.endswith("@roles")


@pytest.fixture
def login(dsn: str, sql: Sql) -> Iterator[str]:
    """The address for a login that `service_login.ensure` created."""
    service_login.ensure(dsn, SERVICE, PASSWORD)
    yield address(dsn)
    sql(f"drop role {SERVICE}")


@pytest.fixture
async def connection(login: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection like those of the service."""
    database = Database(settings_for(login), login)
    connection = await database.dedicated()
    yield connection
    await connection.close()


@pytest.mark.parametrize("escape", ESCAPES)
async def test_service_login_has_only_the_rights_of_its_role(
    connection: "asyncpg.Connection[Any]", escape: str
) -> None:
    await connection.execute(escape)
    user = await connection.fetchval("select current_user")
    assert user in (SERVICE, ROLE)
    assert (user == SERVICE) == (escape == "set role none")
    for statement in [*FORBIDDEN, *MORE]:
        try:
            await connection.execute(statement)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.exceptions.InvalidParameterValueError):
            continue
        pytest.fail(f"allowed after {escape}: {statement}")


async def test_service_login_owns_nothing_and_has_one_role(connection: "asyncpg.Connection[Any]") -> None:
    row = await connection.fetchrow("select * from pg_roles where rolname = session_user")
    assert row["rolname"] == SERVICE
    for attribute in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls"):
        assert row[attribute] is False, attribute
    assert await connection.fetch(OWNED, SERVICE) == []
    members = "select roleid::regrole::text, admin_option from pg_auth_members where member = $1::regrole"
    assert [tuple(one) for one in await connection.fetch(members, SERVICE)] == [(ROLE, False)]


@pytest.mark.slow
def test_migrate_creates_login_and_changes_password(dsn: str, sql: Sql) -> None:
    verifiers = set()
    try:
        for password in ("one", "two"):
            done = command({"DATABASE_URL": dsn, "DATABASE_SERVICE_PASSWORD": password}, "migrate")
            assert (done.returncode, done.stdout) == (0, "the schema is up to date\n"), done.stderr
            [(verifier,)] = sql("select rolpassword from pg_authid where rolname = %s", SERVICE)
            assert verifier.startswith("SCRAM-SHA-256$")
            verifiers.add(verifier)
        assert len(verifiers) == 2
    finally:
        sql(f"drop role {SERVICE}")


@pytest.mark.parametrize("attribute", ["superuser login", "createrole login", "login in role pg_monitor", "nologin"])
def test_role_with_other_rights_is_refused(dsn: str, sql: Sql, attribute: str) -> None:
    sql(f"create role {SERVICE} {attribute}")
    try:
        with pytest.raises(LoginError, match="name another one in DATABASE_SERVICE_USER"):
            service_login.ensure(dsn, SERVICE, PASSWORD)
        assert sql("select rolpassword from pg_authid where rolname = %s", SERVICE) == [(None,)]
    finally:
        sql(f"drop role {SERVICE}")


@pytest.mark.slow
def test_serve_warns_of_a_superuser_once(dsn: str, login: str) -> None:
    with running_service({"DATABASE_URL": dsn, "SERVICE_WORKERS": "2"}) as service:
        assert service.output.count("is a superuser, so the service's role does not confine it") == 1
    with running_service({"DATABASE_URL": login}) as service:
        assert "does not confine it" not in service.output


@pytest.mark.slow
def test_embedded_home_of_earlier_release_gets_login() -> None:
    with private_folder() as folder:
        folder.chmod(0o755)
        home = folder / "home"
        with embedded.running(home, "amplifier-api") as dsn:
            migrate.migrate(dsn)
            assert members(dsn) == []
        idents = home / "data/pg_ident.conf"
        idents.write_text("".join(f"{line}\n" for line in idents.read_text().splitlines() if SERVICE not in line))
        for _ in range(2):
            with running_service({"AMPLIFIER_HOME": str(home)}) as service:
                assert "does not confine it" not in service.output
                assert members(dsn) == [(SERVICE,)] * 3  # the pool's two and the listener's
        lines = idents.read_text().splitlines()
        users = 2 if os.geteuid() == 0 else 1  # root, and the user that the server works as
        assert sorted(set(lines)) == sorted(lines), "a later start adds nothing"
        assert sum(SERVICE in line for line in lines) == users
        assert postgres_servers(folder) == []


def members(dsn: str) -> list[Any]:
    """Returns the logins of the service's connections."""
    with psycopg.connect(dsn) as connection:
        names = "datname = current_database() and application_name like 'amplifier-api%'"
        return connection.execute(f"select usename from pg_stat_activity where {names}".encode()).fetchall()


def test_password_is_not_in_repr_of_settings() -> None:
    assert PASSWORD not in repr(settings_for("postgresql://x/x", database_service_password=PASSWORD))
