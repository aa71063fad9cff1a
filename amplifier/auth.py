"""Who calls: API keys and JWTs become a Caller, verified ones are remembered for seconds."""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
from typing import Any, NamedTuple

import jwt
from jwt import PyJWKClient, PyJWKSet
from litestar import Request

from amplifier.database import Unavailable
from amplifier.problems import Problem
from amplifier.queries import Queries
from amplifier.settings import Settings
from amplifier.web import Caller

logger = logging.getLogger(__name__)

DEV_CALLER = Caller("dev-app", "dev-user", True)  # everybody, while authentication is off

_REMEMBER = 10.0  # seconds a verified pair of key and token stays known
_REMEMBER_AT_MOST = 10_000  # pairs
_TOUCH = 60.0  # seconds between two writes of a user's last_seen by this process
_REFETCH = 30.0  # seconds between two fetches of the JWKS for unknown key ids
_RETRY = 3.0  # seconds between two fetches while no key is known at all
_REFRESH = 3600.0  # seconds after which the JWKS is read again even so, for keys that were withdrawn
_MAX_TOKEN = 8192  # bytes
_LATEST = 2**53  # seconds; nothing that a token calls its end is later
_FETCH_LIMIT = 5.0  # seconds for the JWKS
_KEY = re.compile(r"(app_[0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
_USER_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}\Z")


class ApiKey(NamedTuple):
    """A new key: the text shown once, and what the database keeps of it."""

    text: str
    prefix: str
    hash: str


def generate_key() -> ApiKey:
    """A key of 256 random bits behind a prefix that finds its row."""
    prefix = f"app_{secrets.token_hex(8)}"
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    return ApiKey(text, prefix, _hash(text))


async def authenticate(request: Request[Any, Any, Any]) -> None:
    """Puts the Caller into the scope before anything else of the request is read, or raises Problem 401.

    A hook of the router and not a middleware, which would wrap every message of every answer once more.
    """
    authenticator: Authenticator = request.scope["litestar_app"].state.authenticator
    pair = authenticator.credentials(request.scope["headers"])
    remembered = authenticator.remembered.get(pair)
    if remembered is not None and remembered[1] > time.time():
        request.scope["user"] = remembered[0]
    else:
        request.scope["user"] = await authenticator.verify(*pair)


