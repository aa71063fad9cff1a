"""Settings of the deployment over HTTP: everyone reads, admin applications write."""

from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem


async def test_write_read_list_delete(api: Api, alice: httpx.AsyncClient) -> None:
    admin = await api.as_user("root", "admin")
    values: dict[str, Any] = {"a": {"n": [1, None]}, "b": "text", "c": None}
    for key, value in values.items():
        written = await admin.put(f"/settings/{key}", json={"value": value})
        assert written.status_code == 200
        assert written.json().items() >= {"key": key, "value": value, "scope": "global"}.items()
    page = (await alice.get("/settings")).json()
    assert {row["key"]: row["value"] for row in page["items"]} == values
    assert page["next"] is None
    first = (await alice.get("/settings", params={"limit": 2})).json()
    assert [row["key"] for row in first["items"]] == ["a", "b"]
    rest = (await alice.get("/settings", params={"limit": 2, "cursor": first["next"]})).json()
    assert [row["key"] for row in rest["items"]] == ["c"]
    before = (await alice.get("/settings/a")).json()
    changed = (await admin.put("/settings/a", json={"value": 1, "scope": "ui"})).json()
    assert (changed["value"], changed["scope"]) == (1, "ui")
    assert changed["updated_at"] > before["updated_at"]
    assert (await admin.delete("/settings/a")).status_code == 204
    assert_problem(await alice.get("/settings/a"), 404, "Setting not found")
    assert_problem(await admin.delete("/settings/a"), 404, "Setting not found")


@pytest.mark.parametrize(("method", "body"), [("PUT", {"value": 1}), ("DELETE", None)])
async def test_only_admin_applications_write(alice: httpx.AsyncClient, method: str, body: Any) -> None:
    assert_problem(await alice.request(method, "/settings/a", json=body), 403)
    assert_problem(await alice.get("/settings/a"), 404)


async def test_bad_input(api: Api) -> None:
    admin = await api.as_user("root", "admin")
    for body in ({}, {"value": 1, "scope": ""}, {"value": 1, "scope": "s" * 101}, {"value": 1, "scope": 5}):
        assert_problem(await admin.put("/settings/a", json=body), 422)
    assert_problem(
        await admin.put(f"/settings/{'k' * 256}", json={"value": 1}), 422, "key must have 1 to 255 characters"
    )
