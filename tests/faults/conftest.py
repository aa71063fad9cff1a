"""Fixtures of fault tests: servers of their own and worlds on them."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.postgres import Postgres, add_application, copied, prototype, short_folder
from tests.faults.world import World, opened
from tests.support.clusters import make_template

Servers = Callable[..., AbstractAsyncContextManager[Postgres]]
Worlds = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def original() -> Iterator[Path]:
    """The home of a migrated server, which is copied for each test."""
    with prototype() as home:
        yield home


@pytest.fixture
def servers(original: Path) -> Servers:
    """Returns a context manager of a running server, with its files in `home` if that is given."""

    @contextlib.asynccontextmanager
    async def running(home: Path | None = None) -> AsyncIterator[Postgres]:
        with contextlib.ExitStack() as stack:
            postgres = copied(original, home or stack.enter_context(short_folder()))
            try:
                await postgres.start()
                yield postgres
            finally:
                postgres.stop()

    return running


@pytest.fixture
def worlds(servers: Servers, tmp_path: Path) -> Worlds:
    """Returns a context manager of a world, with the arguments of `world.opened`, on a server of its own by default."""

    @contextlib.asynccontextmanager
    async def running(postgres: Postgres | None = None, **changes: Any) -> AsyncIterator[World]:
        async with contextlib.AsyncExitStack() as stack:
            server = postgres or await stack.enter_async_context(servers())
            yield await stack.enter_async_context(opened(server, tmp_path, **changes))

    return running


@pytest.fixture
async def world(worlds: Worlds) -> AsyncIterator[World]:
    """Two processes on a server of their own."""
    async with worlds() as world:
        yield world


@pytest.fixture(scope="session")
def cluster_template() -> Iterator[Path]:
    """The data folder of a migrated cluster, which tests copy to fill it up or to promote its replica."""
    with short_folder() as folder:
        folder.chmod(0o755)
        yield make_template(folder / "template", add_application)


@pytest.fixture
def cluster_folder() -> Iterator[Path]:
    """A folder for clusters, which PostgreSQL's own user can enter."""
    with short_folder() as folder:
        folder.chmod(0o755)
        yield folder
