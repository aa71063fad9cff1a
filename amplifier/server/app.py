"""Builds the application from its parts, and starts and stops its background tasks. Routes are in `api/routes.py`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar

from amplifier import paths
from amplifier.api.routes import routes
from amplifier.configs.encryption import Keyring
from amplifier.database.listener import Listener
from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.fair_share import Shares
from amplifier.live.hub import Hub
from amplifier.maintenance.activity import Activity
from amplifier.maintenance.expiry import keep_sweeping
from amplifier.queries.checks.run import check
from amplifier.queries.registry import Queries
from amplifier.queries.reload import Reloader
from amplifier.runtime.runner import Runner
from amplifier.server.row_structs import STRUCTS
from amplifier.server.signals import end_with_parent, reload_on_hangup
from amplifier.settings import Settings, SettingsError, load
from amplifier.web.authentication import Authenticator
from amplifier.web.response_headers import methods
from amplifier.web.websocket_limits import Saying

_CONNECT_LIMIT, _CONNECT_PAUSE = 30.0, 0.1  # seconds: limit for connecting at start, and between two attempts


def create_app(settings: Settings, dsn: str, checked: bool = False) -> Litestar:
    """Returns the application for a migrated database. Its lifespan raises QueriesError or Unavailable.

    `checked` skips `queries.checks.run.check`, which the command `serve` has run on the database already.
    """
    return connect(routes(settings, lifespan=[lifespan]), settings, dsn, checked)


def connect(app: Litestar, settings: Settings, dsn: str, checked: bool) -> Litestar:
    """Puts the services that handlers use into the application's state, and returns the application."""
    database = Database(settings, dsn)
    queries = Queries(database, paths.folder("queries", settings.queries_dir))
    activity = Activity(queries)
    hub = Hub(queries, settings.notify_delay)
    authenticator = Authenticator(settings, queries, activity)
    reloader = Reloader(queries, STRUCTS)
    keyring = Keyring(settings.config_encryption_key, settings.derivation_key)
    # not through the constructor, which would copy the values
    app.state.update(
        {
            "queries": queries,
            "activity": activity,
            "authenticator": authenticator,
            "hub": hub,
            "keyring": keyring,
            "checked": checked,
            "methods": methods(app),
            "listener": Listener(database, [authenticator, hub, reloader]),
            "reloader": reloader,
            "runner": Runner(queries, hub, keyring, settings),
            "max_streams": settings.max_streams_per_user,
            "origins": settings.origins,
            "saying": Saying(),
            "secret_key": settings.secret_key,
            "turns": {"diagnosis": Shares(1, 1), "repair": Shares(1, 1)},
            "statement_timeout": settings.database_statement_timeout,
            "search_timeout": min(settings.search_timeout, settings.database_statement_timeout),
        }
    )
    return app


async def _connect(database: Database) -> None:
    """Opens the pool. Retries for 30 seconds, since the database may be restarting or moving to another process."""
    deadline = time.monotonic() + _CONNECT_LIMIT
    while True:
        try:
            return await database.connect()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_CONNECT_PAUSE)


@contextlib.asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Connects, checks the queries, and runs the background tasks until the application stops."""
    state = app.state
    database = state.queries.database
    await _connect(database)
    try:
        if not state.checked:
            await check(state.queries, STRUCTS)
        async with (
            _background(state.listener.keep_listening()),
            _background(state.activity.keep_flushing()),
            _background(state.hub.keep_going()),
            _background(state.reloader.keep_reloading()),
            _background(keep_sweeping(state.queries)),
            _background(state.runner.keep_running()),
        ):
            yield
            await state.runner.finish()
        with contextlib.suppress(Unavailable):
            await state.activity.flush()
            await state.saying.finish()
            await state.hub.finish()
    finally:
        await database.close()


def from_environment(checked: bool = False) -> Litestar:
    """Returns the application for a worker process. Its parent has put the database's address into the environment."""
    end_with_parent()
    logging.raiseExceptions = False  # as in a command: the program that reads the log may have ended
    settings = load()
    if settings.dsn is None:
        raise SettingsError("DATABASE_URL must be set for a worker process")
    app = create_app(settings, settings.dsn, checked)
    reload_on_hangup(app.state.reloader.ask)
    return app


@contextlib.asynccontextmanager
async def _background(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
