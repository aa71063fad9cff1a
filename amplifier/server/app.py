"""Builds the application from its parts, and starts and stops its background tasks. Routes are in `api/routes.py`."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from litestar import Litestar
from litestar.datastructures import State

from amplifier import __version__, clock, paths
from amplifier.api.routes import Amplifier, routes
from amplifier.attachments.store import Store
from amplifier.configs.encryption import Keyring
from amplifier.database.listener import NOW, Listener
from amplifier.database.pool import Database
from amplifier.database.replica import Replica
from amplifier.database.silence import Watch
from amplifier.embeddings import models
from amplifier.embeddings.indexing import Indexing
from amplifier.embeddings.questions import Questions
from amplifier.errors import Unavailable
from amplifier.fair_share import Shares
from amplifier.imports.jobs import Jobs
from amplifier.live.hub import Hub
from amplifier.maintenance import own_process
from amplifier.maintenance.activity import Activity
from amplifier.maintenance.attachment_expiry import keep_expiring
from amplifier.maintenance.expiry import keep_sweeping
from amplifier.queries.checks.run import check
from amplifier.queries.registry import Queries
from amplifier.queries.reload import Reloader
from amplifier.runtime.runner import Runner
from amplifier.server.row_structs import STRUCTS
from amplifier.server.secret_rotation import keep_rotating
from amplifier.server.signals import drain_on_termination, end_with_parent, reload_on_hangup
from amplifier.setting_sources import load
from amplifier.settings import Settings, SettingsError
from amplifier.telemetry import logs
from amplifier.telemetry.exporting import exported
from amplifier.telemetry.targets import targets
from amplifier.transcripts.scrubber import Scrubber
from amplifier.web import console_files, search
from amplifier.web.authentication import Authenticator
from amplifier.web.forwarded import Proxies
from amplifier.web.response_headers import methods
from amplifier.web.spool import Space
from amplifier.web.websocket_limits import Saying

_CONNECT_LIMIT, _CONNECT_PAUSE = 30.0, 0.1  # seconds: limit for connecting at start, and between two attempts


def create_app(settings: Settings, dsn: str, checked: bool = False) -> Amplifier:
    """Returns the application for a migrated database. Its lifespan raises QueriesError or Unavailable.

    `checked` skips `queries.checks.run.check`, which the command `serve` has run on the database already.
    """
    return connect(routes(settings, lifespan=[lifespan]), settings, dsn, checked)


def connect(app: Amplifier, settings: Settings, dsn: str, checked: bool) -> Amplifier:
    """Puts the services that handlers use into the application's state, and returns the application."""
    database = Database(settings, dsn)
    replica = None if settings.read_dsn is None else Replica(settings, settings.read_dsn, database)
    database.reads = replica or database  # before the queries are loaded
    queries = Queries(database, paths.folder("queries", settings.queries_dir))
    activity = Activity(queries)
    hub = Hub(queries, settings.notify_delay)
    authenticator = Authenticator(settings, queries, activity)
    reloader = Reloader(queries, STRUCTS)
    scrubber = Scrubber(settings.redacted_sets)
    keyring = Keyring(settings.encryption_keys, settings.derivation_keys)
    model = models.configured(settings)
    app.proxies = Proxies(settings.proxies) if settings.proxies else None
    app.root_path = _root_path(settings, app)
    # not through the constructor, which would copy the values
    app.state.update(
        {
            "queries": queries,
            "activity": activity,
            "authenticator": authenticator,
            "hub": hub,
            "keyring": keyring,
            "checked": checked,
            "console": console_files.read(),
            "draining": False,
            "exported": partial(exported, settings, hub.process_id),
            "migrations": paths.migrations(),
            "methods": methods(app),
            "listener": Listener(database, [authenticator, hub, reloader]),
            "reloader": reloader,
            "replica": contextlib.nullcontext if replica is None else replica.watched,
            "runner": Runner(queries, hub, keyring, scrubber, settings),
            "scrubber": scrubber,
            "max_streams": settings.max_streams_per_user,
            "origins": settings.origins,
            "saying": Saying(),
            "indexing": None if model is None else Indexing(queries, model, settings.search_embeddings_rate),
            "questions": None if model is None else Questions(queries, model, settings.search_embeddings_timeout),
            "embedding_model": model,
            "settings": settings,
            "shutdown_delay": settings.shutdown_delay,
            "secret_key": settings.secret_key,
            "space": Space(settings.upload_space),
            "attachments": Store(settings),
            "imports": Jobs(queries, settings, hub.process_id),
            "import_space": Space(
                settings.max_import_bytes * max(2, settings.max_imports_per_process), settings.max_import_bytes // 64
            ),
            "turns": {
                "append": Shares(2, 1),
                "attachment": Shares(2, 1),
                "diagnosis": Shares(1, 1),
                "export": Shares(2, 1),
                "repair": Shares(1, 1),
                "search": search.turns(settings.database_pool_max_size),
            },
            "statement_timeout": settings.database_statement_timeout,
            "search_timeout": min(settings.search_timeout, settings.database_statement_timeout),
        }
    )
    _measure(app, settings)
    return app


