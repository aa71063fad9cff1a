"""The access log: a line for each request, with its route, caller and times, and never its path or query."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from amplifier.telemetry.access_log import AccessLog
from amplifier.telemetry.log_lines import as_json, as_text
from tests.conftest import Api, settings_for
from tests.support.live import Live, live, until

Line = dict[str, Any]


class Lines(list[Line]):
    """The lines of an access log, decoded."""

    def add(self, line: bytes) -> None:
        """Adds a line as the log receives it."""
        assert line.count(b"\n") == 1
        self.append(msgspec.json.decode(line))


def observed(api: Api, monkeypatch: pytest.MonkeyPatch, level: int = logging.INFO) -> Lines:
    """Returns the lines that the application writes from now on."""
    lines = Lines()
    monkeypatch.setattr(api.app, "observers", [AccessLog(lines.add, as_json, level)])
    return lines


@pytest.fixture
def lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The lines of the application."""
    return observed(api, monkeypatch)


@pytest.fixture
async def served(dsn: str) -> AsyncIterator[Live]:
    """The application on a port."""
    async with live(settings_for(dsn)) as server:
        yield server


async def test_line_has_route_caller_and_times(alice: httpx.AsyncClient, session_id: str, lines: Lines) -> None:
    await alice.get("/users/me")  # the caller is known then, also if the fixtures took long
    lines.clear()
    answer = await alice.get(f"/sessions/{session_id}", headers={"X-Request-ID": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    [line] = lines
    assert line["time"].endswith("Z")
    assert 0 < line.pop("query_milliseconds") < line.pop("milliseconds")
    del line["time"]
    assert line == {
        "level": "info",
        "logger": "amplifier.access",
        "message": "GET /sessions/{session_id} 200",
        "method": "GET",
        "route": "/sessions/{session_id}",
        "status": 200,
        "queries": 1,
        "request_id": "mine",
        "app_id": "app",
        "user_id": "alice",
        "session_id": session_id,
        "address": "127.0.0.1",
    }


async def test_line_of_an_acting_application_says_so(api: Api, alice: httpx.AsyncClient, lines: Lines) -> None:
    await (await api.as_user("root", "admin")).patch("/applications/app", json={"act_as": True})
    await api.client({"X-API-Key": api.keys["app"], "X-User-ID": "mia"}).get("/users/me")
    await alice.get("/users/me")
    assert [(line["user_id"], line.get("acted_as")) for line in lines[1:]] == [("mia", True), ("alice", None)]


async def test_lines_show_neither_path_nor_query(api: Api, alice: httpx.AsyncClient, lines: Lines) -> None:
    for path in ("/search?q=canary", "/canary", "/sessions?canary=1", "/sessions/%ff?x=canary", "/sessions//canary"):
        await alice.get(path)
    await api.client().post("/sessions", content=b"canary")
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/search", 200),
        ("none", 404),
        ("/sessions", 422),
        ("none", 400),
        ("none", 404),
        ("/sessions", 401),
    ]
    assert "canary" not in str(lines)


async def test_head_is_named(alice: httpx.AsyncClient, session_id: str, lines: Lines) -> None:
    await alice.head(f"/sessions/{session_id}")
    assert [line["method"] for line in lines] == ["HEAD"]


async def test_line_breaks_in_ids_stay_within_the_line(alice: httpx.AsyncClient, lines: Lines) -> None:
    await alice.get("/sessions/a%0Ab%1B%C2%9B%E2%80%A8")
    [line] = lines
    assert line["session_id"] == "a\nb\x1b\\x9b\\u2028"
    assert as_text(line | {"message": "x"}).count(b"\n") == 0


async def test_long_id_is_cut(alice: httpx.AsyncClient, lines: Lines) -> None:
    await alice.get(f"/sessions/{'a' * 5000}")
    assert [len(line["session_id"]) for line in lines] == [255]


@pytest.mark.parametrize(("level", "shown"), [(logging.DEBUG, 1), (logging.INFO, 0)])
async def test_probes_are_logged_at_debug_only(
    api: Api, monkeypatch: pytest.MonkeyPatch, level: int, shown: int
) -> None:
    lines = observed(api, monkeypatch, level)
    await api.client().get("/health")
    assert len(lines) == shown


async def test_quiet_level_shows_faults_of_the_service_only(
    api: Api, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = observed(api, monkeypatch, logging.WARNING)
    assert (await alice.get("/sessions/nobodys")).status_code == 404
    with monkeypatch.context() as broken:
        broken.setattr(api.app.state.queries.database, "fetchrow", None)
        assert (await alice.get("/sessions/nobodys")).status_code == 500
    assert [(line["level"], line["status"]) for line in lines] == [("warning", 500)]


async def test_streams_are_logged_when_they_begin_and_end(served: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await served.as_user("alice")
    lines = observed(served, monkeypatch)
    async with served.stream(client, "/events"):
        await until(lambda: lines)
    async with served.socket(client, "/ws"):
        await until(lambda: len(lines) >= 3)
    await until(lambda: len(lines) == 4)
    assert [line["message"] for line in lines] == [
        "GET /events opened",
        "GET /events 200",
        "WEBSOCKET /ws opened",
        "WEBSOCKET /ws 101",
    ]
    assert [("seconds" in line, "milliseconds" in line) for line in lines] == [(False, False), (True, False)] * 2
    assert lines[0]["request_id"] == lines[1]["request_id"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense canary\r\n\r\n", 400),
        (b"GET /canary HTTP/1.1\r\nHost: x\r\nX: " + b"c" * 70_000 + b"\r\n\r\n", 431),
        (
            b"GET /ws?ticket=canary HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 5\r\n\r\n",
            400,
        ),
    ],
)
async def test_requests_that_the_protocol_refuses_are_logged(
    served: Live, monkeypatch: pytest.MonkeyPatch, data: bytes, status: int
) -> None:
    lines = observed(served, monkeypatch)
    host, port = urlsplit(served.url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    assert f" {status} ".encode() in await reader.readline()
    writer.close()
    await until(lambda: lines)
    assert [(line["route"], line["status"], line["address"]) for line in lines] == [("none", status, "127.0.0.1")]
    assert "canary" not in str(lines)
