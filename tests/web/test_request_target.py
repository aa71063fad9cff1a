"""Paths: over all routes, each means one thing to clients, proxies and the service."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import pytest
import websockets.exceptions

from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.live import live, origin_of

NO_ROUTE = "Not found: there is no such route"
NOT_TEXT = "The path and the query must be UTF-8, percent-encoded"
DATA = "select count(*) from sessions, configs, session_participants, applications"


class Wire:
    """Sends paths as they are written: clients would resolve them."""

    def __init__(self, url: str, credentials: dict[str, str]) -> None:
        self._host, _, self._port = origin_of(url).partition(":")
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in credentials.items())

    async def send(self, method: str, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: 0\r\n{self._fields}\r\n".encode("latin-1"))
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.fixture
async def wire(dsn: str, alice_session: str) -> AsyncIterator[Wire]:
    """Alice, through an admin application, who owns the session."""
    async with live(settings_for(dsn)) as service:
        alice = await service.as_user("alice", "admin")
        yield Wire(service.url, {name: alice.headers[name] for name in ("x-api-key", "authorization")})


@pytest.fixture
async def alice_session(api: Api) -> str:
    """The id of a session of alice's, in which dave takes part."""
    alice = await api.as_user("alice")
    config = (await alice.post("/configs", json={"name": "n", "config_data": {"bundle": {"name": "b"}}})).json()
    session = (await alice.post("/sessions", json={"config_id": config["config_id"]})).json()["session_id"]
    await alice.post(f"/sessions/{session}/participants", json={"user_id": "dave", "role": "viewer"})
    return str(session)


def routes(api: Any, session_id: str) -> list[tuple[str, str]]:
    """Each method and path of the route table, with ids of what there is where a test needs it."""
    found = []
    for route in api.app.routes:
        path = route.path_format.replace("{session_id}", session_id).replace("{user_id}", "dave")
        path = path.replace("{version}", "1").replace("{seq}", "1")
        methods = sorted(getattr(route, "methods", set()) - {"OPTIONS"})
        found += [(method, re.sub(r"{\w+}", "some-id", path)) for method in methods]
    return found


async def test_empty_and_dot_segments_lead_to_no_route(
    api: Api, wire: Wire, alice_session: str, sql: Callable[..., list[Any]]
) -> None:
    before = sql(DATA)
    for method, path in routes(api, alice_session):
        if path == "/":
            continue
        segments = path.split("/")
        places = range(1, len(segments) + 1)
        for inserted, place in itertools.product(("", ".", "..", "%2e", "%2E%2e", ".%2E"), places):
            odd = "/".join([*segments[:place], inserted, *segments[place:]])
            if inserted == "" and place == len(segments):  # one slash at the end is the same path
                continue
            status, body = await wire.send(method, odd)
            assert status == 404, (method, odd, body)
            assert NO_ROUTE.encode() in body
        assert (await wire.send(method, f"{path}//"))[0] == 404, (method, path)
    assert sql(DATA) == before


async def test_trailing_slash_changes_nothing(api: Api, alice_session: str) -> None:
    admin = await api.as_user("alice", "admin")
    for method, path in routes(api, alice_session):
        if method != "GET" or path in ("/", "/events", f"/sessions/{alice_session}/events", "/health"):
            continue
        plain, slashed = [await admin.get(one) for one in (path, f"{path}/")]
        assert (slashed.status_code, slashed.content) == (plain.status_code, plain.content), path


async def test_parameters_are_never_empty(api: Api, wire: Wire, alice_session: str) -> None:
    """A client that leaves one out reaches the collection, where no such method is, or nothing."""
    for route in api.app.routes:
        for method in sorted(getattr(route, "methods", set()) - {"OPTIONS", "GET", "HEAD"}):
            if route.path_format.endswith("}"):
                path = route.path_format.rpartition("{")[0].replace("{session_id}", alice_session)
                path = re.sub(r"{\w+}", "some-id", path)
                assert (await wire.send(method, path))[0] in (404, 405), (method, path)