class Authenticator:
    """Verifies credentials as the settings ask, and notes which users were seen."""

    def __init__(self, settings: Settings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._hearing = False
        self._header = settings.api_key_header.lower().encode()
        self._with_key = settings.auth_required and settings.auth_mode == "api_key_jwt"
        self._jwks = Jwks(settings.jwt_public_key_url) if settings.jwt_algorithm == "RS256" else None
        self._due: dict[str, float] = {}
        self._seen: dict[str, str] = {}
        self._generation = 0
        self.remembered: dict[tuple[bytes, bytes], tuple[Caller, float]] = {}

    def credentials(self, headers: Any) -> tuple[bytes, bytes]:
        """The API key and the Authorization header as they came, empty where missing."""
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
        """A notification of the database: `application <app_id>` changed."""
        if payload.startswith("application "):
            self.forget()

    def set_hearing(self, hearing: bool) -> None:
        """While changes elsewhere are not heard of, nothing is remembered."""
        self._hearing = hearing
        self.forget()

    def forget(self) -> None:
        """Forgets every verified pair, because an application or its key changed."""
        self._generation += 1
        self.remembered.clear()

    async def verify(self, key: bytes, authorization: bytes) -> Caller:
        """The caller behind the credentials. Raises Problem 401."""
        generation = self._generation
        now = time.time()
        caller, expires = DEV_CALLER, now + _TOUCH
        if self._settings.auth_required:
            caller, expires = await self._identify(key, authorization)
            expires = min(expires, now + _REMEMBER)
        self._note_seen(caller, now)
        if generation == self._generation and self._hearing:
            if len(self.remembered) >= _REMEMBER_AT_MOST:
                self.remembered.clear()
            self.remembered[key, authorization] = (caller, expires)
        return caller

    async def flush_seen(self) -> None:
        """Writes who was seen since the last call, in one statement. Raises Unavailable."""
        if self._seen:
            seen, self._seen = self._seen, {}
            try:
                await self._queries.users.touch(user_ids=list(seen), app_ids=list(seen.values()))
            except Unavailable:
                self._seen = seen | self._seen  # the next call tries again
                raise

    async def keep_flushing(self) -> None:
        """Calls `flush_seen` every second, for ever."""
        while True:
            await asyncio.sleep(1)
            try:
                await self.flush_seen()
            except Exception as error:  # whatever it was: the next second brings other users
                logger.warning("last_seen of some users was not written: %r", error)

    def _note_seen(self, caller: Caller, now: float) -> None:
        if self._due.get(caller.user_id, 0) <= now:
            if len(self._due) >= _REMEMBER_AT_MOST:
                self._due.clear()
            self._due[caller.user_id] = now + _TOUCH
            self._seen[caller.user_id] = caller.app_id

    async def _identify(self, key: bytes, authorization: bytes) -> tuple[Caller, float]:
        application = await self._application(key) if self._with_key else None
        claims = await self._claims(authorization)
        user_id = _text_claim(claims, "sub", "JWT missing 'sub' claim (user_id)")
        if application is None:
            app_id = _text_claim(claims, "app_id", "JWT missing 'app_id' claim (required for jwt_only mode)")
            application = await self._queries.applications.find_by_id(app_id=app_id)
            if application is None:  # the token's issuer vouches for it, but it manages nothing
                return Caller(app_id, user_id, False), float(claims["exp"])
        if not application["is_active"]:
            raise _unauthorized("Application is disabled")
        return Caller(application["app_id"], user_id, application["is_admin"]), float(claims["exp"])

    async def _application(self, key: bytes) -> Any:
        if not key:
            raise _unauthorized("Missing X-API-Key header", self._settings.api_key_header)
        text = key.decode("latin-1")
        match = _KEY.match(text)
        found = await self._queries.applications.find_by_prefix(api_key_prefix=match[1]) if match else None
        if not hmac.compare_digest(_hash(text), found["api_key_hash"] if found else "0" * 64):
            raise _unauthorized("Invalid API key", self._settings.api_key_header)
        return found

    async def _claims(self, authorization: bytes) -> dict[str, Any]:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("Missing or invalid Authorization header (expected: Bearer <token>)")
        if len(token) > _MAX_TOKEN:
            raise _unauthorized(f"Invalid JWT: larger than {_MAX_TOKEN} bytes")
        settings = self._settings
        try:
            key = settings.secret_key if self._jwks is None else await self._jwks.key(token.strip())
            claims = jwt.decode(
                token.strip(),
                key,
                algorithms=[settings.jwt_algorithm],
                audience=settings.jwt_audience,
                issuer=settings.jwt_issuer,
                options={"require": ["exp"], "verify_aud": settings.jwt_audience is not None, "verify_iat": False},
            )
            if type(claims["exp"]) not in (int, float) or claims["exp"] > _LATEST:
                raise jwt.DecodeError("exp must be a number of seconds")
            return claims
        except jwt.PyJWTError as error:
            raise _unauthorized(_reason(error)) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise _unauthorized("Invalid JWT: malformed") from None


class Jwks:
    """The issuer's public keys. An unknown key id reads them again, at most once in 30 s; the last good ones stay."""

    def __init__(self, url: str | None) -> None:
        assert url is not None  # noqa: S101 - the settings require it for RS256
        self._client = PyJWKClient(url, cache_jwk_set=False, timeout=_FETCH_LIMIT)
        self._keys: dict[str | None, Any] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, token: str) -> Any:
        """The key that the token's header names. Raises PyJWTError, and Unavailable while there are no keys at all."""
        kid = jwt.get_unverified_header(token).get("kid")
        unknown = kid not in self._keys
        pause = _REFETCH if self._keys else _RETRY
        if self._age() > _REFRESH or (unknown and (self._age() > pause or self._lock.locked())):
            async with self._lock:  # one fetch for all who wait
                if self._age() > pause:
                    await self._fetch()
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            if not self._keys:
                raise Unavailable("The keys of the token's issuer cannot be read.")
            raise jwt.InvalidTokenError("unknown key id")
        return self._keys[kid]

    async def _fetch(self) -> None:
        self._fetched = time.monotonic()
        try:
            async with asyncio.timeout(_FETCH_LIMIT):
                document = await asyncio.to_thread(self._client.fetch_data)
            self._keys = {key.key_id: key.key for key in PyJWKSet.from_dict(document).keys}
        except Exception as error:  # another service may answer with anything
            logger.warning("the JWKS could not be read: %r", error)

    def _age(self) -> float:
        return time.monotonic() - self._fetched


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text_claim(claims: dict[str, Any], name: str, missing: str) -> str:
    value = claims.get(name)
    if value is None or value == "":
        raise _unauthorized(missing)
    if not isinstance(value, str) or not _USER_ID.match(value):
        raise _unauthorized(f"Invalid JWT: '{name}' must be text of 1 to 255 characters without control characters")
    return value


def _reason(error: jwt.PyJWTError) -> str:
    missing = error.claim if isinstance(error, jwt.MissingRequiredClaimError) else None
    if isinstance(error, jwt.ExpiredSignatureError):
        return "JWT expired"
    if isinstance(error, jwt.InvalidIssuerError) or missing == "iss":
        return "Invalid JWT issuer"
    if isinstance(error, jwt.InvalidAudienceError) or missing == "aud":
        return "Invalid JWT audience"
    if isinstance(error, jwt.MissingRequiredClaimError) and missing == "sub":
        return "JWT missing 'sub' claim (user_id)"
    return f"Invalid JWT: {error}".encode(errors="replace").decode()  # it may quote half a character from the token


def _unauthorized(detail: str, api_key_header: str | None = None) -> Problem:
    challenge = f'ApiKey header="{api_key_header}"' if api_key_header else "Bearer"
    return Problem(401, detail, headers={"WWW-Authenticate": challenge})
