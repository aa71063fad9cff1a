"""Hostile requests as bytes on the wire: half-closed connections, tricks with paths, headers that would add headers."""

import asyncio
import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import CONFIG, settings_for
from tests.support.live import LIMIT, Live, live

GOOD = b'{"messages": [{"role": "user", "content": "hi"}]}'


class Answer(NamedTuple):
    """A response, read until the connection closed."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def value(self, name: str) -> str:
        """The only header of this name."""
        [value] = [value for known, value in self.headers if known == name]
        return value


class Target:
    """A session of alice, reached by a raw socket, and the credentials of several users."""

    def __init__(self, api: Live, session_id: str, clients: dict[str, httpx.AsyncClient]) -> None:
        self.api, self.session_id = api, session_id
        names = ("x-api-key", "authorization")
        self.credentials = {
            user: b"".join(f"{name}: {client.headers[name]}\r\n".encode() for name in names if name in client.headers)
            for user, client in clients.items()
        }

    async def send(self, data: bytes, half_close: bool = False) -> Answer:
        """The answer to these bytes."""
        address = urlsplit(self.api.url)
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(data)
            if half_close:
                writer.write_eof()
            received = await reader.read()
            writer.close()
            await writer.wait_closed()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        return Answer(int(first.split()[1]), headers, body)

    async def get(self, path: str | bytes, user: str, more: bytes = b"") -> Answer:
        """The answer to a GET of this path, exactly as it is written."""
        target = path if isinstance(path, bytes) else path.encode()
        end = b"Host: x\r\nConnection: close\r\n\r\n"
        return await self.send(b"GET " + target + b" HTTP/1.1\r\n" + self.credentials[user] + more + end)

    async def append(self, user: str, body: bytes, more: bytes = b"", half_close: bool = False) -> Answer:
        """The answer to an append with further headers."""
        start = f"POST /sessions/{self.session_id}/transcript HTTP/1.1\r\nContent-Length: {len(body)}\r\n".encode()
        fixed = b"Host: x\r\nContent-Type: application/json\r\n" + (b"" if half_close else b"Connection: close\r\n")
        return await self.send(start + self.credentials[user] + fixed + more + b"\r\n" + body, half_close)


@pytest.fixture
async def target(dsn: str) -> AsyncIterator[Target]:
    """The service, with a session of one message."""
    async with live(settings_for(dsn)) as api:
        clients = {name: await api.as_user(name) for name in ("alice", "bob")} | {"nobody": api.client()}
        config_id = (await clients["alice"].post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await clients["alice"].post("/sessions", json={"config_id": config_id})).json()["session_id"]
        target = Target(api, session_id, clients)
        assert (await target.append("alice", GOOD)).status == 201
        yield target


async def test_half_closed_client_receives_answer(target: Target) -> None:
    answer = await target.append("alice", GOOD, half_close=True)
    assert (answer.status, json.loads(answer.body)["last_seq"]) == (201, 2)
    path = f"/sessions/{target.session_id}/transcript?view=plain"
    request = b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + target.credentials["alice"] + b"\r\n"
    both = await target.send(request * 2, half_close=True)
    assert both.status == 200
    assert both.body.count(b"HTTP/1.1 200") == 1, "the second answer stands behind the first"


# {0} is the session. Every caller reaches the same thing by a path: alice gets her session or a refusal.
_PATHS = """
    /sessions/{0}/../{0} /./sessions/{0} /sessions/./{0} /x/../sessions/{0} /x/%2e%2e/sessions/{0}
    /docs/../sessions/{0} /docs/%2e%2e/sessions/{0} /%2e/sessions/{0} //sessions/{0} ///sessions///{0}//
    /sessions//{0} /sessions/{0}/ /sessions/{0}/. /sessions/{0}/transcript/.. /sessions%2F{0} %2Fsessions%2F{0}
    /sessions/{0}%2F /sessions/{0}%2f..%2f{0} /sessions/{0};a=b /sessions;x/{0} /sessions\\{0} \\sessions\\{0}
    /sessions/{0}%5c /sessions/..\\sessions\\{0} /%73essions/{0} /SESSIONS/{0} /sessions/{0}%00 /sessions/%00{0}
    /sessions/{0}%00.json /sessions/{0}%20 /sessions/%20{0} /sessions/{0}%0a /sessions/{0}%0d%0a /sessions/{0}%ff
    /sessions/{0}% /sessions/{0}%2 /sessions/{0}%u0000 /sessions/{0}%c0%af /sessions/{0}.json /sessions/{0}?
    /sessions/{0}?x=%00 /sessions/{0}?&&=& /sessions/{0}#x http://evil.example/sessions/{0}
    https://x:y@evil.example/sessions/{0} //evil.example/sessions/{0} /sessions/{0}%3f /sessions/{0}%23
    /sessions/%7b0%7d /sessions/* * /sessions/{0}{0}{0} /sessions/{0}/participants/../transcript
    /sessions/{0}/participants%2falice /sessions/{0}%2fparticipants /users/../sessions/{0} /users/me%2fsessions
    /users/me/../alice /users/alice%2f..%2fbob /users/%61lice /users/me;x /sessions/{0}/transcript;after=0
"""
PATHS = _PATHS.split()


async def test_odd_paths_bypass_no_check(target: Target) -> None:
    known = target.session_id.encode()
    for text in PATHS:
        path = text.format(target.session_id)
        alice, bob, nobody = [await target.get(path, user) for user in ("alice", "bob", "nobody")]
        assert alice.status in (200, 400, 404, 405, 422), path
        assert bob.status in (200, 400, 404, 405, 422), path
        assert nobody.status in (400, 401, 404, 405), path
        assert known not in bob.body.replace(path.encode(), b""), path
        assert known not in nobody.body, path
        if "sessions" in text.partition("?")[0] and "{0}" in text:
            assert (alice.status == 200) <= (bob.status == 404), path
            absent = await target.get(text.format("0" * 8 + target.session_id[8:]), "bob")
            assert (absent.status, absent.body) == (bob.status, bob.body), path


async def test_odd_paths_reach_no_admin_route(target: Target) -> None:
    prefixes = ["", "/", "//", "/docs/..", "/docs/%2e%2e", "/sessions/..", "/.", "/%2e", "/;x", "http://x", "//x"]
    names = ["health/queries", "applications", "applications%2F", "applications/%2e", "settings/../applications"]
    for prefix, name, end in itertools.product(prefixes, names, ("", "/", "//", "?", "#", "%00", ";x", "%20", "/.")):
        answers = [await target.get(f"{prefix}/{name}{end}", user) for user in ("bob", "nobody")]
        assert all(answer.status in (400, 401, 403, 404, 405, 422) for answer in answers), (prefix, name, end)


async def test_long_ids_are_refused(target: Target) -> None:
    for length in (255, 256, 1000, 10_000, 60_000):
        for unit in ("a", "%41", "%F0%9F%92%A9", "%00", "%2e%2e%2f", ";"):
            piece = unit * (length // len(unit))
            for path in (
                f"/sessions/{piece}",
                f"/sessions/{target.session_id}/participants/{piece}",
                f"/users/{piece}",
            ):
                answer = await target.get(path, "bob")
                assert answer.status in (404, 405, 422), (answer.status, unit, length)
    assert (await target.get("/sessions/" + "a" * 70_000, "bob")).status == 431


EVIL = [
    b"%0d%0aX-Evil: 1",
    b"\\r\\nX-Evil: 1",
    b"\x0bX-Evil: 1",
    b"\x85X-Evil: 1",
    "\u2028X-Evil: 1".encode(),
    b"\tX-Evil: 1",
]


async def test_values_never_become_response_headers(target: Target) -> None:
    names = (b"X-Request-ID", b"Origin", b"Accept", b"If-None-Match", b"Last-Event-ID", b"X-Forwarded-Host", b"Cookie")
    path = f"/sessions/{target.session_id}"
    for evil in EVIL:
        for name in names:
            answer = await target.get(path, "alice", name + b": a" + evil + b"\r\n")
            assert answer.status in (200, 304, 400), (name, evil)
            assert "x-evil" not in dict(answer.headers)
    for evil in ("%0d%0aX-Evil:%201", "%0d%0a%0d%0a<html>", "%0aX-Evil:1", "%E5%98%8A%E5%98%8DX-Evil:1"):
        for path in (f"/sessions/{evil}", f"/configs/{evil}", f"/none{evil}", f"/users/{evil}", f"/settings/{evil}"):
            answer = await target.get(path, "alice")
            assert answer.status in (404, 422)
            assert "x-evil" not in dict(answer.headers)
            assert answer.value("content-type") == "application/problem+json"


async def test_host_header_is_never_reflected(target: Target) -> None:
    path = f"/sessions/{target.session_id}".encode()
    for host in (
        b"evil.example",
        b"",
        b"x\\r\\nX-Evil: 1",
        b"x/../y",
        b"a" * 1000,
        b"[::1",
        b"x:99999",
        b"\xff",
        b"@x",
        b"x x",
    ):
        head = (
            b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n" + target.credentials["alice"]
        )
        answer = await target.send(head + b"\r\n")
        assert answer.status in (200, 400, 422), host
        assert not {"x-evil", "location"} & dict(answer.headers).keys()
        assert not host or host not in answer.body
    folded = (
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n X-Evil: 1\r\nConnection: close\r\n" + target.credentials["alice"]
    )
    assert (await target.send(folded + b"\r\n")).status in (200, 400)


async def test_compressed_body_is_refused_without_inflating(target: Target) -> None:
    bomb = gzip.compress(b" " * 70_000_000 + GOOD)
    assert len(bomb) < 100_000
    for coding, body in [
        (b"gzip", bomb),
        (b"gzip", GOOD),
        (b"x-gzip", bomb),
        (b"deflate", zlib.compress(GOOD)),
        (b"br", GOOD),
        (b"zstd", GOOD),
        (b"GZIP", bomb),
        (b"gzip, gzip", gzip.compress(bomb)),
        (b"identity, gzip", bomb),
        (b"identity\r\nContent-Encoding: gzip", bomb),
    ]:
        answer = await target.append("alice", body, b"Content-Encoding: " + coding + b"\r\n")
        assert (answer.status, json.loads(answer.body)["detail"]) == (415, "Send the body uncompressed"), coding
        assert answer.value("accept-encoding") == "identity"
    assert (await target.append("alice", bomb)).status == 422, "what does not say so is no JSON"
    for coding in (b"identity", b"Identity", b""):
        assert (await target.append("alice", GOOD, b"Content-Encoding: " + coding + b"\r\n")).status == 201