async def test_encoded_slashes_separate_nothing(
    api: Api, wire: Wire, alice_session: str, sql: Callable[..., list[Any]]
) -> None:
    before = sql(DATA)
    for method, path in routes(api, alice_session):
        encoded = "/" + quote(path[1:], safe="")
        if encoded != path:
            status, body = await wire.send(method, encoded)
            assert status in (404, 405), (method, encoded, body)
    for path in (f"/sessions/{alice_session}%2Fparticipants%2Fdave", f"/sessions/x%2F..%2F{alice_session}"):
        assert (await wire.send("DELETE", path))[0] == 404
    assert sql(DATA) == before


@pytest.mark.parametrize("name", ["a/b", "/", "a//b", "/a/", "a%2Fb", "a b", "é", "a\ufffd"])
async def test_identifiers_with_slashes_are_reached(api: Api, name: str) -> None:
    admin = await api.as_user("alice", "admin")
    path = f"/settings/{quote(name, safe='')}"
    assert (await admin.put(path, json={"value": 1})).json()["key"] == name
    for _ in range(2):  # the router remembers paths
        assert (await admin.get(f"{path}/")).json()["key"] == name
    assert (await admin.delete(path)).status_code == 204
    assert_problem(await admin.get(path), 404, "Setting not found")
    other = await api.as_user(name)
    assert (await other.get(f"/users/{quote(name, safe='')}")).json()["user_id"] == name


INVALID = ["%ff", "a%80", "%c0%af", "%ed%a0%80", "%f5%80%80%80", "%e2%82"]


@pytest.mark.parametrize("invalid", INVALID)
async def test_paths_and_queries_that_are_not_utf8_are_refused(
    api: Api, wire: Wire, alice_session: str, invalid: str
) -> None:
    for method, path in routes(api, alice_session):
        for odd in (f"{path.rstrip('/')}/{invalid}", f"{path}?x={invalid}", f"{path}?{invalid}=x"):
            status, body = await wire.send(method, odd)
            assert status == 400, (method, odd)
            assert NOT_TEXT.encode() in body


async def test_different_setting_keys_stay_different(api: Api) -> None:
    """Bytes that are no text were replaced, all by the same character."""
    admin = await api.as_user("alice", "admin")
    assert_problem(await admin.put("/settings/key-%ff", json={"value": 1}), 400, NOT_TEXT)
    assert (await admin.put("/settings/key-%EF%BF%BD", json={"value": 2})).json()["key"] == "key-\ufffd"
    assert_problem(await admin.get("/settings/key-%fe"), 400, NOT_TEXT)


async def test_refused_paths_are_answered_like_any_error(dsn: str) -> None:
    """With the request's id and what browsers need."""
    async with serving(settings_for(dsn, allowed_origins="https://page.example")) as api:
        client = api.client({"Origin": "https://page.example", "X-Request-ID": "mine"})
        for path, status, detail in (("/configs/%ff", 400, NOT_TEXT), ("/configs//x", 404, NO_ROUTE)):
            answer = await client.get(path)
            assert_problem(answer, status, detail)
            assert answer.headers["access-control-allow-origin"] == "https://page.example"
            assert answer.headers["x-request-id"] == "mine"


async def test_websockets_refuse_dot_segments(dsn: str, alice_session: str) -> None:
    async with live(settings_for(dsn)) as service:
        alice = await service.as_user("alice", "another-app")
        for path, status in (
            (f"//sessions/{alice_session}/ws", 404),
            (f"/sessions/{alice_session}%2Fx/ws", 404),
            (f"/sessions/{alice_session}/ws?x=%ff", 400),
        ):
            with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
                async with service.socket(alice, path):
                    pass
            assert refused.value.response.status_code == status, path


async def test_links_to_next_page_keep_encoded_slashes(api: Api, sql: Callable[..., list[Any]]) -> None:
    name = "https://id.example/u"
    user = await api.as_user(name)
    config = (await user.post("/configs", json={"name": "n", "config_data": {"bundle": {"name": "b"}}})).json()
    for _ in range(3):
        await user.post("/sessions", json={"config_id": config["config_id"]})
    url, pages = f"/users/{quote(name, safe='')}/sessions?limit=1", 0
    while url:
        answer = await user.get(url)
        assert answer.status_code == 200, url
        pages, url = pages + 1, answer.links.get("next", {}).get("url", "")
    assert pages == 3
