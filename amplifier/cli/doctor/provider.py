"""The check of the identity provider where people sign in to the console: its configuration, as browsers read it."""

import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx

from amplifier.cli.doctor.findings import Fault, Outcome, ok, skipped, warning
from amplifier.cli.doctor.target import Target
from amplifier.errors import one_line

_LIMIT = 4.0  # seconds
_FAULT = "nobody can sign in to the console"
_ISSUER = (
    "set CONSOLE_OIDC_ISSUER to the `issuer` that the provider names in its /.well-known/openid-configuration, letter "
    "by letter, and see SSL_CERT_FILE if it has an authority of your own"
)


async def console(target: Target) -> Outcome:
    """Reads the provider's configuration as the console does, and compares it with the settings and the policy."""
    settings = target.settings
    issuer = settings.console_oidc_issuer
    if issuer is None or not (settings.auth_required and settings.console):
        return skipped("because nobody signs in to the console by OpenID Connect")
    found = await _read(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise Fault(f"the issuer calls itself {found.get('issuer')}", _FAULT, _ISSUER)
    tokens = str(found.get("token_endpoint"))
    if urlsplit(tokens)[:2] != urlsplit(issuer)[:2]:
        raise Fault(
            f"tokens are at {tokens}",
            f"{_FAULT}: the policy of the page allows calls of the issuer's origin only",
            "choose a provider, or an address of it, that has its token endpoint at the origin of the issuer",
        )
    if "S256" not in found.get("code_challenge_methods_supported", ["S256"]):
        raise Fault("the provider does not know S256", f"{_FAULT}: it needs PKCE", "allow PKCE with S256 there")
    if settings.jwt_public_key_url != found.get("jwks_uri"):
        return warning(
            f"the provider has its keys at {found.get('jwks_uri')}",
            "the service verifies tokens with other keys: it may refuse those of people who sign in",
            "set JWT_ALGORITHM=RS256 and JWT_PUBLIC_KEY_URL to that address",
        )
    return ok(f"people sign in at {urlsplit(issuer).netloc}")


async def _read(url: str) -> dict[str, Any]:
    """Returns the configuration of a provider. Raises Fault."""
    try:
        async with httpx.AsyncClient(timeout=_LIMIT, verify=ssl.create_default_context()) as client:
            response = await client.get(url, headers={"Accept": "application/json"})
            response.raise_for_status()
            found = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Fault(one_line(error) or type(error).__name__, f"{url} cannot be read: {_FAULT}", _ISSUER) from error
    return found if isinstance(found, dict) else {}
