"""Who calls: every refusal with its text, forgeries, the issuer's keys, and keys that stop at once."""

import asyncio
import base64
import hmac
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from amplifier import auth, events
from tests.conftest import SECRET, Api, assert_problem, serving, settings_for, token

Sql = Callable[..., list[Any]]
BEARER = "Missing or invalid Authorization header (expected: Bearer <token>)"
PRIVATE, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
PEM = PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


async def until(condition: Callable[[], Any], seconds: float = 2) -> None:
    """Waits for the condition (plain or a coroutine), at most so long."""
    async with asyncio.timeout(seconds):
        while not (await result if asyncio.iscoroutine(result := condition()) else result):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("change", "detail", "challenge"),
    [
        ({"X-API-Key": None}, "Missing X-API-Key header", "ApiKey"),
        ({"X-API-Key": ""}, "Missing X-API-Key header", "ApiKey"),
        ({"X-API-Key": "app_0123456789abcdef_" + "x" * 43}, "Invalid API key", "ApiKey"),
        ({"X-API-Key": b"\xff\x00'--"}, "Invalid API key", "ApiKey"),
        ({"Authorization": None}, BEARER, "Bearer"),
        ({"Authorization": "Bearer"}, BEARER, "Bearer"),
        ({"Authorization": "Basic YTpi"}, BEARER, "Bearer"),
        ({"Authorization": f"Bearer {token(sub='a', exp=1)}"}, "JWT expired", "Bearer"),
        ({"Authorization": f"Bearer {token()}"}, "JWT missing 'sub' claim (user_id)", "Bearer"),
        ({"Authorization": "Bearer x.y"}, "Invalid JWT: Not enough segments", "Bearer"),
        ({"Authorization": f"Bearer {token(sub='a')}x"}, "Invalid JWT: Signature verification failed", "Bearer"),
    ],
)
async def test_each_refusal_says_why(api: Api, change: dict[str, Any], detail: str, challenge: str) -> None:
    headers = {"X-API-Key": await api.register("app"), "Authorization": f"Bearer {token(sub='alice')}"}
    assert (await api.client(headers).get("/configs")).status_code == 200
    changed = {name: value for name, value in (headers | change).items() if value is not None}
    refused = await api.client(changed).get("/configs")
    assert_problem(refused, 401, detail)
    assert refused.headers["www-authenticate"].split()[0] == challenge


async def test_the_header_of_the_key_is_configurable(dsn: str) -> None:
    async with serving(settings_for(dsn, api_key_header="X-Own-Key")) as api:
        key, bearer = await api.register("app"), f"Bearer {token(sub='alice')}"
        assert (await api.client({"X-Own-Key": key, "Authorization": bearer}).get("/configs")).status_code == 200
        refused = await api.client({"X-API-Key": key, "Authorization": bearer}).get("/configs")
        assert_problem(refused, 401, "Missing X-API-Key header")
        assert refused.headers["www-authenticate"] == 'ApiKey header="X-Own-Key"'


async def test_without_authentication_everybody_is_the_developer(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_required=False)) as api:
        for headers in ({}, {"X-API-Key": "x", "Authorization": "Bearer x"}):
            me = (await api.client(headers).get("/users/me")).json()
            assert (me["user_id"], me["last_seen_app_id"]) == ("dev-user", "dev-app")
        assert (await api.client().get("/applications")).status_code == 200, "dev-app is an admin"


