"""Requests that are answered without Litestar's own layers, compared with the same requests through these."""

from typing import Any

import httpx
import pytest

from amplifier.server.app import create_app
from amplifier.web import dispatch
from tests.conftest import Api, settings_for

REQUESTS = [  # method, path, options of the client
    ("GET", "/sessions/{id}", {}),
    ("GET", "/sessions/{id}", {"headers": {"If-None-Match": "*"}}),
    ("GET", "/sessions/nowhere", {}),
    ("HEAD", "/sessions/{id}", {}),
    ("GET", "/sessions/{id}", {"headers": {"Authorization": "Bearer x"}}),
    ("GET", "/sessions/{id}?x=1", {}),
    ("GET", "/sessions/{id}/transcript?limit=2", {}),
    ("GET", "/sessions/{id}/transcript?limit=x", {}),
    ("GET", "/sessions/{id}/transcript?limit=", {}),
    ("GET", "/sessions/{id}/transcript/1", {}),
    ("GET", "/sessions/{id}/transcript/x", {}),
    ("GET", "/sessions/a%2Fb%25c", {}),
    ("POST", "/sessions/{id}/transcript", {"json": {"messages": []}}),
    ("POST", "/sessions/{id}/transcript", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    ("POST", "/sessions/{id}/transcript", {"content": b"x"}),
    ("PATCH", "/sessions/{id}", {"json": {"title": 1}}),
    ("PATCH", "/sessions/{id}", {"json": {"title": "t"}, "headers": {"If-Match": '"99"'}}),
    ("DELETE", "/sessions/nowhere", {}),
    ("PUT", "/sessions/{id}", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/health/live", {}),
]


def same(response: Any) -> Any:
    """Returns what must not depend on the way that a request takes."""
    headers = {name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")}
    return response.status_code, headers, response.content


async def test_answers_are_those_of_litestar(
    api: Api, alice: httpx.AsyncClient, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.post(f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user"}] * 3})
    for method, path, options in REQUESTS:
        answers = []
        for known in (None, {}):
            monkeypatch.setattr(api.app, "_endpoints", known)
            answers.append(same(await alice.request(method, path.replace("{id}", session_id), **options)))
        assert answers[0] == answers[1], (method, path, options)


@pytest.fixture(scope="module")
def app() -> Any:
    """An application, which is not started."""
    return create_app(settings_for("postgresql://nobody@127.0.0.1:1/none"), "")


def is_found(
    app: Any, path: str, method: str = "GET", host: bytes = b"localhost:8765", more: Any = (), **members: str
) -> bool:
    """Returns whether a request is dispatched."""
    scope = {"type": "http", "path": path, "method": method, "headers": [(b"host", host), *more], **members}
    return dispatch.find(app, dispatch.endpoints(app), scope) is not None


def test_ordinary_requests_are_dispatched(app: Any) -> None:
    assert all(is_found(app, path) for path in ("/sessions/x", "/sessions/x/transcript", "/health", "/configs/x"))
    assert is_found(app, "/sessions", "POST")


def test_other_requests_are_left_to_litestar(app: Any) -> None:
    assert not any(is_found(app, path) for path in ("/", "/sessions/x/", "/sessions//x", "/nowhere"))
    assert not any(
        is_found(app, "/sessions/x", host=host) for host in (b"", b"a b", b"a/b", b"a:", b"a:999999", b"a@b")
    )
    assert not any(is_found(app, "/sessions/x", method) for method in ("OPTIONS", "PUT"))
    assert not is_found(app, "/sessions/x", root_path="/root")


def test_page_of_another_origin_is_left_to_litestar_where_pages_may_ask(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = [(b"origin", b"https://a.example")]
    assert is_found(app, "/sessions/x", more=origin)
    monkeypatch.setattr(app, "cors_config", object())
    assert not is_found(app, "/sessions/x", more=origin)
