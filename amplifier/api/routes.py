"""The route table, and the application that serves it."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig

from amplifier import fair_share
from amplifier.api.agent import MessagesController
from amplifier.api.application_keys import ApplicationKeysController
from amplifier.api.applications import ApplicationsController
from amplifier.api.approvals import ApprovalsController
from amplifier.api.audit import AuditController
from amplifier.api.config_versions import ConfigVersionsController
from amplifier.api.configs import ConfigsController
from amplifier.api.docs import DocsController
from amplifier.api.events import EventsController, SessionEventsController, TicketController
from amplifier.api.forks import ForksController
from amplifier.api.invitations import AcceptController, InvitationsController
from amplifier.api.participants import ParticipantsController
from amplifier.api.presence import PresenceController
from amplifier.api.query_health import QueriesController
from amplifier.api.repair import IntegrityController
from amplifier.api.runs import RunsController
from amplifier.api.search import SearchController, SessionSearchController
from amplifier.api.service import ServiceController
from amplifier.api.session_list import SessionListController
from amplifier.api.sessions import SessionsController
from amplifier.api.settings import SettingsController
from amplifier.api.transcripts import TranscriptsController
from amplifier.api.users import UsersController
from amplifier.api.websockets import WebSocketsController
from amplifier.database.pool import refuse_in_transaction
from amplifier.settings import Settings
from amplifier.web import query_parameters, request_target
from amplifier.web.authentication import authenticate
from amplifier.web.event_stream import authenticate_stream
from amplifier.web.problems import respond
from amplifier.web.request import MAX_BODY, Request
from amplifier.web.response_headers import complete, cors
from amplifier.web.scope_keys import ROUTED


def routes(settings: Settings, openapi: OpenAPIConfig | None = None, lifespan: Sequence[Any] = ()) -> "Amplifier":
    """Returns an application with every route and no state; of the settings it uses those of CORS.

    `openapi` makes Litestar describe it: the service itself serves the committed document. `lifespan` has the context
    managers of `server/app.py`, which fill the state.
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
            ForksController,
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
    public = Router("/", route_handlers=[ServiceController], before_request=query_parameters.check)
    return Amplifier(
        route_handlers=[DocsController, public, protected, streams],
        request_class=Request,
        request_max_body_size=MAX_BODY,
        exception_handlers={HTTPException: respond, Exception: respond},
        cors_config=cors(settings) if settings.origins else None,
        openapi_config=openapi,
        before_send=[complete],
        lifespan=lifespan,
        logging_config=None,
    )


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
        token = fair_share.current.set(None)
        try:
            await super().__call__(routed, _outside_transactions(receive), send)
        finally:
            fair_share.current.reset(token)


def _outside_transactions(receive: Any) -> Any:
    """Wraps `receive` to raise RuntimeError inside a transaction; `response_headers.complete` guards sending."""

    def guarded() -> Any:
        refuse_in_transaction()
        return receive()

    return guarded
