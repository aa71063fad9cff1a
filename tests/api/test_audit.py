"""The audit log: who did what, when, from where, to what, in the transaction of the change."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.api.audit import AuditEntry
from tests.conftest import CONFIG, Api, assert_problem


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    """A client of an admin application."""
    return await api.as_user("root", "admin")


async def entries(admin: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    """The log, latest first."""
    page = await admin.get("/audit", params={"limit": 200, **filters})
    assert page.status_code == 200, page.text
    return list(page.json()["items"])


async def test_audit_log_records_each_change(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await alice.post("/configs", json=CONFIG, headers={"X-Request-ID": "the-first"})
    config = made.json()["config_id"]
    session = (await alice.post("/sessions", json={"config_id": config})).json()["session_id"]
    path = f"/sessions/{session}"
    await alice.post(f"{path}/transcript", json={"messages": [{"role": "user", "content": "hello"}]})
    await alice.post(f"{path}/read", json={"seq": 1})
    await alice.post(f"{path}/participants", json={"user_id": "carol", "role": "viewer"})
    await alice.patch(f"{path}/participants/carol", json={"role": "editor"})
    invitation = (await alice.post(f"{path}/invitations", json={"role": "viewer"})).json()
    for status in (201, 200):
        accepted = await bob.post("/invitations/accept", json={"token": invitation["token"]})
        assert accepted.status_code == status
    await alice.delete(f"{path}/participants/carol")
    await alice.patch(path, json={"status": "completed"})
    await alice.post(f"{path}/transfer", json={"user_id": "bob"})
    await bob.delete(path)
    await alice.delete(f"/configs/{config}")
    told = [
        (entry["user_id"], entry["action"], entry["target_type"], entry["target_id"], entry["details"])
        for entry in reversed(await entries(admin))
    ]
    assert told == [
        ("alice", "create_config", "config", config, {}),
        ("alice", "create_session", "session", session, {}),
        ("alice", "put_participant", "session", session, {"user_id": "carol", "role": "viewer", "permissions": {}}),
        (
            "alice",
            "update_participant",
            "session",
            session,
            {"user_id": "carol", "changed": {"role": {"old": "viewer", "new": "editor"}}},
        ),
        (
            "alice",
            "create_invitation",
            "session",
            session,
            {"invitation_id": invitation["invitation_id"], "role": "viewer"},
        ),
        ("bob", "accept_invitation", "session", session, {"role": "viewer"}),
        ("bob", "accept_invitation", "session", session, {"role": "viewer"}),
        ("alice", "remove_participant", "session", session, {"user_id": "carol", "role": "editor", "permissions": {}}),
        ("alice", "update_session", "session", session, {"changed": {"status": {"old": "active", "new": "completed"}}}),
        (
            "alice",
            "transfer_session",
            "session",
            session,
            {"changed": {"owner_user_id": {"old": "alice", "new": "bob"}}},
        ),
        ("bob", "delete_session", "session", session, {}),
        ("alice", "delete_config", "config", config, {"deleted_sessions": 0}),
    ]
    first = (await entries(admin))[-1]
    assert first.keys() == set(AuditEntry.__struct_fields__)
    assert (first["app_id"], first["address"], first["request_id"]) == ("app", "127.0.0.1", "the-first")


async def test_audit_log_omits_refusals_and_reads(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    before = await entries(admin)
    for method, path, body in (
        ("PATCH", f"/sessions/{session_id}", {"title": "t"}),
        ("DELETE", f"/sessions/{session_id}", None),
        ("POST", "/sessions", {"config_id": "none"}),
        ("POST", "/applications", {"app_id": "x", "app_name": "X"}),
    ):
        assert (await bob.request(method, path, json=body)).status_code in (403, 404)
    assert (await alice.patch(f"/sessions/{session_id}", json={"status": "none"})).status_code == 422
    assert (await alice.patch(f"/sessions/{session_id}", json={}, headers={"If-Match": '"9"'})).status_code == 412
    assert (await alice.get(f"/sessions/{session_id}")).status_code == 200
    assert await entries(admin) == before


async def test_change_that_cannot_be_logged_is_not_made(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    sql("alter table audit_log add constraint full_check check (false) not valid")
    try:
        for path, table in (("/configs", "configs"), ("/sessions", "sessions"), ("/v1/conversations", "sessions")):
            assert_problem(await alice.post(path, json=CONFIG if table == "configs" else {}), 500)
            assert sql(f"select count(*) from {table}") == [(0,)]
    finally:
        sql("alter table audit_log drop constraint full_check")


async def test_secrets_are_never_in_it(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    key = (await admin.post("/applications", json={"app_id": "new", "app_name": "New"})).json()["api_key"]
    other = (await admin.post("/applications/new/regenerate-key")).json()["api_key"]
    secrets = {"bundle": {"name": "b", "api_key": "sk-canary"}}
    config = (await alice.post("/configs", json={"name": "canary-name", "config_data": secrets})).json()["config_id"]
    await alice.put(f"/configs/{config}", json={"description": "canary-text", "config_data": secrets})
    session = (await alice.post("/sessions", json={"config_id": config, "title": "canary-title"})).json()["session_id"]
    made = (await alice.post(f"/sessions/{session}/invitations", json={"role": "viewer"})).json()
    await admin.put("/settings/key", json={"value": "canary-value"})
    [(log,)] = sql("select string_agg(a::text, ' ') from audit_log as a")
    assert "create_application" in log
    for secret in (key, other, made["token"], "canary", admin.headers["authorization"], admin.headers["x-api-key"]):
        assert secret not in log


async def test_entries_name_what_changed_and_show_few_values(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, session_id: str, config_id: str, sql: Callable[..., list[Any]]
) -> None:
    hidden, config = {"canary": "canary"}, {"bundle": {"name": "canary"}, "token": "canary"}
    path = f"/sessions/{session_id}"
    for client, method, place, body in (
        (alice, "PATCH", path, {"title": "Trip", "tags": hidden, "metadata": hidden, "status": "failed"}),
        (alice, "PATCH", path, {"title": None, "status": "failed"}),
        (alice, "POST", f"{path}/participants", {"user_id": "bob", "role": "viewer"}),
        (alice, "PATCH", f"{path}/participants/bob", {"role": "viewer", "permissions": {"send": True}}),
        (alice, "PUT", f"/configs/{config_id}", {"name": "N", "description": "canary", "config_data": config}),
        (admin, "PATCH", "/applications/app", {"is_active": True, "app_name": "App", "settings": hidden}),
        (admin, "PUT", "/settings/a", {"value": hidden}),
        (admin, "PUT", "/settings/a", {"value": hidden}),
    ):
        assert (await client.request(method, place, json=body)).is_success
    status, former = {"old": "active", "new": "failed"}, {"old": {}, "new": {"send": True}}
    assert [entry["details"].get("changed") for entry in (await entries(admin))[:7]] == [
        {"value": {}, "scope": {}},
        {"app_name": {"old": "app", "new": "App"}, "settings": {}},
        {"name": {}, "description": {}, "config_data": {}},
        {"permissions": former},
        None,
        {"title": {"old": "Trip", "new": None}},
        {"title": {"old": None, "new": "Trip"}, "tags": {}, "metadata": {}, "status": status},
    ]
    assert sql("select count(*) from audit_log where details::text like '%canary%'") == [(0,)]


async def test_transfer_by_another_owner_names_former_owner(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, session_id: str
) -> None:
    for user_id, role in (("bob", "owner"), ("carol", "viewer")):
        await alice.post(f"/sessions/{session_id}/participants", json={"user_id": user_id, "role": role})
    assert (await bob.post(f"/sessions/{session_id}/transfer", json={"user_id": "carol"})).status_code == 200
    [entry] = await entries(admin, action="transfer_session")
    assert entry["details"] == {"changed": {"owner_user_id": {"old": "alice", "new": "carol"}}}


async def test_filters_and_pages(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    configs = [(await client.post("/configs", json=CONFIG)).json()["config_id"] for client in (alice, bob, alice)]
    await alice.put(f"/configs/{configs[0]}", json={"name": "other"})
    everything = await entries(admin)
    assert [entry["audit_id"] for entry in everything] == sorted((e["audit_id"] for e in everything), reverse=True)
    for filters, expected in (
        ({"user_id": "bob"}, [configs[1]]),
        ({"app_id": "admin"}, []),
        ({"action": "update_config"}, [configs[0]]),
        ({"target_id": configs[0]}, [configs[0], configs[0]]),
        ({"target_id": configs[0], "action": "create_config"}, [configs[0]]),
        ({"target_type": "session"}, []),
        ({"created_after": everything[1]["created_at"], "created_before": everything[0]["created_at"]}, [configs[2]]),
        ({"created_before": "2000-01-01T00:00:00Z"}, []),
    ):
        assert [entry["target_id"] for entry in await entries(admin, **filters)] == expected, filters
    seen, url = [], "/audit?limit=1&target_type=config"
    while url:
        page = await admin.get(url)
        seen += page.json()["items"]
        assert ("next" in page.links) == (page.json()["next"] is not None)
        url = page.links.get("next", {}).get("url", "")
    assert seen == everything


async def test_for_admin_applications_only(api: Api, alice: httpx.AsyncClient) -> None:
    assert_problem(await alice.get("/audit"), 403, "Only admin applications may do this")
    assert_problem(await api.client().get("/audit"), 401)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "cursor=0",
        "after=x",
        "created_after=x",
        "created_before=",
        "action=" + "x" * 256,
        "user_id=%00",
    ],
)
async def test_bad_input(admin: httpx.AsyncClient, query: str) -> None:
    assert_problem(await admin.get(f"/audit?{query}"), 422)


async def test_service_cannot_alter_audit_log(api: Api, sql: Callable[..., list[Any]]) -> None:
    for statement in ("update audit_log set user_id = 'x'", "delete from audit_log", "truncate audit_log"):
        assert sql("select has_table_privilege('amplifier_app', 'audit_log', %s)", statement.split()[0]) == [(False,)]
