"""Fixtures of fault tests: servers of their own and worlds on them."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import private_folder
from tests.faults.application import add_application
from tests.faults.world import World, opened
from tests.support.clusters import Cluster, copied, make_template

Servers = Callable[..., AbstractAsyncContextManager[Cluster]]
Worlds = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def cluster_template() -> Iterator[Path]:
    """The data folder of a migrated cluster, which is copied for each test."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield make_template(folder / "template", add_application)


@pytest.fixture
def cluster_folder() -> Iterator[Path]:
    """A folder for clusters, which PostgreSQL's own user can enter."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def servers(cluster_template: Path, cluster_folder: Path) -> Servers:
    """Returns a context manager of a running server, whose options are settings of PostgreSQL."""

    @contextlib.asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Cluster]:
        with copied(cluster_template, cluster_folder / "server") as cluster:
            await cluster.started(**options)
            yield cluster

    return running


@pytest.fixture
def worlds(servers: Servers, tmp_path: Path) -> Worlds:
    """Returns a context manager of a world, with the arguments of `world.opened`, on a server of its own by default."""

    @contextlib.asynccontextmanager
    async def running(postgres: Cluster | None = None, **changes: Any) -> AsyncIterator[World]:
        async with contextlib.AsyncExitStack() as stack:
            server = postgres or await stack.enter_async_context(servers())
            yield await stack.enter_async_context(opened(server, tmp_path, **changes))

    return running


@pytest.fixture
async def world(worlds: Worlds) -> AsyncIterator[World]:
    """Two processes on a server of their own."""
    async with worlds() as world:
        yield world
