"""Applications over HTTP: admin applications manage all, others see themselves, and their key managers re-key them."""

import asyncio
from typing import Any

import httpx

from tests.conftest import Api, assert_problem, token


async def test_register_list_read_delete(api: Api) -> None:
    admin = await api.as_user("root", "admin")
    body = {"app_id": "web-1", "app_name": "Web", "settings": {"theme": "dark"}}
    created = await admin.post("/applications", json=body)
    assert created.status_code == 201
    application = created.json()
    assert application.keys() == {"app_id", "app_name", "api_key", "is_active", "created_at", "message"}
    assert application["api_key"].startswith("app_")
    assert (application["is_active"], application["message"]) == (True, "Application registered successfully")
    assert_problem(await admin.post("/applications", json=body), 409, "Application 'web-1' already exists")
    rows = (await admin.get("/applications")).json()
    assert [row["app_id"] for row in rows] == ["web-1", "admin"]
    assert rows[0].keys() >= {"app_id", "app_name", "is_active", "created_at", "updated_at"}
    assert "api_key" not in str(rows)
    assert (await admin.get("/applications/web-1")).json()["settings"] == {"theme": "dark"}
    deleted = await admin.delete("/applications/web-1")
    assert deleted.json() == {"message": "Application 'web-1' deleted successfully"}
    for method in ("GET", "DELETE"):
        assert_problem(await admin.request(method, "/applications/web-1"), 404, "Application not found")
    assert_problem(await admin.post("/applications/web-1/regenerate-key"), 404, "Application not found")


async def test_other_applications_see_and_rekey_only_themselves(api: Api, alice: httpx.AsyncClient) -> None:
    await api.register("other")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/regenerate-key")):
        assert_problem(await alice.request(method, f"/applications/other{path}"), 404, "Application not found")
        assert_problem(await alice.request(method, f"/applications/unknown{path}"), 404, "Application not found")
    assert_problem(await alice.get("/applications"), 403)
    assert_problem(await alice.post("/applications", json={"app_id": "x", "app_name": "x", "is_admin": True}), 403)
    assert_problem(await alice.delete("/applications/app"), 403)
    assert (await alice.get("/applications/app")).json()["app_id"] == "app"


FORBIDDEN = (
    "Only admin applications and the application's key managers may do this: an admin application names them by "
    "PATCH /applications/{app_id} with key_managers"
)


async def test_only_key_managers_replace_the_keys_of_their_application(api: Api) -> None:
    alice, bob, admin = await api.as_user("alice"), await api.as_user("bob"), await api.as_user("root", "admin")
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/keys", None),
        ("POST", "/keys", {"name": "mine"}),
        ("DELETE", f"/keys/{alice.headers['x-api-key'][:20]}", None),
        ("DELETE", "/keys/unknown", None),
        ("POST", "/regenerate-key", None),
    ]
    before = (await alice.get("/applications/app/keys")).json()
    for method, path, body in calls:
        assert_problem(await bob.request(method, f"/applications/app{path}", json=body), 403, FORBIDDEN)
    assert (await alice.get("/applications/app/keys")).json() == before
    assert (await bob.get("/applications/app")).json()["key_managers"] == ["alice"]
    for client in (alice, bob):
        refused = await client.patch("/applications/app", json={"key_managers": ["alice", "bob"]})
        assert_problem(refused, 403, "Only admin applications may do this")
    changed = await admin.patch("/applications/app", json={"key_managers": ["bob"]})
    assert (changed.status_code, changed.json()["key_managers"]) == (200, ["bob"])
    assert (await admin.patch("/applications/app", json={"app_name": "App"})).json()["key_managers"] == ["bob"]
    assert_problem(await alice.post("/applications/app/regenerate-key"), 403, FORBIDDEN)
    other = await api.as_user("bob", "other")
    assert_problem(await other.post("/applications/app/regenerate-key"), 404, "Application not found")
    assert (await bob.post("/applications/app/keys", json={"name": "mine"})).status_code == 201
    assert (await bob.post("/applications/app/regenerate-key")).status_code == 200
    told = (await admin.get("/audit?action=update_application&limit=2")).json()["items"]
    assert [entry["details"]["changed"] for entry in told] == [
        {"app_name": {"old": "app", "new": "App"}},
        {"key_managers": {"old": ["alice"], "new": ["bob"]}},
    ]


async def test_key_managers_are_named_with_a_new_application(api: Api) -> None:
    admin = await api.as_user("root", "admin")
    body = {"app_id": "web", "app_name": "Web", "key_managers": ["mia", "noor"]}
    key = (await admin.post("/applications", json=body)).json()["api_key"]
    mia, omar = (
        api.client({"X-API-Key": key, "Authorization": f"Bearer {token(sub=name)}"}) for name in ("mia", "omar")
    )
    assert_problem(await omar.post("/applications/web/regenerate-key"), 403, FORBIDDEN)
    assert (await mia.post("/applications/web/regenerate-key")).status_code == 200
    for wrong in (["x"] * 21, [""], ["x" * 256], [1], "mia", {}):
        assert_problem(await admin.post("/applications", json=body | {"app_id": "new", "key_managers": wrong}), 422)
        assert_problem(await admin.patch("/applications/web", json={"key_managers": wrong}), 422)
    longest = [f"{number:02}{chr(1) * 253}" for number in range(20)]
    assert (await admin.patch("/applications/web", json={"key_managers": longest})).json()["key_managers"] == longest
    names = {"key_managers": longest[::-1], "app_name": chr(1) * 255, "is_active": False}
    assert (await admin.patch("/applications/web", json=names)).status_code == 200  # the audit entry has both lists


async def test_old_key_stops_at_once(api: Api, alice: httpx.AsyncClient) -> None:
    assert (await alice.get("/users/me")).status_code == 200
    regenerated = await alice.post("/applications/app/regenerate-key")
    assert regenerated.status_code == 200
    assert regenerated.json()["message"] == "API key regenerated successfully"
    assert_problem(await alice.get("/users/me"), 401, "Invalid API key")
    headers = {"X-API-Key": regenerated.json()["api_key"], "Authorization": f"Bearer {token(sub='alice')}"}
    assert (await api.client(headers).get("/users/me")).status_code == 200


async def test_registering_one_id_at_the_same_time(api: Api) -> None:
    admin = await api.as_user("root", "admin")
    body = {"app_id": "same", "app_name": "Same"}
    answers = await asyncio.gather(*(admin.post("/applications", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
