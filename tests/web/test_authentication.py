"""Authentication by API key and JWT: every refusal with its text, and forgeries."""

import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import SECRET, Api, assert_problem, serving, settings_for, token

PRIVATE, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS: dict[str, Any] = {"sub": "alice", "app_id": "app", "exp": int(time.time()) + 86_400}
GOOD = token(**CLAIMS)
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


async def bearing(api: Api, bearer: str | bytes, key: str = "") -> httpx.Response:
    """The answer to a request with a token (or a whole Authorization header as bytes) and a key."""
    header = bearer if isinstance(bearer, bytes) else f"Bearer {bearer}".encode()
    return await api.client().get("/users/me", headers={"X-API-Key": key, "Authorization": header})


def forge(payload: Any = None, key: bytes = SECRET.encode(), header: Any = None, **claims: Any) -> str:
    """Returns a token made by hand and signed by HMAC, with any algorithm in its header; omits claims that are None."""
    claims = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    parts = [{"alg": "HS256", "typ": "JWT"} | (header or {}), claims if payload is None else payload]
    texts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
    signed = b".".join(base64.urlsafe_b64encode(text).rstrip(b"=") for text in texts)
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")).decode()


def issued(key: Any = PRIVATE, kid: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
    """A token of an issuer."""
    return token(key, algorithm, {"kid": kid}, **CLAIMS | claims)


# fmt: off
BEARER = "Missing or invalid Authorization header (expected: Bearer <token>)"
REFUSALS = [
    ("X-API-Key", [None, ""], "Missing X-API-Key header"),
    ("X-API-Key", ["app_0123456789abcdef_" + "x" * 43, "x", b"\xff\0"], "Invalid API key"),
    ("Authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", GOOD], BEARER),
    ("Authorization", [f"Bearer {forge(exp=1)}"], "JWT expired"),
    ("Authorization", [f"Bearer {forge(sub=None)}", f"Bearer {forge(sub='')}"], "JWT missing 'sub' claim (user_id)"),
    ("Authorization", ["Bearer x.y"], "Invalid JWT: Not enough segments"),
    ("Authorization", [f"Bearer {GOOD}x"], "Invalid JWT: Signature verification failed"),
]
TRUST = [
    ({}, "aud", ["any", ["a", "b"], None], [], ""),
    ({"jwt_issuer": "us"}, "iss", ["us"], [None, "", "them", ["us"], 1], "Invalid JWT issuer"),
    ({"jwt_audience": "us"}, "aud", ["us", ["a", "us"]], [None, "", "them", [], ["a"], 1], "Invalid JWT audience"),
]
# fmt: on


async def test_each_refusal_names_its_reason(api: Api) -> None:
    headers = {"X-API-Key": await api.register("app"), "Authorization": f"Bearer {GOOD}"}
    assert (await api.client(headers).get("/configs")).status_code == 200
    for name, values, detail in REFUSALS:
        for value in values:
            kept = {other: text for other, text in headers.items() if other != name}
            refused = await api.client(kept if value is None else kept | {name: value}).get("/configs")
            assert_problem(refused, 401, detail)
            challenge = "Bearer" if name == "Authorization" else 'ApiKey header="X-API-Key"'
            assert refused.headers["www-authenticate"] == challenge


async def test_header_of_api_key_is_configurable(dsn: str) -> None:
    async with serving(settings_for(dsn, api_key_header="X-Own-Key")) as api:
        key, bearer = await api.register("app"), f"Bearer {GOOD}"
        assert (await api.client({"X-Own-Key": key, "Authorization": bearer}).get("/configs")).status_code == 200
        assert_problem(await bearing(api, GOOD, key), 401, "Missing X-API-Key header")


async def test_requests_without_authentication_are_of_developer(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_required=False)) as api:
        for headers in ({}, {"X-API-Key": "x", "Authorization": "Bearer x"}):
            me = (await api.client(headers).get("/users/me")).json()
            assert (me["user_id"], me["last_seen_app_id"]) == ("dev-user", "dev-app")
        assert (await api.client().get("/applications")).status_code == 200, "dev-app is an admin"


