"""Sessions over HTTP."""

import httpx

from tests.conftest import assert_problem


async def test_create_get_delete(alice: httpx.AsyncClient, config_id: str) -> None:
    created = await alice.post("/sessions", json={"config_id": config_id, "tags": {"team": "red"}})
    assert created.status_code == 201
    body = created.json()
    assert body["message"] == "Session created successfully"
    assert body["tags"] == {"team": "red"}
    read = await alice.get(f"/sessions/{body['session_id']}")
    assert read.status_code == 200
    assert read.json() == {**body, "message": None}
    deleted = await alice.delete(f"/sessions/{body['session_id']}")
    assert deleted.json() == {"message": "Session deleted successfully"}
    assert_problem(await alice.get(f"/sessions/{body['session_id']}"), 404, "Session not found")


async def test_append(alice: httpx.AsyncClient, session_id: str) -> None:
    appended = await alice.post(
        f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user", "content": "hi"}]}
    )
    assert appended.status_code == 201, appended.text
    assert appended.json() == {"session_id": session_id, "first_seq": 1, "last_seq": 1, "message_count": 1}
    read = await alice.get(f"/sessions/{session_id}/transcript")
    assert read.json()["messages"][0]["message"] == {"role": "user", "content": "hi"}
    assert (await alice.get(f"/sessions/{session_id}/transcript?view=plain")).json() == [
        {"role": "user", "content": "hi"}
    ]