async def test_a_token_alone_names_the_application(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only")) as api:

        async def call(path: str = "/users/me", **claims: Any) -> httpx.Response:
            return await api.client({"Authorization": f"Bearer {token(sub='alice', **claims)}"}).get(path)

        await api.register("known", is_admin=True)
        assert (await call(app_id="unknown")).json()["last_seen_app_id"] == "unknown"
        assert (await call("/applications", app_id="known")).status_code == 200
        assert_problem(await call("/applications", app_id="unknown"), 403)
        for missing in ({}, {"app_id": ""}, {"app_id": None}):
            assert_problem(await call(**missing), 401, "JWT missing 'app_id' claim (required for jwt_only mode)")
        for wrong in (1, ["known"], {}, "a\0b", "known\n", "x" * 300):
            assert assert_problem(await call(app_id=wrong), 401)["detail"].startswith("Invalid JWT: 'app_id'")
        sql("update applications set is_active = false")
        await until(lambda: not api.app.state.authenticator.remembered)
        assert_problem(await call(app_id="known"), 401, "Application is disabled")


@pytest.mark.parametrize(
    ("settings", "claims", "detail"),
    [
        ({}, {"iss": "anyone", "aud": "anything"}, None),
        ({}, {"aud": ["a", "b"]}, None),
        ({"jwt_issuer": "us"}, {"iss": "us"}, None),
        ({"jwt_issuer": "us"}, {"iss": "them"}, "Invalid JWT issuer"),
        ({"jwt_issuer": "us"}, {"iss": ["us"]}, "Invalid JWT issuer"),
        ({"jwt_issuer": "us"}, {}, "Invalid JWT issuer"),
        ({"jwt_audience": "api"}, {"aud": "api"}, None),
        ({"jwt_audience": "api"}, {"aud": ["web", "api"]}, None),
        ({"jwt_audience": "api"}, {"aud": "web"}, "Invalid JWT audience"),
        ({"jwt_audience": "api"}, {"aud": []}, "Invalid JWT audience"),
        ({"jwt_audience": "api"}, {"aud": 1}, "Invalid JWT audience"),
        ({"jwt_audience": "api"}, {}, "Invalid JWT audience"),
    ],
)
async def test_issuer_and_audience_count(
    dsn: str, settings: dict[str, str], claims: dict[str, Any], detail: str | None
) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only", **settings)) as api:
        bearer = token(sub="alice", app_id="app", **claims)
        response = await api.client({"Authorization": f"Bearer {bearer}"}).get("/users/me")
        assert response.status_code == 200 if detail is None else assert_problem(response, 401, detail)


CLAIMS = {"sub": "alice", "app_id": "app", "exp": int(time.time()) + 3600}
GOOD = token(**CLAIMS)
HEADER, PAYLOAD, SIGNATURE = GOOD.split(".")


def forge(payload: Any = CLAIMS, key: bytes = SECRET.encode(), **header: Any) -> str:
    """A token made by hand, signed by HMAC whatever its header says. Bytes are taken as they are."""
    parts = [{"alg": "HS256", "typ": "JWT"} | header, payload]
    texts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts]
    signed = b".".join(base64.urlsafe_b64encode(text).rstrip(b"=") for text in texts)
    signature = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
    return (signed + b"." + signature).decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with changes; None leaves one out."""
    return {name: value for name, value in (CLAIMS | changes).items() if value is not None}


def raw(**changes: str) -> bytes:
    """Good claims with changes as JSON text, which need not be what Python can write."""
    members = {name: json.dumps(value) for name, value in CLAIMS.items()} | changes
    return ("{%s}" % ",".join(f'"{name}": {value}' for name, value in members.items())).encode()


SHAPES = [
    "",
    ".",
    "..",
    "a.b",
    "a.b.c",
    "a.b.c.d",
    f"{HEADER}.{PAYLOAD}",
    f"{HEADER}.{PAYLOAD}.",
    f".{PAYLOAD}.{SIGNATURE}",
]
SHAPES += [
    f"{GOOD}.{SIGNATURE}",
    f"{GOOD}x",
    GOOD[:-1],
    f"{HEADER} {PAYLOAD} {SIGNATURE}",
    "x" * 1_000_000,
    GOOD + "=" * 9000,
]
SHAPES += [
    f"{HEADER}.{forge(claims(sub='bob')).split('.')[1]}.{SIGNATURE}",
    "é.é.é",
    "\x80\xff",
    "%00",
    "null",
    "{}",
    "[]",
]
ALGORITHMS = [
    "none",
    "None",
    "nOnE",
    "NONE",
    "",
    "hs256",
    "HS512",
    "RS256",
    "ES256",
    "PS256",
    "EdDSA",
    None,
    1,
    [],
    ["HS256"],
]
TIMES = [{"exp": value} for value in (None, "9999999999", "x", "", 10**400, -1, 0, True, [1], {"a": 1}, 1.5)]
TIMES += [{"nbf": CLAIMS["exp"]}, {"nbf": "x"}, {"nbf": 10**400}, {"nbf": [1]}, {"nbf": str(CLAIMS["exp"])}]
USERS = [1, True, ["alice"], [], {"a": 1}, "", "a\0b", "\n", "alice\n", "\ud800", "\x7f", "x" * 300]
PAYLOADS: list[Any] = [raw(exp=number) for number in ("1e400", "-1e400", "NaN", "Infinity", "9" * 5000, "1e308")]
PAYLOADS += [
    raw(nbf="1e400"),
    raw(sub='"\\ud800"'),
    raw(sub="1", sub2='"alice"'),
    b"",
    b"[]",
    b"1",
    b"null",
    b"\xff",
    b"[" * 5000,
]
PAYLOADS += [GOOD.encode(), GOOD, [CLAIMS], json.dumps(CLAIMS).encode("utf-16")]
HEADERS = [{"kid": "../../dev/null"}, {"kid": "' union select ''--"}, {"kid": "k" * 10_000}, {"jku": "http://evil/"}]
HEADERS += [
    {"jwk": {"kty": "oct", "k": ""}},
    {"x5u": "http://evil/"},
    {"crit": ["\ud800"], "\ud800": 1},
    {"b64": False},
]
FORGERIES = [*SHAPES, *(forge(payload) for payload in PAYLOADS), *(forge(claims(**times)) for times in TIMES)]
FORGERIES += [forge(claims(sub=user)) for user in USERS] + [forge(alg=algorithm) for algorithm in ALGORITHMS]
FORGERIES += [forge(alg=algorithm).rpartition(".")[0] + "." for algorithm in ALGORITHMS]
FORGERIES += [forge(key=b"", **header) for header in HEADERS] + [forge(key=b"\0"), forge(key=SECRET.upper().encode())]


async def test_every_forgery_is_refused(api: Api) -> None:
    key = await api.register("app")
    assert (await bearing(api, GOOD, key)).status_code == 200
    for forgery in [*FORGERIES, signed(), signed(OTHER), forge(key=PEM)]:
        assert_problem(await bearing(api, forgery, key), 401)
    for bytes_ in (
        b"Bearer \xff\xfe",
        b"\xff",
        b"Bearer \0",
        b"Bearer " + GOOD.encode() + b"\0",
        b"bearer\t" + GOOD.encode(),
    ):
        assert_problem(await api.client().get("/users/me", headers={"X-API-Key": key, "Authorization": bytes_}), 401)


async def bearing(api: Api, bearer: str, key: str = "") -> httpx.Response:
    """The answer to a request with a token and a key."""
    headers = {"X-API-Key": key, "Authorization": f"Bearer {bearer}".encode("latin-1")}
    return await api.client(headers).get("/users/me")


def signed(key: Any = PRIVATE, kid: Any = "one", **changes: Any) -> str:
    """A token under RS256."""
    return jwt.encode(claims(**changes), key, "RS256", headers={"kid": kid})


class Issuer:
    """A JWKS over HTTP: its keys by id, how often it was asked, and a gate that it waits at."""

    def __init__(self) -> None:
        self.keys: Any = {"one": PRIVATE}
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.gate.wait(10)
                body = issuer.document()
                self.send_response(200 if body else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"

    def document(self) -> bytes:
        if isinstance(self.keys, bytes):
            return self.keys
        to_jwk = jwt.get_algorithm_by_name("RS256").to_jwk
        keys = [to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer that answers."""
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, args=(0.01,))
    thread.start()
    yield issuer
    issuer.gate.set()
    issuer.server.shutdown()
    issuer.server.server_close()
    thread.join(5)