async def test_token_without_api_key_names_application(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only")) as api:
        assert (await bearing(api, GOOD)).json()["last_seen_app_id"] == "app"
        missing = "JWT missing 'app_id' claim (required for jwt_only mode)"
        for app_id in (None, ""):
            assert_problem(await bearing(api, forge(app_id=app_id)), 401, missing)
        for app_id in (1, ["app"], {}, "a\0b", "app\n", "x" * 300):
            assert "'app_id' must be text" in assert_problem(await bearing(api, forge(app_id=app_id)), 401)["detail"]
        bearer = {"Authorization": f"Bearer {forge(app_id='root')}"}
        await api.register("root", is_admin=True)
        assert (await api.client(bearer).get("/applications")).status_code == 200


@pytest.mark.parametrize(("settings", "claim", "right", "wrong", "detail"), TRUST)
async def test_issuer_and_audience_are_checked(
    dsn: str, settings: Any, claim: str, right: Any, wrong: Any, detail: str
) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only", **settings)) as api:
        for value in right:
            assert (await bearing(api, forge(**{claim: value}))).status_code == 200
        for value in wrong:
            assert_problem(await bearing(api, forge(**{claim: value})), 401, detail)


async def test_claims_of_other_names_identify_the_caller(dsn: str) -> None:
    named = {"jwt_user_claim": "oid", "jwt_app_claim": "azp"}
    async with serving(settings_for(dsn, auth_mode="jwt_only", **named)) as api:
        me = (await bearing(api, forge(oid="mia", azp="page"))).json()
        assert (me["user_id"], me["app_id"]) == ("mia", "page")
        assert_problem(await bearing(api, forge(azp="page")), 401, "JWT missing 'oid' claim (user_id)")
        missing = "JWT missing 'azp' claim (required for jwt_only mode)"
        assert_problem(await bearing(api, forge(oid="mia")), 401, missing)


# fmt: off
FORGERIES = [
    "", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "%00", "null", "{}", "x" * 1_000_000, GOOD + "=" * 9000,
    f"{HEADER}.{PAYLOAD}", f"{HEADER}.{PAYLOAD}.", f".{PAYLOAD}.{SIGNATURE}", f"{GOOD}.{SIGNATURE}", issued(OTHER),
    f"{HEADER} {PAYLOAD} {SIGNATURE}", f"{HEADER}.{forge(sub='bob').split('.')[1]}.{SIGNATURE}",
    forge(key=b"\0"), forge(key=SECRET.upper().encode()), forge(key=PEM),
    GOOD[:-1], forge(nbf=CLAIMS["exp"]), *(forge(exp=exp) for exp in (None, -1, 0, True, 1.5)),
]
HEADERS = [b"Bearer \xff\xfe", b"\xff", b"Bearer \0", f"Bearer {GOOD}\0".encode(), f"Bearer\t{GOOD}".encode()]
ALGORITHMS = ["none", "None", "nOnE", "", "hs256", "HS512", "RS256", "ES256", "PS256", None, 1, [], ["HS256"]]
NO_TIMES = ["9999999999", "x", 10**400, [CLAIMS["exp"]], {"a": 1}]
NO_NUMBERS = [b"1e400", b"-1e400", b"1e308", b"NaN", b"Infinity", b"9" * 5000]
NO_USERS = [1, True, ["alice"], [], {"a": 1}, "", "a\0b", "\n", "alice\n", "\ud800", "\x7f", "x" * 300]
NO_PAYLOADS = [b"", b"[]", b"1", b"null", b"\xff", b"[" * 5000, GOOD, [CLAIMS], b'{"exp": 9e9, "sub": "\\ud800"}']
KIDS = ["../../dev/null", "' union select ''--", "k" * 10_000]
KEYS = [*({"kid": kid} for kid in KIDS), {"jwk": {"kty": "oct", "k": ""}}, {"jku": "http://evil/"}, {"b64": False}]
# fmt: on
FORGERIES += [forge(header={"alg": name}) for name in ALGORITHMS]
FORGERIES += [forge(header={"alg": name}).rpartition(".")[0] + "." for name in ALGORITHMS]
FORGERIES += [forge(**{name: time}) for name in ("exp", "nbf") for time in NO_TIMES]
FORGERIES += [forge(b'{"sub": "alice", "app_id": "app", "exp": ' + number + b"}") for number in NO_NUMBERS]
FORGERIES += [forge(sub=user) for user in NO_USERS] + [forge(payload) for payload in NO_PAYLOADS]
FORGERIES += [forge(key=b"", header=header) for header in KEYS] + [forge(header={"crit": ["\ud800"], "\ud800": 1})]


async def test_every_forgery_is_refused(api: Api) -> None:
    key = await api.register("app")
    assert (await bearing(api, GOOD, key)).status_code == 200
    for forgery in [*FORGERIES, *HEADERS, issued()]:
        assert_problem(await bearing(api, forgery, key), 401)
