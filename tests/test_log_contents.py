"""Logs of any level contain no credentials, tickets, tokens, search words or messages."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import websockets.exceptions
import websockets.sync.client

from tests.conftest import Api, assert_problem, token
from tests.support import llm
from tests.support.agents import model
from tests.support.llm import Stub
from tests.support.service import Service, command, running_service

CANARY = "canary"


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A stub of the models' APIs in a thread."""
    with llm.in_thread() as stub:
        yield stub


class Canaries:
    """Texts that no log may contain, by their kind."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def new(self, name: str) -> str:
        """Returns a new text to send."""
        return self.add(name, f"{CANARY}{secrets.token_hex(16)}")

    def add(self, name: str, text: str) -> str:
        """Adds a text that the service made."""
        self.known[name] = text
        return text

    def shown(self, output: str) -> list[str]:
        """Returns the kinds of texts that the output contains."""
        return [name for name, text in self.known.items() if text in output]


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_debug_log_shows_no_secret_and_no_content(dsn: str, stub: Stub, workers: str) -> None:
    canaries = Canaries()
    environ = {
        "DATABASE_URL": dsn,
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "json",
        "SERVICE_WORKERS": workers,
        "AUTH_REQUIRED": "true",
        "SECRET_KEY": canaries.new("SECRET_KEY"),
        "CONFIG_ENCRYPTION_KEY": canaries.new("CONFIG_ENCRYPTION_KEY"),
        "RUNTIME_BASE_URLS": stub.url,
        "RUNTIME_MODULES": "context-simple,loop-streaming,provider-openai",
    }
    made = command(environ, "applications", "create", "console", "--admin")
    [key] = [word for word in made.stdout.split() if word.startswith("app_") and len(word) > 40]
    canaries.add("the application's key", key)
    jwt = canaries.add("the user's token", token(environ["SECRET_KEY"], sub="mia"))
    headers = {"X-API-Key": key, "Authorization": f"Bearer {jwt}"}
    with running_service(environ) as service:
        with httpx.Client(base_url=service.url, headers=headers, timeout=30) as client:
            use(client, canaries, stub)
            use_streams(client, service, canaries)
        service.stop()
        output = service.output
    lines = [json.loads(line) for line in output.splitlines()]
    requests = {(line["method"], line["route"], line.get("status")) for line in lines if "method" in line}
    wanted = {("POST", "/sessions", 201), ("GET", "/search", 200), ("GET", "/events", 200), ("WEBSOCKET", "/ws", 101)}
    assert wanted <= requests
    assert canaries.shown(output) == []
    assert CANARY not in output


def use(client: httpx.Client, canaries: Canaries, stub: Stub) -> None:
    """Makes requests with such texts, some of which are refused."""
    provider = model(stub, api_key=canaries.new("a config's secret"))
    data = {"bundle": {"name": "b", "system_prompt": canaries.new("a system prompt")}, "providers": [provider]}
    config = client.post("/configs", json={"name": "n", "config_data": data}).json()["config_id"]
    session = f"/sessions/{client.post('/sessions', json={'config_id': config}).json()['session_id']}"
    said = {"messages": [{"role": "user", "content": canaries.new("a message")}]}
    for key in (canaries.new("an Idempotency-Key"), "x"):
        assert client.post(f"{session}/transcript", json=said, headers={"Idempotency-Key": key}).status_code == 201
    refused = {"messages": [{"role": 5, "content": canaries.new("a refused message")}]}
    assert client.post(f"{session}/transcript", json=refused).status_code == 422
    answer = client.post(f"{session}/messages", json={"message": canaries.new("a message to the agent")})
    assert answer.status_code == 200, answer.text
    with client.stream("POST", f"{session}/stream", json={"message": canaries.new("a streamed message")}) as stream:
        assert "done" in stream.read().decode()
    for path, name in (("/search", "q"), ("/sessions", "q"), (f"{session}/search", "q"), ("/search", "cursor")):
        client.get(path, params={"q": "x"} | {name: canaries.new(f"{name} of {path}")})
    client.put("/settings/key", json={"value": canaries.new("a setting")})
    invitation = client.post(f"{session}/invitations", json={"role": "viewer"}).json()["token"]
    canaries.add("an invitation", invitation)
    client.post("/invitations/accept", json={"token": invitation})
    for name in ("X-API-Key", "Authorization"):
        wrong = canaries.new(f"a wrong {name}")
        assert client.get("/configs", headers={name: f"Bearer {wrong}"}).status_code == 401
    assert client.get("/events", params={"ticket": canaries.new("a wrong ticket")}).status_code == 401


def use_streams(client: httpx.Client, service: Service, canaries: Canaries) -> None:
    """Opens streams and sockets with tickets and with credentials."""

    def ticket() -> str:
        return canaries.add(f"ticket {len(canaries.known)}", client.post("/events/ticket").json()["ticket"])

    with httpx.stream("GET", f"{service.url}/events", params={"ticket": ticket()}, timeout=30) as stream:
        assert stream.status_code == 200
    url = service.url.replace("http", "ws", 1)
    with websockets.sync.client.connect(f"{url}/ws?ticket={ticket()}") as socket:
        socket.send(json.dumps({"type": canaries.new("a frame")}))
        socket.recv(timeout=30)
    credentials = {name: client.headers[name] for name in ("X-API-Key", "Authorization")}
    with websockets.sync.client.connect(f"{url}/ws", additional_headers=credentials) as socket:
        socket.ping()
    with pytest.raises(websockets.exceptions.InvalidStatus):
        websockets.sync.client.connect(f"{url}/ws?ticket={canaries.new('a wrong ticket of a socket')}")


async def test_failing_statement_shows_no_row(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Callable[..., list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL's error has the row that a constraint refused; the log has only the constraint."""
    sql("alter table messages add constraint messages_of_an_operator_check check (message ->> 'content' <> 'canary')")
    body = {"messages": [{"role": "user", "content": "canary"}]}
    assert_problem(await alice.post(f"/sessions/{session_id}/transcript", json=body), 500)
    keyed = await alice.post(f"/sessions/{session_id}/transcript", json=body, headers={"Idempotency-Key": "x"})
    assert_problem(keyed, 500)
    assert "messages_of_an_operator_check" in caplog.text
    assert "canary" not in caplog.text
