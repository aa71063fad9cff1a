"""What every response carries, errors and preflights included: its request's id, and what browsers must know."""

from typing import Any

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.routes import HTTPRoute
from litestar.types import Message, Scope

from amplifier.problems import request_id
from amplifier.settings import Settings

_ALLOWED = (
    *("Authorization", "Content-Type", "X-Request-ID", "Last-Event-ID"),
    *("Idempotency-Key", "If-Match", "If-None-Match"),
)
_EXPOSED = (
    *("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Idempotency-Replayed", "ETag", "Link"),
)
# whoever says how long an answer may be kept says also what a page may do
_PUBLIC = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_PRIVATE = [
    *_PUBLIC,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


async def complete(message: Message, scope: Scope) -> None:
    """Adds the headers to the beginning of a response."""
    if message["type"] == "http.response.start":
        given = _with_methods(message, scope)
        common = _PUBLIC if any(name == b"cache-control" for name, _ in given) else _PRIVATE
        headers = [*given, (b"x-request-id", request_id(scope).encode()), *common]
        if (limit := scope["state"].get("rate_limit")) is not None:
            headers.append((b"ratelimit-policy", b'"default";q=%d;w=60' % limit[0]))
            headers.append((b"ratelimit", b'"default";r=%d;t=%d' % limit[1:]))
        message["headers"] = headers


def methods(app: Litestar) -> dict[str, bytes]:
    """The methods of each path, as Allow lists them."""
    return {
        route.path_format: ", ".join(sorted({*route.methods, *(("HEAD",) if "GET" in route.methods else ())})).encode()
        for route in app.routes
        if isinstance(route, HTTPRoute)
    }


def cors(config: Settings) -> CORSConfig:
    """What pages of ALLOWED_ORIGINS may send and read."""
    return CORSConfig(
        allow_origins=config.origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=[*_ALLOWED, config.api_key_header],
        expose_headers=list(_EXPOSED),
    )


def _with_methods(message: Any, scope: Scope) -> Any:
    """The headers; Allow names all methods of the path: Litestar knows of no HEAD, and for OPTIONS only one handler."""
    headers = message["headers"]
    if message["status"] == 405:
        return [(name, value + b", HEAD" if name == b"allow" and b"GET" in value else value) for name, value in headers]
    if scope.get("method") == "OPTIONS":
        allow = scope["litestar_app"].state.methods.get(scope.get("path_template"))
        headers = [(name, allow if allow and name == b"allow" else value) for name, value in headers]
    return headers
