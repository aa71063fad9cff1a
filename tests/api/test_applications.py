"""Applications over HTTP: admin applications manage all, others see and re-key themselves."""

import asyncio

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


async def test_the_old_key_stops_at_once(api: Api, alice: httpx.AsyncClient) -> None:
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
