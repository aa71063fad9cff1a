"""Unprivileged logins migrate and serve, on every PostgreSQL at hand."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from amplifier.database.connections import ROLE
from amplifier.postgres import embedded
from amplifier.queries.checks import run
from amplifier.schema import migrate
from amplifier.server.row_structs import STRUCTS
from tests.conftest import CONFIG, private_folder, serving, settings_for, with_database
from tests.schema.test_migrate import INSTALLS, OURS
from tests.support.archive import MIGRATIONS
from tests.support.service import command, wait_until

pytestmark = pytest.mark.slow

READER = "amplifier_readonly"
MIGRATOR, SERVER, OUTSIDER = "migrator", "server", "outsider"


class Place:
    """An empty database that belongs to an unprivileged login."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.admin = with_database(server, "place")

    def dsn(self, login: str, database: str = "place") -> str:
        """Returns the address for a login."""
        parts = urlsplit(with_database(self.server, database))
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))

    def run(self, statement: str, login: str | None = None) -> list[Any]:
        """Runs a statement, as an administrator unless a login is given."""
        return _run(self.dsn(login) if login else self.admin, statement)

    def names(self) -> set[str]:
        """Returns the names of the relations, functions and types in the schema."""
        return {name for (name,) in self.run(OURS) if "yoyo" not in name}


@pytest.fixture(scope="module", params=INSTALLS, ids=str)
def any_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every server at hand. The user that runs the tests may log in with each of the roles."""
    install = embedded.wheel_install(request.param) if isinstance(request.param, int) else request.param
    with private_folder() as folder, embedded.running(folder, "amplifier-api", install) as dsn:
        person = pwd.getpwuid(os.geteuid()).pw_name
        [(idents,)] = _run(dsn, "show ident_file")
        with Path(idents).open("a") as file:
            file.writelines(f'amplifier "{person}" {login}\n' for login in (MIGRATOR, SERVER, OUTSIDER))
        _run(dsn, "select pg_reload_conf()")
        yield dsn


@pytest.fixture
def place(any_server: str) -> Iterator[Place]:
    """The logins and the database. Both, and the service's roles, are dropped after the test."""
    place = Place(any_server)
    _run(any_server, f"create role {MIGRATOR} login createrole")
    _run(any_server, f"create database place owner {MIGRATOR} template template0")
    try:
        wait_until(lambda: _may_log_in(place.dsn(MIGRATOR)))  # the server reads its files again asynchronously
        yield place
    finally:
        _run(any_server, "drop database if exists place with (force)")
        for role in (ROLE, READER, SERVER, OUTSIDER, MIGRATOR):
            _run(any_server, f"drop role if exists {role}")


async def test_unprivileged_login_migrates_and_serves(place: Place) -> None:
    dsn = place.dsn(MIGRATOR)
    assert place.run("select rolsuper from pg_roles where rolname = current_user", MIGRATOR) == [(False,)]
    before = place.names()
    for _ in range(2):
        assert migrate.migrate(dsn) == MIGRATIONS
        assert migrate.pending(dsn) == []
        assert _run(f"{dsn}&options=-c%20role%3D{ROLE}", "select current_user") == [(ROLE,)]
        await _works(dsn)
        with migrate.yoyo_backend(dsn) as backend:
            backend.rollback_migrations(backend.to_rollback(migrate.known()))
        assert place.names() == before
        assert place.run(f"select rolname from pg_roles where rolname in ('{ROLE}', '{READER}')") == []


@pytest.mark.parametrize("attributes", ["createrole", "nocreaterole"])
@pytest.mark.parametrize("member", [True, False])
async def test_roles_may_belong_to_an_administrator(place: Place, attributes: str, member: bool) -> None:
    place.run(f"alter role {MIGRATOR} {attributes}")
    place.run(f"create role {ROLE} nologin")
    place.run(f"create role {READER} nologin")
    if member:
        place.run(f"grant {ROLE} to {MIGRATOR}")
    assert migrate.migrate(place.dsn(MIGRATOR)) == MIGRATIONS
    assert migrate.migrate(place.dsn(MIGRATOR)) == []
    if not member:
        place.run(f"grant {ROLE} to {MIGRATOR}")
    await _works(place.dsn(MIGRATOR))


async def test_login_serves_after_grant_of_role(place: Place) -> None:
    migrate.migrate(place.dsn(MIGRATOR))
    place.run(f"create role {SERVER} login")
    place.run(f"grant {ROLE} to {SERVER}", MIGRATOR)
    assert migrate.pending(place.dsn(SERVER)) == []
    await _works(place.dsn(SERVER))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        place.run("drop table messages", SERVER)


async def test_rollback_keeps_roles_of_another_database(place: Place) -> None:
    second = place.dsn(MIGRATOR, "second")
    place.run(f"create database second owner {MIGRATOR} template template0")
    try:
        for dsn in (place.dsn(MIGRATOR), second):
            assert migrate.migrate(dsn) == MIGRATIONS
        with migrate.yoyo_backend(second) as backend:
            backend.rollback_migrations(backend.to_rollback(migrate.known()))
        assert migrate.pending(second) == MIGRATIONS
        await _works(place.dsn(MIGRATOR))
    finally:
        place.run("drop database second with (force)")


@pytest.mark.parametrize("reads_migrations", [False, True])
def test_login_without_role_does_not_serve(place: Place, reads_migrations: bool) -> None:
    migrate.migrate(place.dsn(MIGRATOR))
    place.run(f"create role {OUTSIDER} login")
    if reads_migrations:
        place.run(f"grant select on _yoyo_migration to {OUTSIDER}")
    done = command({"DATABASE_URL": place.dsn(OUTSIDER)}, "serve")
    assert done.returncode == 1
    assert ROLE in done.stderr
    assert "Traceback" not in done.stderr
    place.run(f"grant {ROLE} to {OUTSIDER}")
    assert migrate.pending(place.dsn(OUTSIDER)) == []


async def _works(dsn: str) -> None:
    """Starts the application with this login, checks the queries, and creates a config and a session."""
    async with serving(settings_for(dsn)) as api:
        queries = api.app.state.queries
        await run.check(queries, STRUCTS)
        assert await queries.database.fetchval("select current_user") == ROLE
        alice = await api.as_user("alice")
        config = await alice.post("/configs", json=CONFIG)
        assert config.status_code == 201, config.text
        session = await alice.post("/sessions", json={"config_id": config.json()["config_id"]})
        assert session.status_code == 201, session.text
        assert (await alice.get(f"/sessions/{session.json()['session_id']}")).json()["role"] == "owner"


def _may_log_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _run(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []
