"""The keys of a token's issuer: what is refused, when they are read again, and issuers that misbehave."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from jwt.algorithms import RSAAlgorithm

from amplifier.web import jwt_verifier
from tests.conftest import Api, assert_problem, serving, settings_for, token
from tests.support.live import until
from tests.web.test_authentication import (
    ALGORITHMS,
    CLAIMS,
    FORGERIES,
    GOOD,
    KIDS,
    OTHER,
    PEM,
    PRIVATE,
    bearing,
    forge,
    issued,
)

BROKEN = [b"", b"[]", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1]}', b'{"keys": [{"kty": "oct"}]}', b"[" * 99_999]


@pytest.fixture
def issuer() -> Iterator[Any]:
    """An issuer's JWKS over HTTP: its keys by id (or bytes to answer, or pieces), how often it was asked, how much of
    the pieces it got rid of, whether it was left, a gate to wait at."""
    issuer = SimpleNamespace(keys={"one": PRIVATE}, asked=0, sent=0, left=False, gate=threading.Lock())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            with issuer.gate:
                pass
            if callable(issuer.keys):
                return self.send_pieces(issuer.keys())
            body = issuer.keys if isinstance(issuer.keys, bytes) else jwks(issuer.keys)
            self.send_response(200 if body else 500)
            self.end_headers()
            self.wfile.write(body)
            return None

        def send_pieces(self, pieces: Iterator[bytes]) -> None:
            try:
                for piece in pieces:
                    self.wfile.write(piece)
                    issuer.sent += len(piece)
            except OSError:
                issuer.left = True

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
    """The application, which trusts tokens of the issuer."""
    rs256 = {"auth_mode": "jwt_only", "jwt_algorithm": "RS256", "jwt_public_key_url": issuer.url}
    async with serving(settings_for(dsn, **rs256)) as api:
        yield api


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which the issuer is asked again to so many seconds from now."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(
            jwt_verifier, "time", SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + seconds)
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


async def test_unknown_key_id_fetches_again_after_30_seconds(trusting: Api, issuer: Any, later: Any) -> None:
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


async def test_slow_issuer_delays_no_other_caller(trusting: Api, issuer: Any, later: Any) -> None:
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


async def test_last_good_keys_stay(trusting: Api, issuer: Any, later: Any) -> None:
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


def endless(piece: bytes, pause: float = 0) -> Callable[[], Iterator[bytes]]:
    """An answer whose body has no end."""

    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.0 200 OK\r\n\r\n["
        while True:
            yield piece
            time.sleep(pause)

    return pieces


def dripping(text: bytes) -> Callable[[], Iterator[bytes]]:
    """An answer that comes byte by byte and has no end."""

    def pieces() -> Iterator[bytes]:
        while True:
            for position in range(len(text)):
                yield text[position : position + 1]
                time.sleep(0.01)

    return pieces


ENDLESS = {
    "large": endless(b" " * 65536),
    "dripping body": endless(b" ", 0.01),
    "dripping status": dripping(b"H"),
    "dripping headers": lambda: itertools.chain([b"HTTP/1.0 200 OK\r\n"], dripping(b"a: b\r\n")()),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_jwks_is_cut_off(
    trusting: Api, issuer: Any, later: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await bearing(trusting, issued())).status_code == 200
    monkeypatch.setattr(jwt_verifier, "_FETCH_LIMIT", 5 if kind == "large" else 0.3)
    issuer.keys = ENDLESS[kind]
    later(31)
    async with asyncio.timeout(5):
        assert_problem(await bearing(trusting, issued(OTHER, "two")), 401, "Invalid JWT: unknown key id")
        await until(lambda: issuer.left)
    assert issuer.sent < 32 * jwt_verifier._LARGEST  # what the system's buffers took
    issuer.keys = {"two": OTHER}
    later(62)
    assert (await bearing(trusting, issued(OTHER, "two"))).status_code == 200, "the thread is free again"


async def test_reads_that_hang_take_one_thread(
    trusting: Api, issuer: Any, later: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a name that is not resolved: the system gives no way to end that."""
    assert (await bearing(trusting, issued())).status_code == 200
    gate, download = threading.Event(), jwt_verifier._download

    async def hang(url: str) -> bytes:
        await asyncio.to_thread(gate.wait)  # by the thread's own loop, which waits for it in the end
        return await download(url)

    monkeypatch.setattr(jwt_verifier, "_download", hang)
    monkeypatch.setattr(jwt_verifier, "_FETCH_LIMIT", -0.9)
    for number in range(1, 6):
        later(31 * number)
        assert_problem(await bearing(trusting, issued(OTHER, f"kid-{number}")), 401, "Invalid JWT: unknown key id")
    assert issuer.asked == 1
    assert "has not ended yet" in caplog.text
    assert (await bearing(trusting, issued(sub="bob"))).status_code == 200, "the last good keys stay"
    gate.set()


async def test_log_is_bounded(trusting: Api, issuer: Any, caplog: pytest.LogCaptureFixture) -> None:
    issuer.keys = lambda: iter([b"HTTP/1.0 500 " + b"x" * 50_000 + b"\r\n\r\n"])
    assert_problem(await bearing(trusting, issued()), 503)
    assert [
        len(record.getMessage()) < 500 for record in caplog.records if record.name == "amplifier.web.jwt_verifier"
    ] == [True]
