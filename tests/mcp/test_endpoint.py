"""POST /mcp: credentials, limits and errors are those of the API, and the package is loaded for it only."""

import asyncio
import subprocess
import sys
from typing import Any

import httpx
import pytest

from amplifier.mcp import tools
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.mcp import connected, refused

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def test_message_gets_json(alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/mcp", json=PING, headers=ACCEPT)
    assert (answer.status_code, answer.json()) == (200, {"jsonrpc": "2.0", "id": 1, "result": {}})
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert "mcp-session-id" not in answer.headers
    said = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await alice.post("/mcp", json=said, headers=ACCEPT)).status_code == 202


async def test_credentials_are_demanded(api: Api) -> None:
    answer = await api.client().post("/mcp", json=PING, headers=ACCEPT)
    assert_problem(answer, 401, "Missing X-API-Key header")
    assert answer.headers["www-authenticate"]


async def test_application_key_is_taken_as_bearer_token(api: Api, session_id: str) -> None:
    admin = await api.as_user("root", "admin")
    key = (await admin.post("/applications", json={"app_id": "desk", "app_name": "D", "act_as": True})).json()[
        "api_key"
    ]
    client = api.client({"Authorization": f"Bearer {key}", **ACCEPT})
    params = {"name": "append_note", "arguments": {"session_id": session_id, "text": "Hello"}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    for user_id, fails in {"alice": False, "bob": True}.items():
        answer = await client.post("/mcp", json=call, headers={"X-User-ID": user_id})
        assert answer.json()["result"].get("isError", False) is fails
    assert_problem(await client.post("/mcp", json=call), 401)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_are_no_streams_and_no_sessions(alice: httpx.AsyncClient, method: str) -> None:
    assert_problem(await alice.request(method, "/mcp", headers=ACCEPT), 405)


async def test_other_content_is_refused(alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/mcp", content="{}", headers=ACCEPT | {"Content-Type": "text/plain"})
    assert_problem(answer, 415, "Send the body as Content-Type: application/json")
    assert_problem(await alice.post("/mcp?a=1", json=PING, headers=ACCEPT), 422)


async def test_large_body_is_refused(alice: httpx.AsyncClient) -> None:
    large = PING | {"params": {"_meta": {"a": "a" * 8 * 1024 * 1024}}}
    assert_problem(await alice.post("/mcp", json=large, headers=ACCEPT), 413)


async def test_foreign_host_is_refused(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_required=False)) as api:
        answer = await api.client().post("/mcp", json=PING, headers=ACCEPT | {"Host": "evil.example"})
    assert_problem(answer, 421)


async def test_each_message_counts_as_a_request(dsn: str) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=2)) as api:
        alice = await api.as_user("alice")
        statuses = [(await alice.post("/mcp", json=PING, headers=ACCEPT)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


async def test_calls_at_once_get_their_own_answers(api: Api) -> None:
    people = [await api.as_user(f"user-{number}") for number in range(8)]
    calls = [one.post("/mcp", json=PING | {"id": number}, headers=ACCEPT) for number, one in enumerate(people)]
    assert [answer.json()["id"] for answer in await asyncio.gather(*calls)] == list(range(8))


async def test_unexpected_error_says_nothing_of_its_cause(
    api: Api, session_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: Any) -> Any:
        raise RuntimeError("relation users")

    broken = tools.TOOLS[0]._replace(run=fail)
    async with connected(api, "alice") as client:
        monkeypatch.setitem(sys.modules["amplifier.mcp.server"].__dict__["_TOOLS"], "search", broken)
        text = await refused(client, "search", query="canary-4711")
    assert text.startswith("Internal server error. Report it with the request_id. request_id: ")
    assert f"request {text.rpartition(' ')[2]} failed" in caplog.text
    assert "canary-4711" not in caplog.text


async def test_missing_package_is_named(alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp_types", None)
    monkeypatch.delitem(sys.modules, "amplifier.mcp.server", raising=False)
    problem = assert_problem(await alice.post("/mcp", json=PING, headers=ACCEPT), 501)
    assert "pip install 'amplifier-api[mcp]'" in problem["detail"]


@pytest.mark.slow
def test_package_is_loaded_for_its_route_only() -> None:
    code = (
        "import sys, uvicorn, amplifier.server.app\n"
        "assert not {'mcp', 'mcp_types', 'starlette', 'pydantic'} & sys.modules.keys()\n"
        "handle_exit = uvicorn.Server.handle_exit\n"
        "import amplifier.mcp.endpoint as e; e.load()\n"
        "assert 'mcp' in sys.modules\n"
        "assert uvicorn.Server.handle_exit is handle_exit\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
