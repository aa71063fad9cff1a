"""Homes for embedded servers, and statements on them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplifier.postgres.embedded import running
from tests.conftest import private_folder
from tests.support.service import postgres_servers

USER = "amplifier-api"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for homes. Fails if a server still runs in one after the test."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder
        assert postgres_servers(folder) == [], "a server was left behind"


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home with data, shared by the tests of a module, which must leave it usable."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with running(folder / "home", USER) as dsn:
            run(dsn, "create table kept as select 1 as one")
        yield folder / "home"


@pytest.fixture
def home(used_home: Path) -> Iterator[Path]:
    """The home with data. Fails if a server still runs in it after the test."""
    yield used_home
    assert postgres_servers(used_home) == [], "a server was left behind"


def run(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []
