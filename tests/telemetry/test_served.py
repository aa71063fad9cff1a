"""The record of a request that observers receive."""

import httpx
import pytest

from amplifier.telemetry.served import NO_ROUTE, Served
from tests.conftest import Api


@pytest.fixture
def seen(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    """The records of requests that have ended."""
    found: list[Served] = []
    monkeypatch.setattr(api.app, "observers", [found.append], raising=True)
    return found


async def test_observers_receive_route_status_and_caller(
    alice: httpx.AsyncClient, session_id: str, seen: list[Served]
) -> None:
    await alice.get(f"/sessions/{session_id}")
    await alice.head(f"/sessions/{session_id}")
    await alice.get("/sessions/nobody's")
    await alice.get("/nowhere")
    await alice.get("/search", params={"nope": ""})
    rows = [(one.method, one.route, one.status) for one in seen]
    route = "/sessions/{session_id}"
    assert rows == [
        ("GET", route, 200),
        ("GET", route, 200),
        ("GET", route, 404),
        ("GET", NO_ROUTE, 404),
        ("GET", "/search", 422),
    ]
    assert [one.caller and one.caller.user_id for one in seen] == ["alice", "alice", "alice", None, "alice"]


async def test_record_sums_up_the_statements_of_its_request(
    alice: httpx.AsyncClient, session_id: str, seen: list[Served]
) -> None:
    await alice.get("/users/me")  # its credentials are known from here on
    seen.clear()
    await alice.get(f"/sessions/{session_id}")
    await alice.get("/version")
    one, none = seen
    assert one.queries == 1
    assert 0 < one.query_seconds < one.seconds
    assert (none.queries, none.query_seconds) == (0, 0)


async def test_request_without_credentials_has_no_caller(api: Api, seen: list[Served]) -> None:
    await api.client().get("/sessions")
    [one] = seen
    assert (one.route, one.status, one.caller) == ("/sessions", 401, None)
