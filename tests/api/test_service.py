"""The public routes, request ids, CORS and the description of the API."""

import re

import httpx

from amplifier import __version__
from tests.conftest import Api, assert_problem, serving, settings_for


async def test_public_routes_need_no_credentials(api: Api) -> None:
    anonymous = api.client()
    root = (await anonymous.get("/")).json()
    assert root.keys() == {"service", "version", "description", "docs", "health", "console"}
    assert (root["docs"], root["health"], root["console"]) == ("/docs", "/health", "/console")
    health = (await anonymous.get("/health")).json()
    assert (health["status"], health["version"], health["database_connected"]) == ("healthy", __version__, True)
    assert health["uptime"] >= 0
    versions = (await anonymous.get("/version")).json()
    assert versions.keys() == {"service_version", "amplifier_core_version", "amplifier_foundation_version"}
    assert versions["service_version"] == __version__
    for path in ("/docs", "/redoc"):
        page = await anonymous.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")


async def test_openapi_document_names_every_route(api: Api) -> None:
    document = (await api.client().get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert ("POST", "/sessions/{session_id}/transcript") in operations
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", identifier) for identifier in ids)


async def test_trailing_slash(alice: httpx.AsyncClient, session_id: str) -> None:
    for path in ("/health", "/sessions", f"/sessions/{session_id}", f"/sessions/{session_id}/transcript"):
        assert (await alice.get(f"{path}/")).status_code == (await alice.get(path)).status_code == 200


async def test_unknown_routes_and_methods_are_problems(alice: httpx.AsyncClient) -> None:
    assert_problem(await alice.get("/nope"), 404)
    assert_problem(await alice.request("DELETE", "/sessions"), 405)


async def test_every_response_has_a_request_id(api: Api, alice: httpx.AsyncClient) -> None:
    for path in ("/health", "/nope", "/sessions/unknown", "/docs"):
        given = await alice.get(path, headers={"X-Request-ID": "trace-1.a_B"})
        assert given.headers["x-request-id"] == "trace-1.a_B"
        for malformed in ("", "a b", "x" * 129, "ä"):
            response = await alice.get(path, headers={"X-Request-ID": malformed.encode()})
            assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])
    anonymous = await api.client().get("/sessions")
    assert anonymous.status_code == 401
    assert len(anonymous.headers["x-request-id"]) == 32


async def test_cors(dsn: str) -> None:
    origin = {"Origin": "https://app.example"}
    preflight = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    async with serving(settings_for(dsn, allowed_origins="https://app.example, https://b.example")) as api:
        anonymous = api.client()
        allowed = await anonymous.options("/sessions", headers=preflight)
        assert allowed.is_success
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        for path, status in (("/health", 200), ("/sessions", 401), ("/nope", 404)):
            response = await anonymous.get(path, headers=origin)
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == "https://app.example"
            assert "x-request-id" in response.headers
        foreign = await anonymous.get("/health", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers
    async with serving(settings_for(dsn)) as api:
        assert "access-control-allow-origin" not in (await api.client().get("/health", headers=origin)).headers
