"""Who calls: every refusal with its text, forgeries, the keys of a token's issuer."""

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from amplifier import tokens
from tests.conftest import SECRET, Api, assert_problem, serving, settings_for, token

PRIVATE, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CLAIMS: dict[str, Any] = {"sub": "alice", "app_id": "app", "exp": int(time.time()) + 3600}
GOOD = token(**CLAIMS)
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


async def bearing(api: Api, bearer: str | bytes, key: str = "") -> httpx.Response:
    """The answer to a request with a token (or a whole Authorization header as bytes) and a key."""
    header = bearer if isinstance(bearer, bytes) else f"Bearer {bearer}".encode()
    return await api.client().get("/users/me", headers={"X-API-Key": key, "Authorization": header})


def forge(payload: Any = None, key: bytes = SECRET.encode(), header: Any = None, **claims: Any) -> str:
    """A token made by hand, signed by HMAC whatever its header says; a claim that is None is left out."""
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


async def test_each_refusal_says_why(api: Api) -> None:
    headers = {"X-API-Key": await api.register("app"), "Authorization": f"Bearer {GOOD}"}
    assert (await api.client(headers).get("/configs")).status_code == 200
    for name, values, detail in REFUSALS:
        for value in values:
            kept = {other: text for other, text in headers.items() if other != name}
            refused = await api.client(kept if value is None else kept | {name: value}).get("/configs")
            assert_problem(refused, 401, detail)
            challenge = "Bearer" if name == "Authorization" else 'ApiKey header="X-API-Key"'
            assert refused.headers["www-authenticate"] == challenge


async def test_the_header_of_the_key_is_configurable(dsn: str) -> None:
    async with serving(settings_for(dsn, api_key_header="X-Own-Key")) as api:
        key, bearer = await api.register("app"), f"Bearer {GOOD}"
        assert (await api.client({"X-Own-Key": key, "Authorization": bearer}).get("/configs")).status_code == 200
        assert_problem(await bearing(api, GOOD, key), 401, "Missing X-API-Key header")


async def test_without_authentication_everybody_is_the_developer(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_required=False)) as api:
        for headers in ({}, {"X-API-Key": "x", "Authorization": "Bearer x"}):
            me = (await api.client(headers).get("/users/me")).json()
            assert (me["user_id"], me["last_seen_app_id"]) == ("dev-user", "dev-app")
        assert (await api.client().get("/applications")).status_code == 200, "dev-app is an admin"


async def test_a_token_alone_names_the_application(dsn: str) -> None:
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
async def test_issuer_and_audience(dsn: str, settings: Any, claim: str, right: Any, wrong: Any, detail: str) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only", **settings)) as api:
        for value in right:
            assert (await bearing(api, forge(**{claim: value}))).status_code == 200
        for value in wrong:
            assert_problem(await bearing(api, forge(**{claim: value})), 401, detail)


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
BROKEN = [b"", b"[]", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1]}', b'{"keys": [{"kty": "oct"}]}', b"[" * 99_999]
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


@pytest.fixture
def issuer() -> Iterator[Any]:
    """An issuer's JWKS over HTTP: its keys by id (or bytes to answer), how often it was asked, a gate to wait at."""
    issuer = SimpleNamespace(keys={"one": PRIVATE}, asked=0, gate=threading.Lock())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            with issuer.gate:
                pass
            body = issuer.keys if isinstance(issuer.keys, bytes) else jwks(issuer.keys)
            self.send_response(200 if body else 500)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield issuer
        server.shutdown()


def jwks(keys: dict[str, Any]) -> bytes:
    """The JSON Web Key Set of private keys by id."""
    public = {kid: RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for kid, key in keys.items()}
    return json.dumps({"keys": [jwk | {"kid": kid} for kid, jwk in public.items()]}).encode()


@pytest.fixture
async def trusting(dsn: str, issuer: Any) -> AsyncIterator[Api]:
    """The application that takes tokens of the issuer."""
    rs256 = {"auth_mode": "jwt_only", "jwt_algorithm": "RS256", "jwt_public_key_url": issuer.url}
    async with serving(settings_for(dsn, **rs256)) as api:
        yield api


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which the issuer is asked again to so many seconds from now."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(
            tokens, "time", SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + seconds)
        )

    return move


async def test_every_forgery_of_an_issuers_token_is_refused(trusting: Api) -> None:
    assert (await bearing(trusting, issued())).status_code == 200
    own_key = {"kid": "one", "jwk": json.loads(jwks({"one": OTHER}))["keys"][0]}
    forgeries = [forge(key=key, header={"kid": "one", "alg": name}) for key in (PEM, b"") for name in ALGORITHMS]
    forgeries += [GOOD, issued(OTHER), issued(kid="two"), issued(exp=1), issued(exp=None), issued(algorithm="RS512")]
    forgeries += [issued(OTHER, kid) for kid in (*KIDS, "k" * 6000)] + [token(OTHER, "RS256", own_key, **CLAIMS)]
    swapped = f"{issued().rpartition('.')[0]}.{issued(sub='bob').rpartition('.')[2]}"
    for forgery in [*forgeries, *FORGERIES, swapped]:
        assert_problem(await bearing(trusting, forgery), 401)


async def test_an_unknown_key_id_asks_again_after_30_seconds(trusting: Api, issuer: Any, later: Any) -> None:
    answers = await asyncio.gather(*(bearing(trusting, issued(sub=f"user{n}")) for n in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20, "all wait for the one fetch"
    issuer.keys = {"two": OTHER}
    later(29)
    for kid in ("two", "three", "four"):
        assert_problem(await bearing(trusting, issued(OTHER, kid)), 401, "Invalid JWT: unknown key id")
    assert issuer.asked == 1
    later(31)
    assert (await bearing(trusting, issued(OTHER, "two"))).status_code == 200
    assert_problem(await bearing(trusting, issued(sub="another")), 401, "Invalid JWT: unknown key id")
    assert issuer.asked == 2


async def test_a_slow_issuer_holds_up_nobody_else(trusting: Api, issuer: Any, later: Any) -> None:
    assert (await bearing(trusting, issued())).status_code == 200
    later(31)
    issuer.keys["two"] = OTHER
    with issuer.gate:
        waiting = [asyncio.create_task(bearing(trusting, issued(OTHER, "two", sub=f"user{n}"))) for n in range(20)]
        assert (await bearing(trusting, issued(sub="another"))).status_code == 200
        assert (await trusting.client().get("/health")).status_code == 200
        assert not any(task.done() for task in waiting)
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 20
    assert issuer.asked == 2


async def test_the_last_good_keys_stay(trusting: Api, issuer: Any, later: Any) -> None:
    issuer.keys = b""
    refused = await bearing(trusting, issued())
    assert_problem(refused, 503)
    assert refused.headers["retry-after"] in ("1", "2", "3")
    issuer.keys = {"one": PRIVATE}
    later(31)
    assert (await bearing(trusting, issued())).status_code == 200
    for number, issuer.keys in enumerate(BROKEN, 1):
        later(3601 * number + 31)
        assert (await bearing(trusting, issued(sub=f"user{number}"))).status_code == 200
        assert issuer.asked == 2 + number
