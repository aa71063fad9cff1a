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
from amplifier.api.attachments import AttachmentsController
from amplifier.api.audit import AuditController
from amplifier.api.config_patches import ConfigPatchesController
from amplifier.api.config_versions import ConfigVersionsController
from amplifier.api.configs import ConfigsController
from amplifier.api.console import ConsoleController
from amplifier.api.conversation_items import ConversationItemsController
from amplifier.api.conversations import ConversationsController
from amplifier.api.docs import DocsController
from amplifier.api.events import EventsController, SessionEventsController, TicketController
from amplifier.api.exports import ExportsController
from amplifier.api.forks import ForksController
from amplifier.api.imports import ImportsController
from amplifier.api.invitations import AcceptController, InvitationsController
from amplifier.api.mcp import McpController
from amplifier.api.openai_responses import OpenAIResponsesController
from amplifier.api.participants import ParticipantsController
from amplifier.api.presence import PresenceController
from amplifier.api.processes import ProcessesController
from amplifier.api.query_health import QueriesController
from amplifier.api.repair import IntegrityController
from amplifier.api.retractions import RetractionsController
from amplifier.api.runs import RunsController
from amplifier.api.search import SearchController, SessionSearchController
from amplifier.api.search_facets import SearchFacetsController
from amplifier.api.service import ServiceController
from amplifier.api.session_keys import SessionKeysController
from amplifier.api.session_list import SessionListController
from amplifier.api.sessions import SessionsController
from amplifier.api.settings import SettingsController
from amplifier.api.states import SessionStateController, StateController
from amplifier.api.transcripts import TranscriptsController
from amplifier.api.usage import UsageController
from amplifier.api.users import UsersController
from amplifier.api.websockets import WebSocketsController
from amplifier.database.pool import refuse_in_transaction
from amplifier.settings import Settings
from amplifier.telemetry import tracing
from amplifier.telemetry.served import Observer, Served, current
from amplifier.web import dispatch, query_parameters, request_target
from amplifier.web.authentication import authenticate
from amplifier.web.event_stream import authenticate_stream
from amplifier.web.forwarded import Proxies
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
            AttachmentsController,
            AuditController,
            ConfigPatchesController,
            ConfigVersionsController,
            ConfigsController,
            ConversationItemsController,
            ConversationsController,
            ExportsController,
            ForksController,
            ImportsController,
            IntegrityController,
            InvitationsController,
            McpController,
            MessagesController,
            OpenAIResponsesController,
            ParticipantsController,
            PresenceController,
            ProcessesController,
            QueriesController,
            RetractionsController,
            RunsController,
            SearchController,
            SearchFacetsController,
            SessionKeysController,
            SessionListController,
            SessionSearchController,
            SessionsController,
            SettingsController,
            TicketController,
            SessionStateController,
            StateController,
            TranscriptsController,
            UsageController,
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
        route_handlers=[ConsoleController, DocsController, public, protected, streams],
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
    counts for nobody until authentication says for whom. `observers` receive each request at its end."""

    observers: Sequence[Observer] = ()
    proxies: Proxies | None = None
    root_path = ""
    _endpoints: dispatch.Endpoints | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.proxies is not None and scope["type"] != "lifespan":
            self.proxies.restore_client(scope)
        routed = scope
        if scope["type"] == "http" and scope["method"] == "HEAD":
            routed = {**scope, "method": "GET", "state": {**scope.get("state", {}), "head": True}}
        if scope["type"] != "lifespan":
            if self.root_path:
                routed = request_target.without_root(routed, self.root_path)
            routed = request_target.read(routed)
        if routed is not scope:
            scope[ROUTED] = routed
        # a connection's next request may begin in the context of the one before
        token = fair_share.current.set(None)
        try:
            if (self.observers or tracing.tracer is not None) and scope["type"] != "lifespan":
                await self._observed(routed, receive, send)
            else:
                await self._answer(routed, _outside_transactions(receive), send)
        finally:
            fair_share.current.reset(token)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        endpoint = None
        if scope["type"] == "http":
            if self._endpoints is None:
                self._endpoints = dispatch.endpoints(self)
            endpoint = dispatch.find(self, self._endpoints, scope)
        await (super().__call__ if endpoint is None else endpoint.serve)(scope, receive, send)

    async def _observed(self, scope: Any, receive: Any, send: Any) -> None:
        served = Served(scope, self.observers)
        token = current.set(served)
        span = tracing.begin(scope)
        served.trace = tracing.ids()
        try:
            await self._answer(scope, _outside_transactions(receive), send)
        finally:
            current.reset(token)
            served.end()
            if span is not None:
                tracing.end_request(span, served)
            for observe in self.observers:
                observe(served)


def _outside_transactions(receive: Any) -> Any:
    """Wraps `receive` to raise RuntimeError inside a transaction; `response_headers.complete` guards sending."""

    def guarded() -> Any:
        refuse_in_transaction()
        return receive()

    return guarded
