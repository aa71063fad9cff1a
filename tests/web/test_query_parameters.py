"""Query parameters: those that a route does not take, repeated ones and empty ones are refused by name."""

from typing import Any

import httpx
import pytest
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from amplifier.api.routes import routes
from amplifier.web import query_parameters
from amplifier.web.authentication import authenticate
from amplifier.web.event_stream import authenticate_stream
from amplifier.web.query_parameters import taken
from amplifier.web.routing import JsonRoute
from tests.conftest import Api, assert_problem, settings_for

ROUTES = list(routes(settings_for("postgresql://x")).routes)
OPERATIONS = sorted(
    (handler.operation_id, method, route.path_format)
    for route in ROUTES
    if isinstance(route, HTTPRoute)
    for handler in route.route_handlers
    if isinstance(handler, JsonRoute) and handler.resolve_include_in_schema()
    for method in handler.http_methods
)


def handlers() -> dict[str, Any]:
    """Returns the handlers by their names."""
    found: list[HTTPRouteHandler | WebsocketRouteHandler] = []
    for route in ROUTES:
        if isinstance(route, HTTPRoute):
            found += route.route_handlers
        elif isinstance(route, WebSocketRoute):
            found.append(route.route_handler)
    return {str(handler.handler_name): handler for handler in found}


async def test_every_route_refuses_unknown_parameters(api: Api) -> None:
    client = await api.as_user("alice", "admin")
    for operation, method, path in OPERATIONS:
        url = path.replace("{version}", "1").replace("{seq}", "1").replace("{", "").replace("}", "")
        answer = await client.request(method, url, params={"limt": "5"}, json={} if method != "GET" else None)
        problem = assert_problem(answer, 422)
        assert problem["detail"].startswith("Unknown query parameter 'limt': this route takes "), operation
        assert problem["errors"] == [{"field": "limt", "detail": "Unknown query parameter 'limt'"}]


async def test_detail_lists_parameters_that_route_takes(alice: httpx.AsyncClient, session_id: str) -> None:
    named = assert_problem(await alice.get("/sessions", params={"limt": 1, "limit": 2, "x": 3}), 422)["detail"]
    assert named.startswith("Unknown query parameters 'limt', 'x': this route takes limit, cursor,")
    assert "tag" in named
    none = assert_problem(await alice.get(f"/sessions/{session_id}?x"), 422)["detail"]
    assert none == "Unknown query parameter 'x': this route takes no query parameters"
    many = assert_problem(await alice.get("/sessions", params={"x" * 200 + str(n): 1 for n in range(50)}), 422)
    assert len(many["errors"]) == 1, "long names are cut"
    assert len(many["detail"]) < 500


async def test_head_is_refused_as_get(alice: httpx.AsyncClient) -> None:
    assert (await alice.head("/sessions?limt=1")).status_code == 422
    assert (await alice.head("/sessions?limit=1")).status_code == 200
    assert (await alice.head("/health?x=1")).status_code == 422


@pytest.mark.parametrize("path", ["/sessions", "/events", "/configs/x"])
async def test_credentials_are_asked_for_before_parameters(api: Api, path: str) -> None:
    assert (await api.client().get(f"{path}?limt=1")).status_code == 401


async def test_options_and_pages_take_any_parameter(alice: httpx.AsyncClient) -> None:
    assert (await alice.options("/sessions?limt=1")).status_code == 204
    for path in ("/docs?x=1", "/openapi.json?x=1", "/docs/assets/docs.js?v=1"):
        assert (await alice.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/sessions?limit=1&limit=2", "/sessions?owned=true&owned=true", "/search?q=a&q=b"])
async def test_repeated_parameter_is_refused(alice: httpx.AsyncClient, path: str) -> None:
    name = path.rpartition("&")[2].partition("=")[0]
    problem = assert_problem(await alice.get(path), 422)
    assert problem["detail"] == f"Query parameter '{name}' is given more than once: give it once"
    assert [error["field"] for error in problem["errors"]] == [name]


async def test_filter_by_tag_may_be_repeated(alice: httpx.AsyncClient) -> None:
    assert (await alice.get("/sessions?tag=a:b&tag=c:d")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/sessions?limit=", "/sessions?limit", "/configs?tag=", "/audit?user_id=", "/events?ticket=x&after="],
)
async def test_empty_parameter_is_refused(api: Api, path: str) -> None:
    name = path.rpartition("?")[2].rpartition("&")[2].rstrip("=")
    answer = await (await api.as_user("alice", "admin")).get(path)
    if "ticket" in path:  # which is claimed first
        assert_problem(answer, 401)
        return
    detail = assert_problem(answer, 422)["detail"]
    assert detail == f"Query parameter '{name}' is empty: give it a value or leave it out"


async def test_empty_search_is_answered(alice: httpx.AsyncClient) -> None:
    assert (await alice.get("/search?q=")).json()["items"] == []


def test_parameters_of_sockets_are_those_of_streams() -> None:
    found = handlers()
    for socket, stream in (("session_socket", "follow_session"), ("hints_socket", "follow_sessions")):
        assert taken(found[socket]) == taken(found[stream])


def test_all_documented_routes_check_their_query() -> None:
    described = [one for one in handlers().values() if isinstance(one, JsonRoute) and one.resolve_include_in_schema()]
    assert len(described) == len({one[0] for one in OPERATIONS})
    hooks = {one.resolve_before_request() for one in described}
    assert hooks == {authenticate, authenticate_stream, query_parameters.check}
