"""Every route that takes an Idempotency-Key says of a repeated answer that it was given before."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Api
from tests.support.paths import ROOT
from tests.web.test_idempotency import keyed, said

Sql = Callable[..., list[Any]]
SESSION, OTHER = "/sessions/{session_id}", "/sessions/{other_id}"
CONFIG = {"name": "n", "config_data": {"bundle": {"name": "b"}, "providers": [{"module": "provider-echo"}]}}
CONVERSATION = "/v1/conversations/{conversation_id}"
HELLO = {"message": "Hello"}
ITEM = {"type": "message", "role": "user", "content": "a", "id": "item-1"}
# the routes whose body has another type than JSON
TYPES = {"PATCH /configs/{config_id}": "application/merge-patch+json", f"POST {SESSION}/attachments": "text/plain"}
TYPES["POST /imports"] = "application/octet-stream"
APPROVAL = """
insert into runs (session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at)
values ('{0}', 'run-1', 'running', '{{"role": "user"}}', 'alice', 'admin', now(), 'p', 'infinity');
insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
values ('{0}', 'approval-1', 'run-1', 'May I?', '{{Allow, Deny}}', 'infinity');
insert into imports (import_id, user_id, app_id, process_id, status, format, size, finished_at)
values ('import-1', 'alice', 'admin', 'p', 'done', 'auto', 1, now())
"""
# every call, in an order in which each succeeds
CALLS: list[tuple[str, str, Any]] = [
    ("POST", "/configs", CONFIG),
    ("PUT", "/configs/{config_id}", {"name": "new"}),
    ("PATCH", "/configs/{config_id}", {"description": "new"}),
    ("POST", "/configs/{config_id}/versions/1/restore", None),
    ("POST", "/sessions", {"config_id": "{config_id}"}),
    ("PUT", "/sessions/by-key/new", {}),
    ("PATCH", SESSION, {"title": "new"}),
    ("PATCH", f"{SESSION}/state", {"session": {"a": 1}}),
    ("PATCH", "/state", {"user": {"a": 1}}),
    ("POST", f"{SESSION}/transcript", said("a")),
    ("POST", f"{SESSION}/attachments", b"a file"),
    ("POST", f"{SESSION}/fork", {}),
    ("POST", "/imports", b"a file"),
    ("POST", "/imports/import-1/cancel", None),
    ("POST", f"{SESSION}/repair", None),
    ("POST", f"{SESSION}/transcript/retract", {"last": 1}),
    ("POST", f"{SESSION}/messages", HELLO),
    ("POST", f"{SESSION}/stream", HELLO),
    ("POST", "/v1/conversations", {}),
    ("POST", CONVERSATION, {"metadata": {"a": "b"}}),
    ("POST", f"{CONVERSATION}/items", {"items": [ITEM]}),
    ("DELETE", f"{CONVERSATION}/items/item-1", None),
    ("POST", "/v1/responses", {"conversation": "{conversation_id}", "input": "Hello"}),
    ("DELETE", CONVERSATION, None),
    ("POST", f"{SESSION}/read", {"seq": 1}),
    ("POST", f"{SESSION}/resume", None),
    ("POST", "/events/ticket", None),
    ("POST", f"{SESSION}/events/ticket", None),
    ("POST", f"{SESSION}/participants", {"user_id": "bob", "role": "owner"}),
    ("PATCH", f"{SESSION}/participants/bob", {"role": "editor"}),
    ("POST", f"{SESSION}/invitations", {"role": "viewer"}),
    ("DELETE", f"{SESSION}/invitations/{{invitation_id}}", None),
    ("POST", f"{SESSION}/transfer", {"user_id": "bob"}),
    ("DELETE", f"{SESSION}/participants/alice", None),
    ("POST", "/invitations/accept", {"token": "{token}"}),
    ("POST", f"{OTHER}/approvals/approval-1", {"decision": "allow"}),
    ("POST", f"{OTHER}/cancel", None),
    ("DELETE", OTHER, None),
    ("DELETE", "/configs/{spare_id}", None),
    ("POST", "/applications", {"app_id": "new", "app_name": "New"}),
    ("PATCH", "/applications/new", {"app_name": "Newer"}),
    ("POST", "/applications/new/keys", {"name": "second"}),
    ("DELETE", "/applications/other/keys/{key_id}", None),
    ("POST", "/applications/new/regenerate-key", None),
    ("DELETE", "/applications/new", None),
    ("PUT", "/settings/a", {"value": 1}),
    ("DELETE", "/settings/a", None),
]


@pytest.fixture
async def ids(api: Api, sql: Sql) -> dict[str, str]:
    """The resources that the calls name: configs and sessions of alice, invitations, an API key, an approval."""
    alice = await api.as_user("alice", "admin")
    config_id, spare_id = [(await alice.post("/configs", json=CONFIG)).json()["config_id"] for _ in range(2)]
    session_id, other_id, third_id = [
        (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"] for _ in range(3)
    ]
    invitations = [
        (await alice.post(f"/sessions/{one}/invitations", json={"role": "viewer"})).json()
        for one in (session_id, other_id)
    ]
    await api.register("other")
    key_id = (await alice.post("/applications/other/keys", json={"name": "k"})).json()["key_id"]
    for statement in APPROVAL.format(other_id).split(";"):
        sql(statement)
    return {
        "config_id": config_id,
        "spare_id": spare_id,
        "session_id": session_id,
        "other_id": other_id,
        "conversation_id": f"conv_{third_id}",
        "invitation_id": invitations[0]["invitation_id"],
        "token": invitations[1]["token"],
        "key_id": key_id,
    }


def filled(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def test_repeated_answers_are_marked_on_every_route(api: Api, ids: dict[str, str]) -> None:
    alice = await api.as_user("alice", "admin")
    for method, path, body in CALLS:
        content = body if body is None or isinstance(body, bytes) else filled(json.dumps(body), ids)
        sent = TYPES.get(f"{method} {path}", "application/json")
        headers = keyed() | ({} if body is None else {"Content-Type": sent})
        url = filled(path, ids)
        answers = [await alice.request(method, url, content=content, headers=headers, timeout=30) for _ in range(2)]
        first, again = answers
        assert first.is_success, (method, path, first.text)
        assert "idempotency-replayed" not in first.headers, (method, path)
        assert again.status_code == first.status_code, (method, path, again.text)
        assert again.headers.get_list("idempotency-replayed") == ["true"], (method, path)


def test_table_has_every_route_that_takes_the_key() -> None:
    document = json.loads((ROOT / "openapi/openapi.json").read_text())
    taking = {
        (method.upper(), len(path.split("/")), path.split("/")[1], path.split("/")[-1].split("{")[0])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    called = set()
    for method, path, _ in CALLS:
        parts = path.replace("}}", "}").split("/")
        last = "" if parts[-1] in ("alice", "bob", "new", "a", "approval-1", "item-1") else parts[-1].split("{")[0]
        called.add((method, len(parts), parts[1], last))
    assert called == taking


async def test_repeated_failure_of_a_run_is_marked(api: Api, ids: dict[str, str]) -> None:
    alice, headers = await api.as_user("alice", "admin"), keyed()
    await alice.put(f"/configs/{ids['config_id']}", json={"config_data": {"bundle": {"name": "without a provider"}}})
    first, again = [await alice.post(filled(f"{SESSION}/messages", ids), json=HELLO, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code, first.json()["run_id"]) == (400, 400, again.json()["run_id"])
    assert ["idempotency-replayed" in answer.headers for answer in (first, again)] == [False, True]
