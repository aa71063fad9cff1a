"""The service itself: what it is, how people sign in, whether it is healthy, which versions it runs. Public."""

import time
from importlib import metadata
from typing import Literal

import msgspec
from litestar import Controller

from amplifier import __version__
from amplifier.errors import NoneFree, Problem, Unavailable
from amplifier.fair_share import work_of
from amplifier.settings import Settings
from amplifier.web.authentication import unverified
from amplifier.web.request import Request
from amplifier.web.routing import get

_STARTED = time.monotonic()
_NOT_READY = {
    "accepting": "The process is about to stop: send requests to another one",
    "database": "The database does not answer: see the log, or run amplifier-api doctor",
    "schema": "The schema of the database is behind: run amplifier-api migrate",
    "queries": "The queries are not loaded yet: wait",
    "listener": "Notifications of other processes do not arrive until the listening connection is back: wait",
}
_PROBE = 0.5  # seconds that the statement of a readiness probe may take; orchestrators wait for one or two


class Service(msgspec.Struct):
    """The name and version of the service."""

    service: str
    version: str
    description: str
    docs: str
    health: str
    console: str | None


class OpenIdConnect(msgspec.Struct):
    """The identity provider, as the console's settings name it."""

    issuer: str
    client_id: str
    scopes: list[str]


class SignIn(msgspec.Struct):
    """The credentials that a request must carry, and the place where people sign in."""

    auth_required: bool
    mode: Literal["off", "api_key_jwt", "jwt_only"]
    api_key_header: str | None
    oidc: OpenIdConnect | None


class Health(msgspec.Struct):
    """`degraded` while the database does not answer; `uptime` in seconds."""

    status: Literal["healthy", "degraded"]
    version: str
    uptime: float
    database_connected: bool


class Liveness(msgspec.Struct):
    """The process serves requests."""

    status: Literal["alive"] = "alive"


class Checks(msgspec.Struct):
    """The conditions of readiness. `schema` is null if the database could not be asked."""

    database: bool
    schema: bool | None
    queries: bool
    listener: bool
    accepting: bool


class Readiness(msgspec.Struct):
    """The process should get requests."""

    status: Literal["ready"]
    checks: Checks


class Version(msgspec.Struct):
    """Versions; null for what is not installed."""

    service_version: str
    amplifier_core_version: str | None
    amplifier_foundation_version: str | None


class ServiceController(Controller):
    """Routes that need no credentials."""

    path = "/"
    tags = ["service"]

    @get("/", operation_id="get_service", summary="The service's name and version")
    async def get_service(self, request: Request) -> Service:
        """Name and version of the service and where to look next."""
        root = request.app.root_path  # type: ignore[attr-defined]
        console = f"{root}/console" if request.app.state.settings.console else None
        links = f"{root}/docs", f"{root}/health", console
        return Service("amplifier-api", __version__, "The session backend for AI agents", *links)

    @get("/sign-in", operation_id="get_sign_in", summary="How to sign in")
    async def get_sign_in(self, request: Request) -> SignIn:
        """The credentials that requests must carry, and the provider of tokens for people in a browser, if any."""
        settings: Settings = request.app.state.settings
        mode = settings.auth_mode if settings.auth_required else "off"
        header = settings.api_key_header if mode == "api_key_jwt" else None
        return SignIn(settings.auth_required, mode, header, _provider(settings) if settings.auth_required else None)

    @get("/health", operation_id="get_health", summary="The service's health")
    async def get_health(self, request: Request) -> Health:
        """Asks the database; the answer is 200 either way and comes within the limit of a database wait."""
        try:
            with work_of(unverified(request.scope)):
                connected = await request.queries.service.ping() == 1
        except Unavailable:
            connected = False
        status: Literal["healthy", "degraded"] = "healthy" if connected else "degraded"
        return Health(status, __version__, round(time.monotonic() - _STARTED, 3), connected)

    @get("/health/live", operation_id="get_liveness", summary="Whether the process is alive")
    async def get_liveness(self) -> Liveness:
        """Asks nothing, not even the database: an orchestrator restarts a process that does not answer."""
        return Liveness()

    @get("/health/ready", operation_id="get_readiness", summary="Whether to send requests here", errors=(503,))
    async def get_readiness(self, request: Request) -> Readiness:
        """Returns 200 if the process should get requests. Else 503, with the same `checks`: one of them is false if the
        database does not answer, its schema is behind, the queries are not loaded, notifications of other processes do
        not arrive, or the process is about to stop and accepts its last requests."""
        state = request.app.state
        listens = state.listener.is_connected
        checks = Checks(*await _database(request, listens), state.checked, listens, not state.draining)
        for name, problem in _NOT_READY.items():
            if not getattr(checks, name):
                raise Problem(503, problem, headers={"Retry-After": "1"}, checks=msgspec.structs.asdict(checks))
        return Readiness("ready", checks)

    @get("/version", operation_id="get_version", summary="Versions in use")
    async def get_version(self) -> Version:
        """The versions of the service and of the agent runtime."""
        return Version(__version__, _installed("amplifier-core"), _installed("amplifier-foundation"))


def _provider(settings: Settings) -> OpenIdConnect | None:
    issuer, client_id = settings.console_oidc_issuer, settings.console_oidc_client_id
    if issuer is None or client_id is None:
        return None
    return OpenIdConnect(issuer, client_id, settings.console_oidc_scopes.split())


async def _database(request: Request, listens: bool) -> tuple[bool, bool | None]:
    """Returns whether the database answers, and whether it has all migrations, which is None if it was not asked.

    While requests hold all connections of the pool, or probes all that their address gets, the listening connection
    shows that the database answers.
    """
    queries, state = request.queries, request.app.state
    try:
        with work_of(unverified(request.scope)), queries.database.limited(_PROBE):
            return True, not await queries.service.list_missing_migrations(migrations=state.migrations)
    except NoneFree:
        return listens, True
    except Unavailable:
        return False, None


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
