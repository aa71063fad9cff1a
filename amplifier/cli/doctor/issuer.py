"""The check of the keys that verify tokens: those of the identity provider, and its clock."""

import email.utils
import ssl
import time
from typing import Any

import httpx

from amplifier.cli.doctor.database import skew
from amplifier.cli.doctor.findings import Fault, Outcome, ok, skipped
from amplifier.cli.doctor.target import Target
from amplifier.errors import one_line

_LIMIT = 4.0  # seconds
_REMEDY = (
    "correct JWT_PUBLIC_KEY_URL (the issuer's /.well-known/openid-configuration names it as jwks_uri), let this "
    "machine reach it, and see SSL_CERT_FILE if the issuer has an authority of your own"
)


async def keys(target: Target) -> Outcome:
    """Reads the JWKS of the issuer, as the service does, and compares clocks: tokens are valid by the issuer's."""
    settings = target.settings
    if not settings.auth_required:
        return skipped("because AUTH_REQUIRED is off")
    if settings.jwt_algorithm == "HS256":
        return ok("tokens are verified with SECRET_KEY")
    began = time.time()
    response = await _read(str(settings.jwt_public_key_url))
    ended = time.time()
    found = ok(f"keys of the issuer that verify RS256: {_count(response)}")
    date = email.utils.parsedate_tz(response.headers.get("date", ""))
    if date is None or "age" in response.headers:  # of a cache, whose answer is older
        return found
    ahead = email.utils.mktime_tz(date) + 0.5 - (began + ended) / 2
    clock = skew(ahead, "the issuer of tokens", (ended - began) / 2 + 1)
    return found if clock.status == "ok" else clock


async def _read(url: str) -> httpx.Response:
    """Returns the answer. Raises Fault."""
    try:
        async with httpx.AsyncClient(
            timeout=_LIMIT, verify=ssl.create_default_context(), follow_redirects=True, max_redirects=3
        ) as client:
            response = await client.get(url, headers={"Accept": "application/json"})
            response.raise_for_status()
            return response
    except httpx.HTTPError as error:
        said = one_line(error) or type(error).__name__
        raise Fault(said, "the keys that verify tokens cannot be read: every request is refused", _REMEDY) from error


def _count(response: httpx.Response) -> int:
    """Returns the number of keys that verify tokens. Raises Fault if there are none."""
    from amplifier.web.jwt_verifier import signing_keys

    try:
        document: Any = response.json()
        count = len(dict(signing_keys(document["keys"])))
    except (ValueError, KeyError, TypeError):
        count = 0
    if count == 0:
        raise Fault(
            f"{response.url.host}: {response.headers.get('content-type', 'no content type')}",
            "the document has no key that verifies RS256: every request is refused",
            _REMEDY,
        )
    return count
