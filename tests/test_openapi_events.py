"""The data of every event is what the OpenAPI document says of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.conftest import settings_for
from tests.live import Event, Live, live
from tests.test_openapi import DOCUMENT, OPERATIONS

CALLING = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "tool": "run", "arguments": {}}]}
LAST = {"access.revoked", "session.deleted", "token.expired", "resync"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


def events(operation: str) -> dict[str, Draft202012Validator]:
    """A validator for each event's data; what the document does not know is refused."""
    content = OPERATIONS[operation][2]["responses"]["200"]["content"]["text/event-stream"]
    strict = {name: closed(schema) for name, schema in DOCUMENT["components"]["schemas"].items()}
    return {
        event: Draft202012Validator(
            {**schema, "components": {"schemas": strict}}, format_checker=FormatChecker(["date-time"])
        )
        for event, schema in content["x-events"].items()
    }


def closed(schema: dict[str, object]) -> dict[str, object]:
    """A schema that knows all members of its objects, where it names any."""
    return {"additionalProperties": False, **schema} if "properties" in schema else schema


def assert_described(event: Event | None, described: dict[str, Draft202012Validator]) -> str:
    assert event is not None
    found = described[event.type].iter_errors(event.data)
    assert [f"{event.type}: {error.json_path}: {error.message}" for error in found] == []
    return event.type


async def test_the_events_of_a_session(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    path, described, seen = f"/sessions/{session_id}", events("follow_session"), set()
    carol = await api.as_user("carol")
    async with api.stream(alice, f"{path}/events") as stream, api.socket(alice, f"{path}/ws") as socket:
        await alice.post(f"{path}/transcript", json={"messages": [{"role": "user", "content": "Hello"}]})
        await alice.post(f"{path}/transcript", json={"messages": [CALLING]})
        await alice.post(f"{path}/repair")
        await alice.patch(path, json={"title": "Hi", "tags": {"a": "b"}, "metadata": {"a": 1}, "status": "completed"})
        await alice.patch(path, json={"title": "", "status": "active"})
        await alice.post(f"{path}/participants", json={"user_id": "bob", "role": "viewer"})
        await alice.patch(f"{path}/participants/bob", json={"role": "editor", "permissions": {"invite": True}})
        token = (await alice.post(f"{path}/invitations", json={"role": "viewer"})).json()
        await carol.post("/invitations/accept", json={"token": token["token"]})
        other = (await alice.post(f"{path}/invitations", json={"role": "viewer"})).json()
        await alice.delete(f"{path}/invitations/{other['invitation_id']}")
        await carol.delete(f"{path}/participants/carol")
        await bob.post(f"{path}/read", json={"seq": 1})
        await socket.say(type="typing")
        await alice.post(f"{path}/transfer", json={"user_id": "bob"})
        while not seen >= described.keys() - LAST:  # whoever is removed is told nothing more
            seen.add(assert_described(await stream.next(*described), described))
        await bob.delete(f"{path}/participants/alice")
        while event := await stream.next(*described):
            seen.add(assert_described(event, described))
    assert "access.revoked" in seen


async def test_the_hints(api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str) -> None:
    described = events("follow_sessions")
    async with api.stream(bob, "/events") as stream:
        await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
        assert assert_described(await stream.next(*described), described) == "hint"
        await alice.delete(f"/sessions/{session_id}")
        gone = await stream.next(*described)
        assert assert_described(gone, described) == "hint"
        assert gone is not None
        assert gone.data["last_seq"] is None
