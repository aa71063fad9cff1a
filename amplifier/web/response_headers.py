"""Headers of every response, errors and preflights included: the request's id, and instructions to browsers."""

from typing import Any

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from amplifier.database.pool import refuse_in_transaction
from amplifier.settings import Settings
from amplifier.telemetry.served import request_id
from amplifier.web.responses import REPLAYED

_ALLOWED = (
    *("Authorization", "Content-Type", "X-Request-ID", "Last-Event-ID"),
    *("Idempotency-Key", "If-Match", "If-None-Match"),
    *("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"),
)
_EXPOSED = (
    *("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Idempotency-Replayed", "ETag", "Link"),
)
# Each header costs a hundredth of a short request. A handler that sets Cache-Control also sets the page's policy.
_PRIVATE = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_PUBLIC = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


async def complete(message: Message, scope: Scope) -> None:
    """Calls `finish`: a hook for answers that Litestar sends."""
    finish(message, scope)


def finish(message: Any, scope: Any) -> None:
    """Adds the headers to the beginning of a response. Raises RuntimeError inside a transaction."""
    refuse_in_transaction()
    if message["type"] == "http.response.start":
        state = scope["state"]
        state["status"] = message["status"]
        given = _with_methods(message, scope)
        more = _PUBLIC if b"cache-control" in [name for name, _ in given] else _PRIVATE
        headers = [*given, (b"x-request-id", request_id(scope).encode()), *more]
        if (limit := state.get("rate_limit")) is not None:
            headers += ((b"ratelimit-policy", limit[0]), (b"ratelimit", limit[1]))
        if REPLAYED in state:
            headers.append((b"idempotency-replayed", b"true"))
        message["headers"] = headers
    elif message["type"] == "websocket.accept":
        scope["state"]["status"] = 101


def methods(app: Litestar) -> dict[str, bytes]:
    """Returns the methods of each path in the form of an Allow header."""
    return {
        route.path_format: ", ".join(sorted({*route.methods, *(("HEAD",) if "GET" in route.methods else ())})).encode()
        for route in app.routes
        if isinstance(route, HTTPRoute)
    }


def cors(settings: Settings) -> CORSConfig:
    """Returns the headers and methods that pages of ALLOWED_ORIGINS may use."""
    return CORSConfig(
        allow_origins=settings.origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[*_ALLOWED, settings.api_key_header],
        expose_headers=list(_EXPOSED),
    )


def _with_methods(message: Any, scope: Scope) -> Any:
    """Returns the headers with a complete Allow: Litestar omits HEAD and, for OPTIONS, other handlers of the path."""
    headers = message["headers"]
    if message["status"] == 405:
        return [(name, value + b", HEAD" if name == b"allow" and b"GET" in value else value) for name, value in headers]
    if scope.get("method") == "OPTIONS":
        allow = scope["litestar_app"].state.methods.get(scope.get("path_template"))
        headers = [(name, allow if allow and name == b"allow" else value) for name, value in headers]
    return headers