@pytest.fixture
async def trusting(dsn: str, issuer: Issuer) -> AsyncIterator[Api]:
    """The application that takes tokens of the issuer."""
    changes = {"auth_mode": "jwt_only", "jwt_algorithm": "RS256", "jwt_public_key_url": issuer.url}
    async with serving(settings_for(dsn, **changes)) as api:
        yield api


async def test_every_forgery_of_an_issuers_token_is_refused(trusting: Api) -> None:
    assert (await bearing(trusting, signed())).status_code == 200
    jwk = jwt.get_algorithm_by_name("RS256").to_jwk(OTHER.public_key(), as_dict=True)
    forgeries = [*FORGERIES, GOOD, forge(kid="one"), signed(OTHER), signed(kid="none"), signed(exp=1), signed(exp=None)]
    forgeries += [
        forge(key=PEM, kid="one"),
        forge(key=PEM, kid="one", alg="RS256"),
        forge(key=b"", kid="one", alg="none"),
    ]
    forgeries += [
        jwt.encode(CLAIMS, OTHER, "RS256", headers={"kid": "one", "jwk": jwk}),
        signed(OTHER, "../../dev/null"),
    ]
    forgeries += [
        signed(OTHER, "' or 1=1--"),
        signed(OTHER, "k" * 6000),
        jwt.encode(CLAIMS, PRIVATE, "RS512", headers={"kid": "one"}),
    ]
    for forgery in forgeries:
        assert_problem(await bearing(trusting, forgery), 401)


