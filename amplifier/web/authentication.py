"""Authentication: turns API keys and JWTs into a Caller and caches verified ones for seconds.

Signatures of JWTs are verified in jwt_verifier.py, tickets of streams in event_stream.py.
"""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Hashable
from typing import Any, NamedTuple

from litestar.connection import ASGIConnection

from amplifier import clock
from amplifier.fair_share import current
from amplifier.maintenance.activity import Activity
from amplifier.queries.registry import Queries
from amplifier.settings import Settings
from amplifier.web import query_parameters, request_target
from amplifier.web.hosts import gate
from amplifier.web.problems import unauthorized
from amplifier.web.rate_limit import Key, Limiter
from amplifier.web.request import Caller

DEV_CALLER = Caller("dev-app", "dev-user", True)  # while authentication is off, unless X-User-ID names a user

_REMEMBER = 10.0  # seconds that verified credentials are cached
_REMEMBER_AT_MOST = 10_000  # sets of credentials
_KEY = re.compile(r"(app_[0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
_BEARER_KEY = re.compile(rb"(?i:bearer) +(app_[^ ]*) *\Z")
_TAKES_BEARER_KEYS = ("/v1/", "/mcp")  # what the paths begin with whose clients can send a key as a bearer token only
_USER_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}\Z")


class Credentials(NamedTuple):
    """The API key, the Authorization header and X-User-ID as received: empty, or None, where missing or not needed."""

    key: bytes = b""
    authorization: bytes = b""
    user: bytes | None = None


class ApiKey(NamedTuple):
    """A new key: the text, which is shown once, and the prefix and hash that the database stores."""

    text: str
    prefix: str
    hash: str


def generate_key() -> ApiKey:
    """Returns a new key: a prefix that finds its row, then 256 random bits."""
    prefix = f"app_{secrets.token_hex(8)}"
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    return ApiKey(text, prefix, hash_secret(text))


def hash_secret(text: str) -> str:
    """Returns the SHA-256 of a key or token in hexadecimal. A salt is not needed for 256 random bits."""
    return hashlib.sha256(text.encode()).hexdigest()


_NO_CREDENTIALS = Credentials()


