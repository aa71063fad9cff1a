"""Which key of an issuer verifies a token, and how far the clocks of issuer and service may differ."""

import json
import time
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm

from tests.conftest import Api, assert_problem, token
from tests.support.polling import until
from tests.web.test_authentication import CLAIMS, OTHER, PRIVATE, bearing, forge, issued
from tests.web.test_jwt_verifier import issuer as issuer
from tests.web.test_jwt_verifier import later as later
from tests.web.test_jwt_verifier import trusting as trusting

SEVERAL = "Invalid JWT: it names no key (kid), and its issuer has several"
UNKNOWN = "Invalid JWT: unknown key id"


def jwk(key: Any = PRIVATE, **members: Any) -> dict[str, Any]:
    """The public half of a key as a JWK."""
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "key_ops": ["verify"], **members}


def without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in entry.items() if member != name}


# keys of a JWKS that verify no token of this service
USELESS: dict[str, Any] = {
    "for encryption": jwk(OTHER, use="enc", kid="two"),
    "for another algorithm": jwk(OTHER, alg="RS512", kid="two"),
    "for encryption by its algorithm": jwk(OTHER, alg="RSA-OAEP", kid="two"),
    "for wrapping keys": jwk(OTHER, key_ops=["wrapKey"], kid="two"),
    "elliptic": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "use": "sig", "kid": "two"},
    "secret": {"kty": "oct", "k": "AAAA", "kid": "two"},
    "broken": jwk(OTHER, n="!", kid="two"),
    "half": without(jwk(OTHER, kid="two"), "n"),
    "no object": 1,
}
NAMELESS = token(PRIVATE, "RS256", **CLAIMS)


def published(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize("useless", USELESS)
@pytest.mark.parametrize("members", [{"kid": "one"}, {"kid": "one", "use": "sig", "alg": "RS256"}, {}])
async def test_token_without_key_id_is_verified_by_the_only_signing_key(
    trusting: Api, issuer: Any, useless: str, members: Any
) -> None:
    issuer.keys = published(USELESS[useless], jwk(**members), USELESS[useless])
    assert (await bearing(trusting, NAMELESS)).status_code == 200
    assert_problem(
        await bearing(trusting, token(OTHER, "RS256", **CLAIMS)), 401, "Invalid JWT: Signature verification failed"
    )
    assert_problem(await bearing(trusting, issued(OTHER, "two")), 401, UNKNOWN)


async def test_key_for_encryption_does_not_replace_the_one_of_its_id(trusting: Api, issuer: Any) -> None:
    issuer.keys = published(jwk(kid="one"), jwk(OTHER, use="enc", kid="one"))
    assert (await bearing(trusting, issued())).status_code == 200
    assert_problem(await bearing(trusting, issued(OTHER)), 401, "Invalid JWT: Signature verification failed")


async def test_token_without_key_id_is_refused_beside_several_keys(trusting: Api, issuer: Any, later: Any) -> None:
    issuer.keys = published(jwk(kid="one"), jwk(OTHER, kid="two"))
    assert_problem(await bearing(trusting, NAMELESS), 401, SEVERAL)
    issuer.keys = published(jwk(), jwk(OTHER))
    later(31)
    assert_problem(await bearing(trusting, NAMELESS), 401, SEVERAL)
    issuer.keys = published(jwk(), jwk(OTHER, kid="two"))
    later(62)
    assert (await bearing(trusting, NAMELESS)).status_code == 200, "no other key can be meant"
    assert (await bearing(trusting, issued(OTHER, "two"))).status_code == 200


async def test_jwks_without_a_signing_key_replaces_none(trusting: Api, issuer: Any, later: Any) -> None:
    issuer.keys = published(USELESS["for encryption"])
    assert_problem(await bearing(trusting, issued()), 503)
    issuer.keys = published(jwk(kid="one"))
    later(4)
    assert (await bearing(trusting, issued())).status_code == 200
    issuer.keys = published(USELESS["for encryption"])
    later(3700)
    assert (await bearing(trusting, issued(sub="bob"))).status_code == 200


async def test_clocks_may_differ_by_ten_seconds(api: Api) -> None:
    key, now = await api.register("app"), int(time.time())
    for claims in ({"exp": now - 1}, {"nbf": now + 9}, {"exp": now - 1, "nbf": now + 9}, {"iat": now + 9}):
        assert (await bearing(api, forge(**claims), key)).status_code == 200, claims
    assert_problem(await bearing(api, forge(exp=now - 11), key), 401, "JWT expired")
    assert_problem(await bearing(api, forge(nbf=now + 1000), key), 401, "Invalid JWT: The token is not yet valid (nbf)")


async def test_cache_keeps_no_token_beyond_the_difference(api: Api) -> None:
    key, now = await api.register("app"), int(time.time())
    for exp in (now - 3, now + 1):
        api.app.state.authenticator.forget()

        async def remembers(exp: int = exp) -> bool:  # not before the service hears of changes
            assert (await bearing(api, forge(exp=exp), key)).status_code == 200
            return bool(api.app.state.authenticator.remembered)

        await until(remembers)
        [(caller, end)] = api.app.state.authenticator.remembered.values()
        assert (caller.expires_at, end <= exp + 10) == (exp + 10, True)
