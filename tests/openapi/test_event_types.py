"""The data of every event fits its schema in the OpenAPI document."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.conftest import settings_for
from tests.openapi.test_document import DOCUMENT, OPERATIONS
from tests.support.live import LIMIT, Event, Live, live

CALLING = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "tool": "run", "arguments": {}}]}
LAST = {"access.revoked", "session.deleted", "token.expired", "resync"}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Live]:
    """The application over the network."""
    async with live(settings_for(dsn)) as api:
        yield api


def events(operation: str) -> dict[str, Draft202012Validator]:
    """Returns a validator for each event's data, which refuses members that the document does not have."""
    content = OPERATIONS[operation][2]["responses"]["200"]["content"]["text/event-stream"]
    strict = {name: closed(schema) for name, schema in DOCUMENT["components"]["schemas"].items()}
    return {
        event: Draft202012Validator(
            {**schema, "components": {"schemas": strict}}, format_checker=FormatChecker(["date-time"])
        )
        for event, schema in content["x-events"].items()
    }


def closed(schema: dict[str, object]) -> dict[str, object]:
    """Returns a schema that refuses other members in objects with named ones."""
    return {"additionalProperties": False, **schema} if "properties" in schema else schema


def assert_described(event: Event | None, described: dict[str, Draft202012Validator]) -> str:
    assert event is not None
    found = described[event.type].iter_errors(event.data)
    assert [f"{event.type}: {error.json_path}: {error.message}" for error in found] == []
    return event.type


@pytest.mark.parametrize("operation", ["follow_session", "follow_sessions", "stream_message"])
def test_example_of_stream_fits_schemas(operation: str) -> None:
    content, described = OPERATIONS[operation][2]["responses"]["200"]["content"]["text/event-stream"], events(operation)
    *blocks, rest = content["example"].split("\n\n")
    assert rest == ""
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "data" in fields:
            data = json.loads(fields["data"])
            found = described[fields.get("event") or data["type"]].iter_errors(data)
            assert [f"{block}: {error.json_path}: {error.message}" for error in found] == []


async def test_events_of_session_fit_their_schemas(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    path, described, seen = f"/sessions/{session_id}", events("follow_session"), set()
    carol = await api.as_user("carol")
    async with api.stream(alice, f"{path}/events") as stream, api.socket(alice, f"{path}/ws") as socket:
        await alice.post(f"{path}/transcript", json={"messages": [{"role": "user", "content": "Hello"}]})
        await alice.post(f"{path}/transcript", json={"messages": [CALLING]})
        for text in ("It gr", "It grows"):
            grown = {"messages": [{"role": "user", "content": text}], "keys": ["a"], "on_conflict": "replace"}
            await alice.post(f"{path}/transcript", json=grown)
        await alice.patch(f"{path}/state", json={"session": {"step": 1}})
        await alice.post(f"{path}/repair")
        await alice.post(f"{path}/transcript/retract", json={"last": 1})
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
        await run_agents(api, bob, session_id)
        while not seen >= described.keys() - LAST:  # a removed participant gets no more events
            seen.add(assert_described(await stream.next(*described), described))
        await bob.delete(f"{path}/participants/alice")
        while event := await stream.next(*described):
            seen.add(assert_described(event, described))
    assert "access.revoked" in seen


async def run_agents(api: Live, client: httpx.AsyncClient, session_id: str) -> None:
    """Makes runs that complete, fail and are cancelled before and after their start, and approvals."""
    path, message = f"/sessions/{session_id}", {"message": "one two"}

    async def config(**echo: float) -> None:
        providers = [{"module": "provider-echo", "config": echo}]
        config_json = json.dumps({"bundle": {"name": "echo"}, "providers": providers})
        await api.app.state.queries.database.execute("update configs set config_json = $1", config_json.encode())

    assert (await client.post(f"{path}/messages", json=message)).status_code == 400
    await config(delay=0)
    assert (await client.post(f"{path}/messages", json=message)).status_code == 200
    await config(delay=5)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(client.post(f"{path}/messages", json=message)) for _ in range(2)]
        runs = await going(client, path, 2)
        approvals, key = api.app.state.queries.approvals, {"session_id": session_id, "run_id": runs["running"]}
        for approval_id in ("answered", "late"):
            asked = {"prompt": "May I?", "options": ["Allow", "Deny"], "seconds": 60.0, "approval_id": approval_id}
            await approvals.create(**key, **asked, process_id=api.app.state.hub.process_id)
        await client.post(f"{path}/approvals/answered", json={"decision": "allow"})
        await api.app.state.queries.approval_decisions.expire(session_id=session_id, approval_id="late")
        await client.post(f"{path}/cancel?run_id={runs['queued']}")
        await client.post(f"{path}/cancel")
    assert [answer.result().status_code for answer in waiting] == [409, 409]


async def going(client: httpx.AsyncClient, path: str, count: int) -> dict[str, str]:
    """Waits for `count` unfinished runs of the session and returns their ids by status."""
    async with asyncio.timeout(LIMIT):
        while True:
            runs = (await client.get(f"{path}/runs")).json()["items"]
            found = {run["status"]: run["run_id"] for run in runs if run["status"] in ("queued", "running")}
            if len(found) == count:
                return found


async def test_hints_fit_their_schemas(
    api: Live, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    described = events("follow_sessions")
    async with api.stream(bob, "/events") as stream:
        await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
        assert assert_described(await stream.next(*described), described) == "hint"
        await alice.delete(f"/sessions/{session_id}")
        gone = await stream.next(*described)
        assert assert_described(gone, described) == "hint"
        assert gone is not None
        assert gone.data["last_seq"] is None
