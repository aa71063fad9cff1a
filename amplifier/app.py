"""create_app(settings): the only place that wires things."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from amplifier import __version__, schema, settings
from amplifier.activity import Activity
from amplifier.api.applications import ApplicationsController
from amplifier.api.configs import ConfigsController
from amplifier.api.events import EventsController, SessionEventsController, TicketController
from amplifier.api.invitations import AcceptController, InvitationsController
from amplifier.api.participants import ParticipantsController
from amplifier.api.presence import PresenceController
from amplifier.api.queries import QueriesController
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
from amplifier.database import Database
from amplifier.events import Hub
from amplifier.listener import Listener
from amplifier.outages import Unavailable
from amplifier.problems import request_id, respond
from amplifier.processes import end_with_parent, reload_on_hangup
from amplifier.queries import Queries
from amplifier.reloading import Reloader
from amplifier.secrets import Keyring
from amplifier.settings import Settings
from amplifier.streaming import authenticate_stream
from amplifier.structs import STRUCTS
from amplifier.web import MAX_BODY, Request


def create_app(config: Settings, dsn: str, checked: bool = False) -> Litestar:
    """The application for a migrated database. Its lifespan fails with QueriesError or Unavailable.

    `checked` says that the queries passed `checks.check` on the database already, so that a start need not do so twice.
    """
    return connect(routes(config), config, dsn, checked)


def connect(app: Litestar, config: Settings, dsn: str, checked: bool) -> Litestar:
    """Gives an application everything that it works with."""
    database = Database(config, dsn)
    queries = Queries(database, schema.share("queries", config.queries_dir))
    activity = Activity(queries)
    hub = Hub(queries, config.notify_delay)
    authenticator = Authenticator(config, queries, activity)
    reloader = Reloader(queries, STRUCTS)
    # not by the constructor, which copies what it is given
    app.state.update(
        {
            "queries": queries,
            "activity": activity,
            "authenticator": authenticator,
            "hub": hub,
            "keyring": Keyring(config.config_encryption_key),
            "checked": checked,
            "methods": {
                route.path_format: ", ".join(sorted(route.methods)).encode()
                for route in app.routes
                if isinstance(route, HTTPRoute)
            },
            "listener": Listener(database, [authenticator, hub, reloader]),
            "reloader": reloader,
            "max_streams": config.max_streams_per_user,
            "origins": config.origins,
            "search_timeout": min(config.search_timeout, config.database_statement_timeout),
        }
    )
    return app


def routes(config: Settings) -> Litestar:
    """An application without anything to work with; of the settings it needs those of CORS."""
    protected = Router(
        "/",
        route_handlers=[
            AcceptController,
            ApplicationsController,
            ConfigsController,
            InvitationsController,
            ParticipantsController,
            PresenceController,
            QueriesController,
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
    return Litestar(
        route_handlers=[ServiceController, protected, streams],
        request_class=Request,
        request_max_body_size=MAX_BODY,
        exception_handlers={HTTPException: respond, Exception: respond},
        cors_config=_cors(config) if config.origins else None,
        openapi_config=_openapi(),
        before_send=[_identify],
        lifespan=[_lifespan],
        logging_config=None,
    )


@contextlib.asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    state = app.state
    database = state.queries.database
    await database.connect()
    try:
        if not state.checked:
            await check(state.queries, STRUCTS)
        async with (
            _background(state.listener.keep_listening()),
            _background(state.activity.keep_flushing()),
            _background(state.hub.keep_going()),
            _background(state.reloader.keep_reloading()),
        ):
            yield
        with contextlib.suppress(Unavailable):
            await state.activity.flush()
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


async def _identify(message: Message, scope: Scope) -> None:
    """Every response carries the request's id, errors and preflights included."""
    if message["type"] == "http.response.start":
        message["headers"] = [*_with_methods(message, scope), (b"x-request-id", request_id(scope).encode())]


def _with_methods(message: Any, scope: Scope) -> Any:
    """The headers; an answer to OPTIONS names all methods of the path: Litestar knows its first handler's alone."""
    headers = message["headers"]
    if scope.get("method") == "OPTIONS":
        allow = scope["litestar_app"].state.methods.get(scope.get("path_template"))
        headers = [(name, allow if allow and name == b"allow" else value) for name, value in headers]
    return headers


@contextlib.asynccontextmanager
async def _background(coroutine: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _cors(config: Settings) -> CORSConfig:
    return CORSConfig(
        allow_origins=config.origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", "X-Request-ID", config.api_key_header],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Amplifier",
        version=__version__,
        path="/docs",
        render_plugins=[SwaggerRenderPlugin(path="/")],
    )
