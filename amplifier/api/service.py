"""The service itself: what it is, whether it is healthy, which versions it runs. Public."""

import time
from importlib import metadata
from typing import Literal

import msgspec
from litestar import Controller

from amplifier import __version__
from amplifier.errors import Unavailable
from amplifier.web.request import Request
from amplifier.web.routing import get

_STARTED = time.monotonic()


class Service(msgspec.Struct):
    """The name and version of the service."""

    service: str
    version: str
    description: str
    docs: str
    health: str


class Health(msgspec.Struct):
    """`degraded` while the database does not answer; `uptime` in seconds."""

    status: Literal["healthy", "degraded"]
    version: str
    uptime: float
    database_connected: bool


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
    async def get_service(self) -> Service:
        """Name and version of the service and where to look next."""
        return Service("amplifier-api", __version__, "The session backend for AI agents", "/docs", "/health")

    @get("/health", operation_id="get_health", summary="The service's health")
    async def get_health(self, request: Request) -> Health:
        """Asks the database; the answer is 200 either way and comes within the limit of a database wait."""
        try:
            connected = await request.queries.service.ping() == 1
        except Unavailable:
            connected = False
        status: Literal["healthy", "degraded"] = "healthy" if connected else "degraded"
        return Health(status, __version__, round(time.monotonic() - _STARTED, 3), connected)

    @get("/version", operation_id="get_version", summary="Versions in use")
    async def get_version(self) -> Version:
        """The versions of the service and of the agent runtime."""
        return Version(__version__, _installed("amplifier-core"), _installed("amplifier-foundation"))


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