async def authenticate(request: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Puts the Caller into the scope before the body is read. Raises Problem 401, 403, 421, 429, and 422 for the query.

    It is a hook of the router, because a middleware would wrap every message of every answer once more.
    """
    authenticator: Authenticator = request.scope["litestar_app"].state.authenticator
    request_target.restore(request.scope)
    if authenticator.gate is not None:
        authenticator.gate.admit(request.scope)
    presented = authenticator.credentials(request.scope)
    remembered = authenticator.remembered.get(presented)
    if remembered is not None and remembered[1] > clock.now():
        caller = request.scope["user"] = remembered[0]
    else:
        # queries count for the address until the caller is verified: forged credentials must not take all connections
        current.set(unverified(request.scope))
        caller = request.scope["user"] = await authenticator.verify(presented)
    current.set(authenticator.counted_for(caller))
    key = authenticator.limit_of(caller)
    if key is not None and not authenticator.limiter.admits(request.scope, key):
        await authenticator.limiter.admit(request.scope, key)
    if request.scope["query_string"]:
        query_parameters.refuse(request)


def unverified(scope: Any) -> Hashable:
    """Returns the user for whose share of the connections requests without a verified caller count: their address."""
    return ("address", *(scope["client"] or ())[:1])


class Authenticator:
    """Verifies credentials as the settings require, and notes which users and keys were seen."""

    def __init__(self, settings: Settings, queries: Queries, activity: Activity) -> None:
        self._settings = settings
        self._queries = queries
        self._activity = activity
        self._hearing = False
        self._header = settings.api_key_header.lower().encode()
        self._with_key = settings.auth_required and settings.auth_mode == "api_key_jwt"
        if settings.auth_required:
            from amplifier.web.jwt_verifier import Verifier  # a third of all imports, and needed only here

            self._verifier = Verifier(settings)
        self.limiter = Limiter(queries)
        self.gate = gate(settings)
        self._generation = 0
        self.remembered: dict[Credentials, tuple[Caller, float]] = {}

    def credentials(self, scope: Any) -> Credentials:
        """Returns what the request presents. A key may be the bearer token where clients can send nothing else."""
        key = authorization = b""
        user = None
        wanted = self._header if self._with_key else b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == wanted:
                key = value
            elif name == b"x-user-id":
                user = value if user is None else user + b"\0" + value  # a repeated one is no user id
        if not self._settings.auth_required:
            return _NO_CREDENTIALS if user is None else Credentials(user=user)
        if self._with_key and not key and scope["path"].startswith(_TAKES_BEARER_KEYS):
            match = _BEARER_KEY.match(authorization)
            if match is not None:
                return Credentials(match[1], b"", user or b"")
        return Credentials(key, authorization, user)

    def hear(self, payload: str) -> None:
        """Clears the cache at the notification `application <app_id>`: this application or a key of it changed."""
        if payload.startswith("application "):
            self.forget()

    def set_hearing(self, hearing: bool) -> None:
        """Turns the cache on or off: without notifications this process would miss changes."""
        self._hearing = hearing
        self.forget()

    def forget(self) -> None:
        """Removes every verified pair from the cache."""
        self._generation += 1
        self.remembered.clear()

    async def verify(self, presented: Credentials) -> Caller:
        """Returns the caller that the credentials identify, and caches it. Raises Problem 401."""
        generation = self._generation
        now = clock.now()
        caller = await self._identify(presented) if self._settings.auth_required else _developer(presented)
        self._activity.note_user(caller.user_id, caller.app_id)
        if generation == self._generation and self._hearing:
            if len(self.remembered) >= _REMEMBER_AT_MOST:
                self.remembered.clear()
            self.remembered[presented] = (caller, min(caller.expires_at, now + _REMEMBER))
        return caller

    def counted_for(self, caller: Caller) -> str | None:
        """Returns the user whose share of the database's connections the request uses.

        Returns None while authentication is off, because every request may choose its user then.
        """
        return caller.user_id if self._settings.auth_required else None

    def limit_of(self, caller: Caller) -> Key | None:
        """Returns the application, the user and their requests a minute, or None if there is no limit."""
        limit = caller.requests_per_minute
        if limit is None:
            limit = self._settings.rate_limit_requests_per_minute
        return (caller.app_id, caller.user_id, limit) if limit else None

    async def _identify(self, presented: Credentials) -> Caller:
        application = await self._application(presented.key) if self._with_key else None
        named = None if presented.user is None else _named_user(presented.user)
        if named is not None and not presented.authorization:
            _may_act(application)
            return self._caller(application, named, math.inf, is_acted_as=True)
        claims = await self._claims(presented.authorization)
        user_claim, app_claim = self._settings.jwt_user_claim, self._settings.jwt_app_claim
        user_id = _text_claim(claims, user_claim, f"JWT missing '{user_claim}' claim (user_id)")
        if named not in (None, user_id):
            raise unauthorized("X-User-ID names another user than the token: leave one of them out")
        expires_at = float(claims["exp"]) + self._verifier.leeway
        if application is None:
            app_id = _text_claim(claims, app_claim, f"JWT missing '{app_claim}' claim (required for jwt_only mode)")
            application = await self._queries.credentials.find_by_id(app_id=app_id)
            if application is None:  # the token's issuer vouches for the application, which has no rights of an admin
                return Caller(app_id, user_id, False, expires_at)
        return self._caller(application, user_id, expires_at)

    def _caller(self, application: Any, user_id: str, expires_at: float, is_acted_as: bool = False) -> Caller:
        """Returns the caller. An application that acts for a user has no rights of an admin."""
        if not application["is_active"]:
            raise unauthorized("Application is disabled")
        if application["expires_at"] is not None:
            expires_at = min(expires_at, application["expires_at"].timestamp())
        limit = application["requests_per_minute"]
        is_admin = application["is_admin"] and not is_acted_as
        return Caller(application["app_id"], user_id, is_admin, expires_at, limit, is_acted_as)

    async def _application(self, key: bytes) -> Any:
        if not key:
            raise unauthorized("Missing X-API-Key header", f'ApiKey header="{self._settings.api_key_header}"')
        text = key.decode("latin-1")
        match = _KEY.match(text)
        found = await self._queries.credentials.find_by_prefix(api_key_prefix=match[1]) if match else None
        same = hmac.compare_digest(hash_secret(text), found["api_key_hash"] if found else "0" * 64)
        if match is None or not same:
            raise unauthorized("Invalid API key", f'ApiKey header="{self._settings.api_key_header}"')
        self._activity.note_key(match[1])
        return found

    async def _claims(self, authorization: bytes) -> dict[str, Any]:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthorized("Missing or invalid Authorization header (expected: Bearer <token>)")
        return await self._verifier.claims(token.strip())


def _text_claim(claims: dict[str, Any], name: str, missing: str) -> str:
    value = claims.get(name)
    if value is None or value == "":
        raise unauthorized(missing)
    if not isinstance(value, str) or not _USER_ID.match(value):
        raise unauthorized(f"Invalid JWT: '{name}' must be text of 1 to 255 characters without control characters")
    if not request_target.is_plain(value):
        raise unauthorized(f"Invalid JWT: '{name}' must not be . or .., nor have them between slashes")
    return value


def _named_user(given: bytes) -> str:
    """Returns the user id in X-User-ID, which is UTF-8. Raises Problem 401."""
    user_id = given.decode(errors="replace")
    if not _USER_ID.match(user_id) or "\ufffd" in user_id or not request_target.is_plain(user_id):
        raise unauthorized(
            "Name the user in X-User-ID: one user id, UTF-8 text of 1 to 255 characters without control characters, "
            "which is not . or .. and does not have them between slashes"
        )
    return user_id


def _may_act(application: Any) -> None:
    """Raises Problem 401 unless the keys of the application, None without one, act for users."""
    if application is None:
        raise unauthorized("X-User-ID needs the key of an application, which AUTH_MODE=jwt_only does not take")
    if not application["act_as"]:
        raise unauthorized(
            "The application may not act for the user in X-User-ID: send the user's token as Authorization: Bearer "
            "<token>, or let an admin application set act_as by PATCH /applications/{app_id}"
        )


def _developer(presented: Credentials) -> Caller:
    """Returns the caller while authentication is off: the user in X-User-ID, if there is one. Raises Problem 401."""
    return DEV_CALLER if presented.user is None else DEV_CALLER._replace(user_id=_named_user(presented.user))
