"""create_app(settings): the only place that wires things."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig

from amplifier import paths, request_target, settings, shares
from amplifier.activity import Activity
from amplifier.api.application_keys import ApplicationKeysController
from amplifier.api.applications import ApplicationsController
from amplifier.api.approvals import ApprovalsController
from amplifier.api.audit import AuditController
from amplifier.api.config_versions import ConfigVersionsController
from amplifier.api.configs import ConfigsController
from amplifier.api.docs import DocsController
from amplifier.api.events import EventsController, SessionEventsController, TicketController
from amplifier.api.integrity import IntegrityController
from amplifier.api.invitations import AcceptController, InvitationsController
from amplifier.api.messages import MessagesController
from amplifier.api.participants import ParticipantsController
from amplifier.api.presence import PresenceController
from amplifier.api.queries import QueriesController
from amplifier.api.runs import RunsController
from amplifier.api.search import SearchController, SessionSearchController
from amplifier.api.service import ServiceController
from amplifier.api.session_list import SessionListController
from amplifier.api.sessions import SessionsController
from amplifier.api.settings import SettingsController
from amplifier.api.transcripts import TranscriptsController
from amplifier.api.users import UsersController
from amplifier.api.websockets import WebSocketsController
from amplifier.auth import Authenticator, authenticate
from amplifier.checks import check
from amplifier.database import Database, refuse_in_transaction
from amplifier.errors import Unavailable
from amplifier.events import Hub
from amplifier.listener import Listener
from amplifier.problems import respond
from amplifier.processes import end_with_parent, reload_on_hangup
from amplifier.queries import Queries
from amplifier.reloading import Reloader
from amplifier.responses import complete, cors, methods
from amplifier.runtime.runner import Runner
from amplifier.saying import Saying
from amplifier.secrets import Keyring
from amplifier.settings import Settings
from amplifier.shares import Shares
from amplifier.streaming import authenticate_stream
from amplifier.structs import STRUCTS
from amplifier.sweeping import keep_sweeping
from amplifier.unread import ROUTED
from amplifier.web import MAX_BODY, Request

logger = logging.getLogger(__name__)

_CONNECT_LIMIT, _CONNECT_PAUSE = 30.0, 0.1  # seconds that a start waits for the database, and between two attempts


def create_app(config: Settings, dsn: str, checked: bool = False) -> Litestar:
    """The application for a migrated database. Its lifespan fails with QueriesError or Unavailable.

    `checked` says that the queries passed `checks.check` on the database already, so that a start need not do so twice.
    """
    return connect(routes(config), config, dsn, checked)


def connect(app: Litestar, config: Settings, dsn: str, checked: bool) -> Litestar:
    """Gives an application everything that it works with."""
    database = Database(config, dsn)
    queries = Queries(database, paths.folder("queries", config.queries_dir))
    activity = Activity(queries)
    hub = Hub(queries, config.notify_delay)
    authenticator = Authenticator(config, queries, activity)
    reloader = Reloader(queries, STRUCTS)
    keyring = Keyring(config.config_encryption_key, config.derivation_key)
    # not by the constructor, which copies what it is given
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
            "runner": Runner(queries, hub, keyring, config),
            "max_streams": config.max_streams_per_user,
            "origins": config.origins,
            "saying": Saying(),
            "secret_key": config.secret_key,
            "turns": {"diagnosis": Shares(1, 1), "repair": Shares(1, 1)},
            "statement_timeout": config.database_statement_timeout,
            "search_timeout": min(config.search_timeout, config.database_statement_timeout),
        }
    )
    return app


def routes(config: Settings, openapi: OpenAPIConfig | None = None) -> Litestar:
    """An application without anything to work with; of the settings it needs those of CORS.

    `openapi` has it described: the service itself serves the document that was made before.
    """
    protected = Router(
        "/",
        route_handlers=[
            AcceptController,
            ApplicationKeysController,
            ApplicationsController,
            ApprovalsController,
            AuditController,
            ConfigVersionsController,
            ConfigsController,
            IntegrityController,
            InvitationsController,
            MessagesController,
            ParticipantsController,
            PresenceController,
            QueriesController,
            RunsController,
            SearchController,
            SessionListController,
            SessionSearchController,
            SessionsController,
            SettingsController,
            TicketController,
            TranscriptsController,
            UsersController,
        ],
        before_request=authenticate,
    )
    streams = Router(
        "/",
        route_handlers=[EventsController, SessionEventsController, WebSocketsController],
        before_request=authenticate_stream,
    )
    return Amplifier(
        route_handlers=[DocsController, ServiceController, protected, streams],
        request_class=Request,
        request_max_body_size=MAX_BODY,
        exception_handlers={HTTPException: respond, Exception: respond},
        cors_config=cors(config) if config.origins else None,
        openapi_config=openapi,
        before_send=[complete],
        lifespan=[_lifespan],
        logging_config=None,
    )


async def _connect(database: Database) -> None:
    """Opens the pool. The database was there a moment ago: it may restart, or be taken over by another process."""
    deadline = time.monotonic() + _CONNECT_LIMIT
    while True:
        try:
            return await database.connect()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_CONNECT_PAUSE)


@contextlib.asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    state = app.state
    database = state.queries.database
    await _connect(database)
    if not state.keyring.encrypts:
        logger.warning("Secrets in configs are stored in clear: set CONFIG_ENCRYPTION_KEY, or a SECRET_KEY of yours")
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
    """The application for a worker process, whose parent has put the database's address into the environment."""
    end_with_parent()
    config = settings.load()
    if config.dsn is None:
        raise settings.SettingsError("DATABASE_URL must be set for a worker process")
    app = create_app(config, config.dsn, checked)
    reload_on_hangup(app.state.reloader.ask)
    return app


class Amplifier(Litestar):
    """The application; HEAD answers on every route that GET does, with the same headers (RFC 9110, 9.3.2). A request
    counts for nobody until authentication says for whom."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        routed = scope
        if scope["type"] == "http" and scope["method"] == "HEAD":
            routed = {**scope, "method": "GET", "state": {**scope.get("state", {}), "head": True}}
        if scope["type"] != "lifespan":
            routed = request_target.read(routed)
        if routed is not scope:
            scope[ROUTED] = routed
        # a connection's next request may begin in the context of the one before
        token = shares.current.set(None)
        try:
            await super().__call__(routed, _outside_transactions(receive), send)
        finally:
            shares.current.reset(token)


def _outside_transactions(receive: Any) -> Any:
    """`receive`, which raises RuntimeError inside a transaction; `responses.complete` does the same for sending."""

    def guarded() -> Any:
        refuse_in_transaction()
        return receive()

    return guarded


@contextlib.asynccontextmanager
async def _background(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