def _measure(app: Amplifier, settings: Settings) -> None:
    """Adds metrics to the application if they are served or sent; prometheus-client is imported only then."""
    app.observers, app.state.measured = (), contextlib.nullcontext
    are_sent = any(target.signal == "metrics" for target in targets(settings.app_insights_connection_string))
    if settings.metrics_port is not None or are_sent:
        from amplifier.server.measurements import Measurements

        app.state.measurements = measurements = Measurements(app.state)
        app.observers, app.state.measured = (measurements.metrics.observe,), measurements.taken
        app.state.exported = partial(app.state.exported, collect=measurements.metrics.registry.collect)


def _root_path(settings: Settings, app: Litestar) -> str:
    """Returns ROOT_PATH without a slash at its end. Raises SettingsError if a path of the API begins with it."""
    root = settings.root_path.rstrip("/")
    if root and any(f"{route.path}/".startswith(f"{root}/") for route in app.routes):
        raise SettingsError(f"ROOT_PATH must not be the beginning of the API's own paths, as {root} is: choose another")
    return root


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
    with logs.background():
        async with app.state.exported(), _running(app.state):
            yield


@contextlib.asynccontextmanager
async def _running(state: State) -> AsyncIterator[None]:
    database = state.queries.database
    await _connect(database)
    if database.has_citus:
        state.queries.lay_over()
    try:
        clock.agree(await database.fetchval(NOW))
        if not state.checked:
            await check(state.queries, STRUCTS)
            state.checked = True
        drain_on_termination(partial(state.update, draining=True), state.shutdown_delay)
        async with (
            _background(Watch(database).keep_watching()),
            state.replica(),
            _background(state.listener.keep_listening()),
            _background(state.activity.keep_flushing()),
            _background(state.hub.keep_going()),
            _background(state.reloader.keep_reloading()),
            _background(keep_sweeping(state.queries)),
            _background(keep_expiring(state.queries, state.attachments, state.settings.attachment_grace)),
            _background(state.runner.keep_running()),
            _background(state.imports.keep_reaping()),
            _embedding(state),
            _background(keep_rotating(state.settings, state.keyring)),
            own_process.kept(state.queries, partial(_figures, state, datetime.now(UTC))),
            state.measured(),
        ):
            yield
            await asyncio.gather(state.runner.finish(), state.imports.finish())
        with contextlib.suppress(Unavailable):
            await state.activity.flush()
            await state.saying.finish()
            await state.hub.finish()
    finally:
        await database.close()


def _figures(state: State, started_at: datetime) -> dict[str, Any]:
    """Returns what this process does now, as columns of `processes`."""
    connections, in_use, _ = state.queries.database.figures
    streams = state.hub.figures
    return {
        "process_id": state.hub.process_id,
        "name": state.reloader.process,
        "version": __version__,
        "queries_hash": state.queries.hash,
        "started_at": started_at,
        "is_accepting": not state.draining,
        "runs": state.runner.running,
        "streams": streams.session_streams + streams.hint_streams,
        "connections": connections,
        "connections_in_use": in_use,
        "most_connections": state.queries.database.most,
    }


def from_environment(checked: bool = False) -> Amplifier:
    """Returns the application for a worker process. Its parent has put the database's address into the environment."""
    end_with_parent()
    settings = load()
    if settings.dsn is None:
        raise SettingsError("DATABASE_URL must be set for a worker process")
    app = create_app(settings, settings.dsn, checked)
    if settings.access_log and (access_log := logs.access_log(settings.log_level)) is not None:
        app.observers = (*app.observers, access_log)
    reload_on_hangup(app.state.reloader.ask)
    # Else each full collection, one in twenty pages of 1,000 messages, would visit all objects of the application.
    gc.collect()
    gc.freeze()
    return app


@contextlib.asynccontextmanager
async def _embedding(state: State) -> AsyncIterator[None]:
    """Embeds messages in the background if SEARCH_EMBEDDINGS is set."""
    if state.indexing is None:
        yield
        return
    try:
        async with _background(state.indexing.keep_embedding()):
            yield
    finally:
        await state.embedding_model.close()


@contextlib.asynccontextmanager
async def _background(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
