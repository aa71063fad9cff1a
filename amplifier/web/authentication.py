"""Authentication: turns API keys and JWTs into a Caller and caches verified ones for seconds.

Signatures of JWTs are verified in jwt_verifier.py, tickets of streams in event_stream.py.
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import Any, NamedTuple

from litestar.connection import ASGIConnection

from amplifier.fair_share import current
from amplifier.maintenance.activity import Activity
from amplifier.queries.registry import Queries
from amplifier.settings import Settings
from amplifier.web import query_parameters, request_target
from amplifier.web.hosts import gate
from amplifier.web.problems import unauthorized
from amplifier.web.rate_limit import Key, Limiter
from amplifier.web.request import Caller

DEV_CALLER = Caller("dev-app", "dev-user", True)  # of every request while authentication is off

_REMEMBER = 10.0  # seconds that a verified pair of key and token is cached
_REMEMBER_AT_MOST = 10_000  # pairs
_KEY = re.compile(r"(app_[0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
_USER_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}\Z")


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


async def authenticate(request: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Puts the Caller into the scope before the body is read. Raises Problem 401, 403, 421, 429, and 422 for the query.

    It is a hook of the router, because a middleware would wrap every message of every answer once more.
    """
    authenticator: Authenticator = request.scope["litestar_app"].state.authenticator
    request_target.restore(request.scope)
    if authenticator.gate is not None:
        authenticator.gate.admit(request.scope)
    pair = authenticator.credentials(request.scope["headers"])
    remembered = authenticator.remembered.get(pair)
    if remembered is not None and remembered[1] > time.time():
        caller = request.scope["user"] = remembered[0]
    else:
        # queries count for the address until the caller is verified: forged credentials must not take all connections
        current.set(("address", *(request.scope["client"] or ())[:1]))
        caller = request.scope["user"] = await authenticator.verify(*pair)
    current.set(authenticator.counted_for(caller))
    key = authenticator.limit_of(caller)
    if key is not None and not authenticator.limiter.admits(request.scope, key):
        await authenticator.limiter.admit(request.scope, key)
    if request.scope["query_string"]:
        query_parameters.refuse(request)


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
        self.remembered: dict[tuple[bytes, bytes], tuple[Caller, float]] = {}

    def credentials(self, headers: Any) -> tuple[bytes, bytes]:
        """Returns the API key and the Authorization header as received, empty where missing or not needed."""
        key = authorization = b""
        if self._settings.auth_required:
            wanted = self._header if self._with_key else b""
            for name, value in headers:
                if name == b"authorization":
                    authorization = value
                elif name == wanted:
                    key = value
        return key, authorization

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

    async def verify(self, key: bytes, authorization: bytes) -> Caller:
        """Returns the caller that the credentials identify, and caches it. Raises Problem 401."""
        generation = self._generation
        now = time.time()
        caller = await self._identify(key, authorization) if self._settings.auth_required else DEV_CALLER
        self._activity.note_user(caller.user_id, caller.app_id)
        if generation == self._generation and self._hearing:
            if len(self.remembered) >= _REMEMBER_AT_MOST:
                self.remembered.clear()
            self.remembered[key, authorization] = (caller, min(caller.expires_at, now + _REMEMBER))
        return caller

    def counted_for(self, caller: Caller) -> str | None:
        """Returns the user whose share of the database's connections the request uses.

        Returns None while authentication is off, because all requests have the same user then.
        """
        return caller.user_id if self._settings.auth_required else None

    def limit_of(self, caller: Caller) -> Key | None:
        """Returns the application, the user and their requests a minute, or None if there is no limit."""
        limit = caller.requests_per_minute
        if limit is None:
            limit = self._settings.rate_limit_requests_per_minute
        return (caller.app_id, caller.user_id, limit) if limit else None

    async def _identify(self, key: bytes, authorization: bytes) -> Caller:
        application = await self._application(key) if self._with_key else None
        claims = await self._claims(authorization)
        user_id = _text_claim(claims, "sub", "JWT missing 'sub' claim (user_id)")
        expires_at = float(claims["exp"]) + self._verifier.leeway
        if application is None:
            app_id = _text_claim(claims, "app_id", "JWT missing 'app_id' claim (required for jwt_only mode)")
            application = await self._queries.applications.find_by_id(app_id=app_id)
            if application is None:  # the token's issuer vouches for the application, which has no rights of an admin
                return Caller(app_id, user_id, False, expires_at)
        if not application["is_active"]:
            raise unauthorized("Application is disabled")
        if application["expires_at"] is not None:
            expires_at = min(expires_at, application["expires_at"].timestamp())
        limit = application["requests_per_minute"]
        return Caller(application["app_id"], user_id, application["is_admin"], expires_at, limit)

    async def _application(self, key: bytes) -> Any:
        if not key:
            raise unauthorized("Missing X-API-Key header", f'ApiKey header="{self._settings.api_key_header}"')
        text = key.decode("latin-1")
        match = _KEY.match(text)
        found = await self._queries.applications.find_by_prefix(api_key_prefix=match[1]) if match else None
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
