"""Verifies JWTs with the secret or the issuer's public keys. Imported only if authentication is on."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jwt
import msgspec
from jwt import PyJWK

from amplifier import clock
from amplifier.errors import Unavailable
from amplifier.settings import Settings
from amplifier.web.problems import unauthorized

logger = logging.getLogger(__name__)

_OVERLAP = 24 * 3600.0  # seconds that a former SECRET_KEY verifies tokens
_REFETCH = 30.0  # seconds between two fetches of the JWKS for unknown key ids
_RETRY = 3.0  # seconds between two fetches while no key is known at all
_REFRESH = 3600.0  # seconds after which the JWKS is fetched again to drop keys that were withdrawn
_FETCH_LIMIT = 5.0  # seconds for the JWKS
_LARGEST = 1024 * 1024  # bytes of it
_MAX_TOKEN = 8192  # bytes
_LATEST = 2**53  # seconds since 1970; a later `exp` is invalid
_SIGNING = {"kty": ("RSA",), "use": ("sig", None), "alg": ("RS256", None)}  # what a JWK's members may be


class Verifier:
    """Checks tokens as the settings require."""

    leeway = 10.0  # seconds that the clocks of issuer and service may differ: for `nbf` and `exp`

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jwks = Jwks(settings.jwt_public_key_url) if settings.jwt_algorithm == "RS256" else None

    async def claims(self, token: str) -> dict[str, Any]:
        """Returns the claims of a valid token. Raises Problem 401, and Unavailable while no key is known."""
        if len(token) > _MAX_TOKEN:
            raise unauthorized(f"Invalid JWT: larger than {_MAX_TOKEN} bytes")
        settings = self._settings
        try:
            if self._jwks is None:
                claims = self._decoded_by_one(token, settings.secret_key.recent(_OVERLAP))
            else:
                claims = self._decoded(token, await self._jwks.key(token))
            if type(claims["exp"]) not in (int, float) or claims["exp"] > _LATEST:
                raise jwt.DecodeError("exp must be a number of seconds")
            _check_times(claims, self.leeway)
            return claims
        except jwt.PyJWTError as error:
            raise unauthorized(_reason(error)) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise unauthorized("Invalid JWT: malformed") from None

    def _decoded_by_one(self, token: str, keys: list[str]) -> dict[str, Any]:
        """Returns the claims of a token that one of the keys signed. Raises PyJWTError."""
        for key in keys[:-1]:
            with contextlib.suppress(jwt.InvalidSignatureError):
                return self._decoded(token, key)
        return self._decoded(token, keys[-1])

    def _decoded(self, token: str, key: Any) -> dict[str, Any]:
        settings = self._settings
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[settings.jwt_algorithm],
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            options={
                "require": ["exp"],
                "verify_aud": settings.jwt_audience is not None,
                # by `_check_times`
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        return claims


class Jwks:
    """The issuer's public keys, fetched again for an unknown key id at most every 30 s. The last good ones stay.

    A key without an id has a number in place of it, which no token can name.
    """

    def __init__(self, url: str | None) -> None:
        assert url is not None  # noqa: S101 - the settings require it for RS256
        self._url = url
        self._keys: dict[str | int, Any] = {}
        self._fetched = float("-inf")
        self._lock = asyncio.Lock()
        # its own thread: resolving the issuer's name may block for longer than any timeout
        self._thread = ThreadPoolExecutor(1, "jwks")
        self._reading: Future[dict[str | int, Any]] | None = None

    async def key(self, token: str) -> Any:
        """Returns the key that the token's header names. Raises PyJWTError, and Unavailable while no key is known."""
        kid = jwt.get_unverified_header(token).get("kid")
        unknown = kid not in self._keys
        pause = _REFETCH if self._keys else _RETRY
        if self._age() > _REFRESH or (unknown and (self._age() > pause or self._lock.locked())):
            async with self._lock:  # one fetch for all waiting requests
                if self._age() > pause:
                    await self._fetch()
        if not self._keys:
            raise Unavailable("The keys of the token's issuer cannot be read.")
        if kid is None:
            return self._only()
        if kid not in self._keys:
            raise jwt.InvalidTokenError("unknown key id")
        return self._keys[kid]

    def _only(self) -> Any:
        """Returns the key of a token that names none: the only one, or the only one without an id.

        Raises PyJWTError if there are several.
        """
        nameless = [key for kid, key in self._keys.items() if isinstance(kid, int)]
        keys = nameless or list(self._keys.values())
        if len(keys) > 1:
            raise jwt.InvalidTokenError("it names no key (kid), and its issuer has several")
        return keys[0]

    async def _fetch(self) -> None:
        self._fetched = time.monotonic()
        try:
            if self._reading is not None and not self._reading.done():
                raise TimeoutError("the read before has not ended yet")
            self._reading = self._thread.submit(_read, self._url)
            async with asyncio.timeout(_FETCH_LIMIT + 1):  # the thread ends the read first, unless it resolves a name
                self._keys = await asyncio.wrap_future(self._reading)
        except Exception as error:  # another service may answer with anything
            logger.warning("the JWKS could not be read: %.300s", repr(error))

    def _age(self) -> float:
        return time.monotonic() - self._fetched


def _read(url: str) -> dict[str | int, Any]:
    """Returns the keys at `url` that verify tokens, by id. Raises any exception.

    Runs an event loop in the calling thread, so that one deadline covers all steps.
    """
    # uvloop would resolve names in threads that the whole process shares
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        document = runner.run(_download(url))
    keys = dict(signing_keys(msgspec.json.decode(document)["keys"]))
    if not keys:
        raise ValueError("it has no key that verifies RS256")
    return keys


def signing_keys(jwks: list[Any]) -> Iterator[tuple[str | int, Any]]:
    """Yields id and key of each JWK that verifies RS256. Others, and broken ones, are of no use to this service."""
    for number, jwk in enumerate(jwks):
        try:
            is_signing = all(jwk.get(name) in allowed for name, allowed in _SIGNING.items())
            if is_signing and "verify" in jwk.get("key_ops", ("verify",)):
                kid = jwk.get("kid")
                yield kid if isinstance(kid, str) else number, PyJWK(jwk, "RS256").key
        except Exception:  # noqa: S112 - an issuer may publish anything
            continue


async def _download(url: str) -> bytes:
    """Returns the document at `url`, read within 5 s. Raises ValueError if it is larger than 1 MB."""
    import httpx  # a fifth of a second, and needed only here

    document = bytearray()
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}  # compressed, a little can become very much
    async with (
        asyncio.timeout(_FETCH_LIMIT),
        # the system's certificates, not httpx's own
        httpx.AsyncClient(follow_redirects=True, max_redirects=3, verify=ssl.create_default_context()) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        response.raise_for_status()
        async for chunk in response.aiter_raw():
            document += chunk
            if len(document) > _LARGEST:
                raise ValueError(f"it is larger than {_LARGEST} bytes")
    return bytes(document)


def _check_times(claims: dict[str, Any], leeway: float) -> None:
    """Checks `exp` and `nbf` by the database's clock. PyJWT would take this host's, on which hosts may differ.

    Raises PyJWTError, and OverflowError for a number that is none.
    """
    now = clock.now()
    if int(claims["exp"]) <= now - leeway:
        raise jwt.ExpiredSignatureError("Signature has expired")
    try:
        not_before = int(claims.get("nbf", 0))
    except (ValueError, TypeError, OverflowError):
        raise jwt.DecodeError("Not Before claim (nbf) must be an integer.") from None
    if not_before > now + leeway:
        raise jwt.ImmatureSignatureError("The token is not yet valid (nbf)")


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
