"""`amplifier-api mcp` as clients start it: over stdin and stdout, to a running service."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from mcp import StdioServerParameters
from mcp.client import Client

from tests.support.mcp import called, resource
from tests.support.service import _environment, command, running_service

pytestmark = pytest.mark.slow
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "search", "arguments": {}}}


def bridged(url: str, *messages: Any, **environ: str) -> list[Any]:
    """Returns what the command writes for these messages, in the order of their ids."""
    lines = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in messages)
    done = subprocess.run(
        [sys.executable, "-m", "amplifier", "mcp", "--url", url],
        env=_environment(environ),
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return sorted(map(json.loads, done.stdout.splitlines()), key=lambda answer: answer["id"] or 0)


@contextlib.contextmanager
def service_that_answers(status: int, body: str, media_type: str) -> Iterator[tuple[str, list[Any]]]:
    """Yields the address of a server with one answer, and the headers of the requests that it got."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.headers)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Writes nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_client_uses_tools_and_resources(dsn: str, mode: str) -> None:
    with running_service({"DATABASE_URL": dsn}) as service:
        async with httpx.AsyncClient(base_url=service.url) as http:
            body = {"name": "n", "config_data": {"bundle": {"name": "b"}}}
            config_id = (await http.post("/configs", json=body)).json()["config_id"]
            session_id = (await http.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        environ = _environment({"AMPLIFIER_URL": service.url})
        program = StdioServerParameters(command=sys.executable, args=["-m", "amplifier", "mcp"], env=environ)
        async with Client(program, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 4
            await called(client, "append_note", session_id=session_id, text="The färry leaves at nine")
            [hit] = (await called(client, "search", query="färry"))["items"]
            assert (hit["session_id"], hit["seq"]) == (session_id, 1)
            assert "färry" in await resource(client, f"session://{session_id}")


def test_credentials_and_version_are_sent() -> None:
    agreed = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-11-25"}})
    with service_that_answers(200, agreed, "application/json") as (url, received):
        environ = {"AMPLIFIER_API_KEY": "key", "AMPLIFIER_TOKEN": "token", "AMPLIFIER_USER_ID": "zoë"}
        assert bridged(url, {"jsonrpc": "2.0", "id": 1, "method": "initialize"}, **environ) == [json.loads(agreed)]
        meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
        read = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "session://ä"} | meta}
        bridged(url, read, AMPLIFIER_API_KEY="key", API_KEY_HEADER="X-Other")
    first, second = received
    assert (first["x-api-key"], first["authorization"], first["x-user-id"]) == ("key", "Bearer token", "zoÃ«")
    assert first["mcp-protocol-version"] is None
    assert (second["x-other"], second["mcp-protocol-version"]) == ("key", "2026-07-28")
    assert (second["mcp-method"], second["mcp-name"]) == ("resources/read", "=?base64?c2Vzc2lvbjovL8Ok?=")


def test_failures_say_what_to_do() -> None:
    problem = json.dumps({"status": 401, "detail": "Missing X-API-Key header"})
    said = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    with service_that_answers(401, problem, "application/problem+json") as (url, _):
        odd, refused = bridged(url, "no JSON", said, CALL)
    assert odd["error"]["code"] == -32700
    assert refused["error"]["message"] == f"Missing X-API-Key header (HTTP 401 of {url}/mcp)"
    with service_that_answers(404, "<html>", "text/html") as (url, _):
        [elsewhere] = bridged(url, CALL)
    assert "is this the address of the service?" in elsewhere["error"]["message"]
    [nobody] = bridged("http://127.0.0.1:9", CALL)
    assert nobody["error"]["message"].startswith("The service at http://127.0.0.1:9/mcp does not answer")
    assert nobody["error"]["message"].endswith("start it, or set AMPLIFIER_URL")
    several = command({"AMPLIFIER_API_KEY": "a\nb"}, "mcp")
    assert (several.returncode, "must be one line each" in several.stderr) == (1, True)
    wrong = command({"AMPLIFIER_URL": "localhost:8765"}, "mcp")
    assert (wrong.returncode, "must be the address of a service" in wrong.stderr) == (1, True)
