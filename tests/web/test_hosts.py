"""Allowed hosts, and foreign pages while authentication is off."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import websockets.exceptions
from litestar.routes import HTTPRoute

from amplifier.web.authentication import authenticate
from amplifier.web.event_stream import authenticate_stream
from amplifier.web.hosts import gate
from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for
from tests.support.live import Live, live

FOREIGN_HOST = "The service does not answer to this Host: call it as localhost, or add the host to ALLOWED_HOSTS"
FOREIGN_PAGE = "Pages of this origin may not do this: add the origin to ALLOWED_ORIGINS"
EVIL = ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:8765"]
EVIL += ["[::]", "192.168.0.7", "localhost.", "xlocalhost"]
MALFORMED = ["127.0.0.1@evil.example", "localhost:x", "[::1", "::1", "", "localhost, evil.example", "localhost/../x"]


@pytest.fixture
async def open_api(dsn: str) -> AsyncIterator[Api]:
    """The application with authentication off."""
    async with serving(settings_for(dsn, auth_required=False, allowed_origins="https://page.example")) as api:
        yield api


def plain(api: Api, host: str = "localhost") -> httpx.AsyncClient:
    """A client whose answers are not compared with the document: it tells of these refusals for all operations."""
    transport = httpx.ASGITransport(app=api.app)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"Host": host})


async def new_session(api: Api) -> str:
    """The path of a session."""
    config = (await api.client().post("/configs", json=CONFIG)).json()["config_id"]
    return f"/sessions/{(await api.client().post('/sessions', json={'config_id': config})).json()['session_id']}"


def guarded(api: Api, *methods: str) -> list[tuple[str, str]]:
    """The routes that are not public."""
    return [
        (method, route.path_format.replace("{version}", "1").replace("{seq}", "1"))
        for route in api.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_before_request() in (authenticate, authenticate_stream)
        for method in sorted(str(one) for one in handler.http_methods)
        if method in methods
    ]


async def test_foreign_hosts_reach_no_route_without_authentication(open_api: Api) -> None:
    found = guarded(open_api, "GET", "POST", "PUT", "PATCH", "DELETE")
    assert len(found) > 50
    for method, path in found:
        answer = await plain(open_api, "evil.example:8765").request(method, path)
        assert_problem(answer, 421, FOREIGN_HOST)
    for host in EVIL:
        assert_problem(await plain(open_api, host).get("/configs"), 421, FOREIGN_HOST)
    for host in MALFORMED:
        assert (await plain(open_api, host).get("/configs")).status_code in (421, 422), host


async def test_own_hosts_are_answered_on_any_port(dsn: str) -> None:
    named = {"service_host": "box.local", "allowed_hosts": "api, Build.example,fe80::7"}
    async with serving(settings_for(dsn, auth_required=False, **named)) as api:
        for host in ("localhost", "127.0.0.1", "[::1]", "box.local", "api", "build.example", "[fe80::7]", "LOCALHOST"):
            for port in ("", ":8765", ":1"):
                assert (await plain(api, host + port).get("/configs")).status_code == 200, host
        assert_problem(await plain(api, "other").get("/configs"), 421, FOREIGN_HOST)


async def test_probes_reach_health_by_any_host(open_api: Api) -> None:
    for host in EVIL:
        for path in ("/health", "/version", "/"):
            assert (await plain(open_api, host).get(path)).status_code == 200


def test_unspecified_address_is_not_an_allowed_host() -> None:
    for address in ("0.0.0.0", "::"):
        found = gate(settings_for("postgresql://x/y", auth_required=False, service_host=address))
        assert found is not None
        assert found._hosts == {"localhost", "127.0.0.1", "[::1]"}


async def test_any_host_is_answered_if_operator_allows(dsn: str, api: Api) -> None:
    assert (await plain(api, "evil.example").get("/configs")).status_code == 401, "authentication is on"
    async with serving(settings_for(dsn, auth_required=False, allowed_hosts="*")) as open_api:
        assert (await plain(open_api, "evil.example").get("/configs")).status_code == 200
        refused = await plain(open_api).post("/sessions/x/resume", headers={"Origin": "http://evil.example"})
        assert_problem(refused, 403, FOREIGN_PAGE)
    async with serving(settings_for(dsn, allowed_hosts="api.example")) as named:
        assert_problem(await plain(named, "evil.example").get("/configs"), 421, FOREIGN_HOST)
        assert (await plain(named, "api.example").get("/configs")).status_code == 401


PAGES: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://127.0.0.1:8765"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("page", PAGES)
async def test_foreign_pages_change_nothing(open_api: Api, sql: Callable[..., list[Any]], page: dict[str, str]) -> None:
    session = await new_session(open_api)
    before = sql("select count(*) from audit_log, stream_tickets")
    client = plain(open_api, "localhost:8765")
    for method, path in guarded(open_api, "POST", "PUT", "PATCH", "DELETE"):
        path = path.replace("/sessions/{session_id}", session)
        assert_problem(await client.request(method, path, headers=page), 403, FOREIGN_PAGE)
    for stream in ("/events", f"{session}/events"):
        assert_problem(await client.get(stream, headers=page), 403, FOREIGN_PAGE)
    assert sql("select count(*) from audit_log, stream_tickets") == before
    assert (await client.get(session, headers=page)).status_code == 200, "reading: browsers show it to no foreign page"


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"Origin": "http://localhost:8765", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://localhost:8765"},
        {"Origin": "https://page.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_own_and_allowed_pages_may_change(open_api: Api, page: dict[str, str]) -> None:
    session = await new_session(open_api)
    client = plain(open_api, "localhost:8765")
    assert (await client.post(f"{session}/resume", headers=page)).status_code == 200
    assert (await client.post("/configs", json=CONFIG, headers=page)).status_code == 201


async def test_pages_are_not_checked_with_authentication(api: Api) -> None:
    """Credentials are headers, which no browser sends by itself."""
    alice = await api.as_user("alice")
    assert (await alice.post("/configs", json=CONFIG, headers=PAGES[0])).status_code == 201


@pytest.fixture
async def open_live(dsn: str) -> AsyncIterator[Live]:
    """The same over the network."""
    async with live(settings_for(dsn, auth_required=False)) as service:
        yield service


async def test_foreign_pages_and_hosts_open_no_socket(open_live: Live) -> None:
    client, session = open_live.client(), await new_session(open_live)
    for path in ("/ws", f"{session}/ws"):
        async with open_live.socket(client, path):
            pass
        for headers, status in (
            ({"Origin": "http://evil.example"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Host": "evil.example"}, 421),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ):
            with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
                async with open_live.socket(client, path, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status, headers


async def test_ticket_is_refused_under_foreign_host(open_live: Live) -> None:
    """The Host is checked where a ticket is used, too."""
    ticket = (await open_live.client().post("/events/ticket")).json()["ticket"]
    async with httpx.AsyncClient(base_url=open_live.url) as client:
        refused = await client.get(f"/events?ticket={ticket}", headers={"Host": "evil.example"})
        assert_problem(refused, 421, FOREIGN_HOST)