async def test_an_unknown_key_id_asks_the_issuer_once_in_a_while(
    trusting: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = await asyncio.gather(*(bearing(trusting, signed(sub=f"user{number}")) for number in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20, "those that wait for the first fetch get its keys"
    assert issuer.asked == 1
    issuer.keys = {"two": OTHER}
    new = signed(OTHER, "two")
    for _ in range(3):
        assert_problem(await bearing(trusting, new), 401, "Invalid JWT: unknown key id")
    assert issuer.asked == 1
    monkeypatch.setattr(auth, "_REFETCH", -1.0)  # the time has passed
    assert (await bearing(trusting, new)).status_code == 200
    assert issuer.asked == 2
    assert_problem(await bearing(trusting, signed(sub="another")), 401, "Invalid JWT: unknown key id")


async def test_a_slow_issuer_holds_up_nobody_else(
    trusting: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await bearing(trusting, signed())).status_code == 200
    monkeypatch.setattr(auth, "_REFETCH", 0.0)
    issuer.keys["two"] = OTHER
    issuer.gate.clear()
    waiting = [
        asyncio.create_task(bearing(trusting, signed(OTHER, "two", sub=f"user{number}"))) for number in range(20)
    ]
    await until(lambda: issuer.asked == 2)
    assert (await trusting.client().get("/health")).status_code == 200
    assert (await bearing(trusting, signed(sub="another"))).status_code == 200
    assert not any(task.done() for task in waiting)
    issuer.gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 20
    assert issuer.asked == 2


async def test_without_the_issuers_keys_there_is_no_telling(
    trusting: Api, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_REFETCH", -1.0)
    issuer.keys = b""
    refused = await bearing(trusting, signed())
    assert_problem(refused, 503)
    assert refused.headers["retry-after"] in ("1", "2", "3")
    issuer.keys = {"one": PRIVATE}
    assert (await bearing(trusting, signed())).status_code == 200
    monkeypatch.setattr(auth, "_REFRESH", -1.0)
    for number, broken in enumerate(
        [b"", b"x", b"[]", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}', b"[" * 99_999]
    ):
        issuer.keys = broken
        assert (await bearing(trusting, signed(sub=f"user{number}"))).status_code == 200, "the last good keys stay"


async def disable(api: Api, sql: Sql) -> str:
    sql("update applications set is_active = false where app_id = 'app'")
    return "Application is disabled"


async def delete(api: Api, _: Sql) -> str:
    assert (await (await api.as_user("root", "admin")).delete("/applications/app")).status_code == 200
    return "Invalid API key"


async def regenerate(api: Api, _: Sql) -> str:
    answer = await (await api.as_user("alice")).post("/applications/app/regenerate-key")
    assert (await bearing(api, token(sub="alice"), answer.json()["api_key"])).status_code == 200
    return "Invalid API key"


@pytest.mark.parametrize("stop", [disable, delete, regenerate])
async def test_a_key_stops_at_once_in_every_process(api: Api, sql: Sql, stop: Callable[..., Any]) -> None:
    alice = await api.as_user("alice")
    async with serving(api.settings) as other:
        there = other.client(dict(alice.headers))
        for client, application in ((alice, api.app), (there, other.app)):
            memory = application.state.authenticator.remembered
            await until(lambda client=client, memory=memory: remembers(client, memory))
        detail = await stop(api, sql)
        if stop is disable:
            await until(lambda: fails(alice))
        assert_problem(await alice.get("/configs"), 401, detail)
        await until(lambda: fails(there))
        assert_problem(await there.get("/configs"), 401, detail)


async def remembers(client: httpx.AsyncClient, memory: dict[Any, Any]) -> bool:
    return (await client.get("/configs")).status_code == 200 and bool(memory)


async def fails(client: httpx.AsyncClient) -> bool:
    return (await client.get("/configs")).status_code == 401


async def test_a_process_that_hears_nothing_remembers_nothing(
    dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_BACK_OFF", (60.0, 60.0))
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        await until(lambda: remembers(alice, api.app.state.authenticator.remembered))
        sql("alter table applications disable trigger applications_announce")
        sql("update applications set is_active = false")
        assert (await alice.get("/configs")).status_code == 200, "remembered: nobody said anything"
        sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
        )
        await until(lambda: fails(alice))
        sql("update applications set is_active = true")
        assert (await alice.get("/configs")).status_code == 200
        sql("update applications set is_active = false")
        assert_problem(await alice.get("/configs"), 401, "Application is disabled")


async def test_the_figures_of_a_user(api: Api, sql: Sql, alice: httpx.AsyncClient, session_id: str) -> None:
    me = (await alice.get("/users/me")).json()
    assert me | {"first_seen": "", "last_seen": ""} == {
        "user_id": "alice",
        "first_seen": "",
        "last_seen": "",
        "last_seen_app_id": "app",
        "total_sessions": 1,
        "metadata": {},
    }
    assert (await (await api.as_user("bob")).get("/users/me")).json()["total_sessions"] == 0
    await api.app.state.authenticator.flush_seen()
    sql("update users set last_seen = '2000-01-01', last_seen_app_id = null")
    other = await api.as_user("carol", "other")
    await other.get("/configs")
    await api.app.state.authenticator.flush_seen()
    assert sql("select user_id, last_seen_app_id from users where last_seen > now() - interval '1 minute'") == [
        ("carol", "other")
    ]
    assert (await alice.get("/users/me")).json()["last_seen"].startswith("2000"), "a minute has not passed"


async def test_a_crash_is_500_and_never_401(
    api: Api, sql: Sql, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(**_: Any) -> None:
        raise RuntimeError("a secret of the database")

    monkeypatch.setattr(api.app.state.queries.sessions, "list", crash)
    sql("alter table configs rename to configs_elsewhere")
    sql("alter table applications rename column is_active to is_alive")
    bob = await api.as_user("bob")
    for client, path in ((alice, "/sessions"), (alice, "/configs"), (bob, "/users/me")):
        response = await client.get(path, headers={"X-Request-ID": "crash-1"})
        problem = assert_problem(response, 500, "Internal server error. Report it with the request_id.")
        assert problem["request_id"] == response.headers["x-request-id"] == "crash-1"
        assert "secret" not in response.text + str(response.headers)


async def test_secrets_stay_out_of_logs_and_answers(
    api: Api, alice: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key, bearer = alice.headers["x-api-key"], alice.headers["authorization"].split()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.app.state.queries.users, "get", None)
        texts = [(await alice.get("/users/me")).text]
    for headers in (
        {"X-API-Key": key[:-1] + "x"},
        {"Authorization": f"Bearer {bearer[:-1]}x"},
        {"Authorization": bearer},
        {},
    ):
        for path in ("/configs", "/configs/%00", "/none", "/sessions?limit=x", "/applications/app"):
            texts.append((await alice.get(path, headers=headers)).text)
    assert "failed" in caplog.text
    for secret in (key, key[20:], bearer, bearer.split(".")[1], SECRET):
        assert secret not in caplog.text + "".join(texts)
