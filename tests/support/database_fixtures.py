"""Fixtures of databases on one server: that of DATABASE_URL, a container's, or the embedded one. A pytest plugin."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from amplifier import paths
from amplifier.postgres import embedded
from amplifier.schema import migrate
from tests.conftest import private_folder, with_database
from tests.support.archive import ROWS, Archive
from tests.support.databases import Clone, engine_answers, execute


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server for the databases of the tests."""
    with contextlib.ExitStack() as stack:
        if url := os.environ.get("DATABASE_URL"):
            yield url
        elif engine_answers():
            from testcontainers.community.postgres import PostgresContainer

            image = os.environ.get("TEST_POSTGRES_IMAGE", "docker.io/library/postgres:18")
            yield stack.enter_context(PostgresContainer(image, driver=None)).get_connection_url()
        else:
            url = stack.enter_context(embedded.running(stack.enter_context(private_folder()), "amplifier-api"))
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # no data must survive a crash
                execute(url, f"alter system set {setting} = off")
            execute(url, "select pg_reload_conf()")
            yield url


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated database, the template of all others."""
    files = sorted(paths.folder("migrations").glob("*.sql"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    name = f"amplifier_template_{digest}_{os.getpid()}"
    execute(server, f"create database {name}")
    migrate.migrate(with_database(server, name))
    yield name
    execute(server, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def clones(server: str) -> Iterator[list[Clone]]:
    """The clones of the template that no test uses at the moment."""
    unused: list[Clone] = []
    yield unused
    for clone in unused:
        execute(server, f"drop database {urlsplit(clone.dsn).path[1:]} with (force)")


@pytest.fixture
def clone(server: str, template: str, clones: list[Clone]) -> Iterator[Clone]:
    """A migrated, empty database: an unused clone, or a new one. A test that changed the schema leaves none."""
    if not clones:
        name = f"test_{os.getpid()}_{time.monotonic_ns()}"
        execute(server, f"create database {name} template {template}")
        clones.append(Clone(with_database(server, name)))
    clone = clones.pop()
    yield clone
    if os.environ.get("CHECK_USED_DATABASES"):
        assert_a_service_starts(clone.dsn)
    if clone.is_emptied() and clone.has_its_schema():
        clones.append(clone)
    else:
        clone.connection.close()
        execute(server, f"drop database {urlsplit(clone.dsn).path[1:]} with (force)")


@pytest.fixture
def dsn(clone: Clone) -> str:
    """The address of a migrated, empty database."""
    return clone.dsn


@pytest.fixture
def archive(server: str, template: str) -> Iterator[Archive]:
    """A database for one test with twenty sessions of 150 messages. One session is German, one has no title."""
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    execute(server, f"create database {name} template {template}")
    archive = Archive(with_database(server, name))
    archive.run(ROWS)
    archive.run("update sessions set title = null, tags = '{}', updated_at = created_at where session_id = 's9'")
    yield archive
    execute(server, f"drop database {name} with (force)")


@pytest.fixture
def empty_dsn(server: str) -> Iterator[str]:
    """The address of an empty database for one test."""
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    execute(server, f"create database {name} template template0")
    yield with_database(server, name)
    execute(server, f"drop database {name} with (force)")


@pytest.fixture
def sql(clone: Clone) -> Callable[..., list[Any]]:
    """Runs a statement on the test's database, as a DBA would."""
    return clone.run


def assert_a_service_starts(dsn: str) -> None:
    """Checks that the queries pass `queries check` on the rows that a test left, after all of them expired."""
    from tests.support import odd_rows
    from tests.support.service import command

    with psycopg.connect(dsn, autocommit=True) as connection:
        odd_rows.age(connection)
    done = command({"DATABASE_URL": dsn}, "queries", "check")
    assert done.returncode == 0, done.stdout + done.stderr
