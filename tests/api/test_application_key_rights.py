"""Application keys: who may manage them, bad input, switching off, rate limits, the command line."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_application_keys import added
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.live import live
from tests.support.service import command


async def test_strangers_and_admins(api: Api, alice: httpx.AsyncClient) -> None:
    await api.register("other")
    admin = await api.as_user("root", "admin")
    key = (await added(admin, "other"))["key_id"]
    for app_id in ("other", "unknown"):
        for method, path, body in (
            ("GET", "keys", None),
            ("POST", "keys", {"name": "n"}),
            ("DELETE", f"keys/{key}", None),
            ("PATCH", "", {"is_active": False}),
        ):
            url = f"/applications/{app_id}/{path}".rstrip("/")
            assert_problem(await alice.request(method, url, json=body), 404, "Application not found")
    assert_problem(await alice.patch("/applications/app", json={"is_active": True}), 403)
    assert_problem(await alice.delete(f"/applications/app/keys/{key}"), 404, "API key not found")
    assert len((await admin.get("/applications/other/keys")).json()["items"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        *("{}", "[]", '{"name": ""}', '{"name": 1}', '{"name": "\\u0000"}', '{"name": "%s"}' % ("x" * 256)),
        *(f'{{"name": "n", "expires_in": {seconds}}}' for seconds in ("0", "1e99", "316224001", '"1"')),
    ],
)
async def test_bad_input(alice: httpx.AsyncClient, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert_problem(await alice.post("/applications/app/keys", content=body, headers=headers), 422)
    for odd in ("%00", "x" * 300, "..%2f.."):
        assert_problem(await alice.delete(f"/applications/app/keys/{odd}"), 422 if odd == "%00" else 404)


async def test_switched_off_and_on(dsn: str) -> None:
    async with live(settings_for(dsn)) as service:
        alice, admin = await service.as_user("alice"), await service.as_user("root", "admin")
        async with service.stream(alice, "/events") as stream:
            off = await admin.patch("/applications/app", json={"is_active": False, "app_name": "Off"})
            assert (off.status_code, off.json()["is_active"], off.json()["app_name"]) == (200, False, "Off")
            assert_problem(await alice.get("/users/me"), 401, "Application is disabled")
            assert await stream.rest() == []
        on = await admin.patch("/applications/app", json={"is_active": True})
        assert (on.json()["is_active"], on.json()["app_name"]) == (True, "Off")
        assert (await alice.get("/users/me")).status_code == 200
        detail = "An application cannot deactivate itself: let another admin application do it"
        assert_problem(await admin.patch("/applications/admin", json={"is_active": False}), 409, detail)
        assert_problem(await admin.patch("/applications/none", json={}), 404, "Application not found")


async def test_applications_own_rate_limit(dsn: str) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=1000)) as api:
        alice, admin = await api.as_user("alice"), await api.as_user("root", "admin")
        settings = {"rate_limit_requests_per_minute": 3, "theme": "dark"}
        changed = await admin.patch("/applications/app", json={"settings": settings})
        assert changed.json()["settings"] == settings
        assert [(await alice.get("/users/me")).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        await admin.patch("/applications/app", json={"settings": {"rate_limit_requests_per_minute": 0}})
        free = [await alice.get("/users/me") for _ in range(5)]
        assert [answer.status_code for answer in free] == [200] * 5
        assert "ratelimit" not in free[0].headers
        for wrong in (-1, 1.5, "10", None, 1_000_001, True, [3], 1e300):
            body = {"settings": {"rate_limit_requests_per_minute": wrong}}
            problem = assert_problem(await admin.patch("/applications/app", json=body), 422)
            assert problem["detail"].startswith("settings: rate_limit_requests_per_minute must be a whole number")
            create = {"app_id": "new", "app_name": "New"} | body
            assert_problem(await admin.post("/applications", json=create), 422)


@pytest.mark.slow
def test_from_the_command_line(dsn: str, sql: Callable[..., list[Any]]) -> None:
    environ = {"DATABASE_URL": dsn}

    def run(*arguments: str) -> str:
        done = command(environ, "applications", *arguments)
        return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"

    first = run("create", "shop", "--key-manager", "mia", "--key-manager", "noor").strip()
    managers = "select key_managers from applications where app_id = 'shop'"
    assert sql(managers) == [(["mia", "noor"],)]
    assert run("key-managers", "shop", "omar") == "shop: omar\n"
    assert sql(managers) == [(["omar"],)]
    for _ in range(2):  # the second changes nothing, and is not in the audit log
        assert run("key-managers", "shop") == "shop: only admin applications\n"
    assert sql(managers) == [([],)]
    acts = "select act_as from applications where app_id = 'shop'"
    for option, said in (("--act-as", "acts"), ("--no-act-as", "does not act")):
        assert run("update", "shop", option) == f"shop {said} for users\n"
        assert sql(acts) == [(option == "--act-as",)]
    second = run("add-key", "shop", "--name", "2027", "--expires-in", "86400").strip()
    table = run("keys", "shop")
    assert [line.split()[0] for line in table.splitlines()] == ["key", second[:20], first[:20]]
    assert second not in table
    third = run("regenerate-key", "shop").strip()
    assert run("remove-key", "shop", second[:20]) == f"removed {second[:20]}\n"
    assert [line.split()[0] for line in run("keys", "shop").splitlines()] == ["key", third[:20]]
    for arguments, said in (
        (["keys", "none"], "there is no application none"),
        (["add-key", "none", "--name", "n"], "there is no application none"),
        (["add-key", "shop", "--name", "default"], "The application has a key of this name already"),
        (["add-key", "shop", "--name", ""], "name must not be empty"),
        (["add-key", "shop", "--name", "n", "--expires-in", "0"], "a whole number of seconds"),
        (["remove-key", "shop", "none"], "shop has no key none"),
        (["remove-key", "shop", third[:20]], "can only be replaced (regenerate-key)"),
        (["regenerate-key", "none"], "there is no application none"),
        (["create", "shop"], "already exists"),
        (["key-managers", "none", "mia"], "there is no application none"),
        (["update", "none", "--act-as"], "there is no application none"),
        (["key-managers", "shop", "x" * 256], "a user id has 1 to 255 characters"),
        (["key-managers", "shop", *map(str, range(21))], "key_managers must have at most 20 user ids"),
    ):
        answer = run(*arguments)
        assert answer[0] in "12", answer
        assert said in answer
        assert "Traceback" not in answer
    changes = "select details #> '{changed,key_managers}' from audit_log where details -> 'changed' ? 'key_managers'"
    assert sql(changes) == [({"old": ["mia", "noor"], "new": ["omar"]},), ({"old": ["omar"], "new": []},)]
    log = sql("select action, target_id, app_id, details ->> 'key_id' from audit_log order by audit_id")
    assert log == [
        ("create_application", "shop", "command line", None),
        *[("update_application", "shop", "command line", None)] * 4,
        ("create_application_key", "shop", "command line", second[:20]),
        ("regenerate_key", "shop", "command line", None),
        ("delete_application_key", "shop", "command line", second[:20]),
    ]
