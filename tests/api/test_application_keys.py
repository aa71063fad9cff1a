"""Keys of applications: several, with names, expiry and last use, so that they rotate without an outage."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving, settings_for, token
from tests.support.live import live
from tests.support.service import command


async def added(client: httpx.AsyncClient, app_id: str = "app", **body: Any) -> dict[str, Any]:
    """A new key."""
    made = await client.post(f"/applications/{app_id}/keys", json={"name": "second"} | body)
    assert made.status_code == 201, made.text
    return dict(made.json())


def using(api: Api, key: str, user_id: str = "alice") -> httpx.AsyncClient:
    """A client with this key."""
    return api.client({"X-API-Key": key, "Authorization": f"Bearer {token(sub=user_id)}"})


async def test_several_keys_work_side_by_side(api: Api, alice: httpx.AsyncClient) -> None:
    new = await added(alice, expires_in=3600)
    assert new.keys() == {"key_id", "name", "created_at", "expires_at", "last_used_at", "api_key"}
    assert new["api_key"].startswith(new["key_id"] + "_")
    for client in (alice, using(api, new["api_key"])):
        assert (await client.get("/users/me")).status_code == 200
    listed = (await alice.get("/applications/app/keys")).json()["keys"]
    assert [(key["name"], key["expires_at"]) for key in listed] == [("second", new["expires_at"]), ("default", None)]
    assert listed[1]["key_id"] == alice.headers["x-api-key"][:20]
    assert new["api_key"] not in str(listed)
    assert "hash" not in str(listed)


async def test_a_removed_key_stops_at_once(dsn: str, api: Api, alice: httpx.AsyncClient) -> None:
    new = await added(alice)
    mine = using(api, new["api_key"])
    async with serving(api.settings) as elsewhere:
        there = using(elsewhere, new["api_key"])
        for client in (mine, there):
            assert (await client.get("/users/me")).status_code == 200
        gone = await alice.delete(f"/applications/app/keys/{new['key_id']}")
        assert gone.json() == {"message": "API key removed successfully"}
        assert_problem(await mine.get("/users/me"), 401, "Invalid API key")
        async with asyncio.timeout(8):  # another process hears of it, which remembers keys for 10
            while (await there.get("/users/me")).status_code != 401:
                await asyncio.sleep(0)
        assert (await alice.get("/users/me")).status_code == 200
    again = await alice.delete(f"/applications/app/keys/{new['key_id']}")
    assert_problem(again, 404, "API key not found")


async def test_the_default_key_is_replaced(api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]) -> None:
    new = using(api, (await added(alice))["api_key"])
    default = alice.headers["x-api-key"][:20]
    refused = await new.delete(f"/applications/app/keys/{default}")
    assert_problem(refused, 409, "The default key can be replaced, not removed: POST to regenerate-key")
    assert_problem(await new.post("/applications/app/keys", json={"name": "default"}), 409)
    again = (await new.post("/applications/app/regenerate-key")).json()["api_key"]
    assert_problem(await alice.get("/users/me"), 401, "Invalid API key")
    assert (await using(api, again).get("/users/me")).status_code == 200
    keys = (await new.get("/applications/app/keys")).json()["keys"]
    assert [(key["name"], key["key_id"]) for key in keys if key["name"] == "default"] == [("default", again[:20])]
    assert sql("select api_key_prefix from applications where app_id = 'app'") == [(again[:20],)]
    sql("update applications set app_name = 'Renamed'")  # by hand, which leaves the keys alone
    assert (await using(api, again).get("/users/me")).status_code == 200


async def test_a_key_expires_also_where_it_is_remembered(
    dsn: str, api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    new = await added(alice, expires_in=2)
    mine = using(api, new["api_key"])
    assert (await mine.get("/users/me")).status_code == 200
    async with asyncio.timeout(20):
        while (answer := await mine.get("/users/me")).status_code == 200:
            await asyncio.sleep(0.01)
    assert_problem(answer, 401, "Invalid API key")
    async with live(settings_for(dsn)) as service:
        other = await added(alice, name="third", expires_in=2)
        async with service.stream(using(service, other["api_key"]), "/events") as stream:
            assert await stream.rest() == ["token.expired"]


async def test_keys_rotate_without_an_outage(dsn: str) -> None:
    """Clients go on calling, through two processes, while their key is replaced; nobody is ever refused."""
    async with serving(settings_for(dsn)) as one, serving(settings_for(dsn)) as two:
        alice = await one.as_user("alice")
        key = {"X-API-Key": alice.headers["x-api-key"]}
        done = asyncio.Event()
        statuses: list[int] = []
        used = [""] * 6  # the key of each caller's last answer

        async def call(number: int) -> None:
            client = two.client(dict(alice.headers)) if number % 2 else await one.as_user("alice")
            while not done.is_set():
                mine = dict(key)
                statuses.append((await client.get("/users/me", headers=mine)).status_code)
                used[number] = mine["X-API-Key"]

        callers = [asyncio.create_task(call(number)) for number in range(len(used))]
        for round in range(4):
            new = await added(using(one, key["X-API-Key"]), name=f"round {round}")
            old, key["X-API-Key"] = key["X-API-Key"], new["api_key"]
            async with asyncio.timeout(30):
                while set(used) != {new["api_key"]}:  # those under way with the old one have ended
                    await asyncio.sleep(0)
            mine = using(one, new["api_key"])
            if round == 0:
                gone = await mine.post("/applications/app/regenerate-key")
            else:
                gone = await mine.delete(f"/applications/app/keys/{old[:20]}")
            assert gone.status_code == 200
        done.set()
        await asyncio.gather(*callers)
    assert set(statuses) == {200}


async def test_adding_a_key_ends_no_stream(dsn: str) -> None:
    async with live(settings_for(dsn)) as service:
        alice = await service.as_user("alice")
        new = await added(alice)
        async with service.stream(alice, "/events") as stream:
            await added(alice, name="third")
            config = (await alice.post("/configs", json={"name": "n", "config_data": {"bundle": {"name": "b"}}})).json()
            await alice.post("/sessions", json={"config_id": config["config_id"]})
            assert await stream.next("hint") is not None
            await alice.delete(f"/applications/app/keys/{new['key_id']}")
            assert await stream.rest() == []  # whoever comes back shows a valid key


async def test_last_use(api: Api, alice: httpx.AsyncClient) -> None:
    new = await added(alice)
    await using(api, new["api_key"]).get("/users/me")
    await api.app.state.activity.flush()
    keys = {key["name"]: key["last_used_at"] for key in (await alice.get("/applications/app/keys")).json()["keys"]}
    assert None not in keys.values()
    await added(alice, name="unused")
    assert (await alice.get("/applications/app/keys")).json()["keys"][0]["last_used_at"] is None


async def test_limits_hold_at_once(api: Api, alice: httpx.AsyncClient) -> None:
    async with serving(api.settings) as elsewhere:
        clients = [alice, elsewhere.client(dict(alice.headers))]
        same = await asyncio.gather(*(c.post("/applications/app/keys", json={"name": "same"}) for c in clients * 3))
        assert sorted(answer.status_code for answer in same) == [201] + [409] * 5
        refused = next(answer for answer in same if answer.status_code == 409)
        assert_problem(refused, 409, "The application has a key named 'same' already")
        many = await asyncio.gather(
            *(clients[n % 2].post("/applications/app/keys", json={"name": str(n)}) for n in range(25))
        )
    assert [answer.status_code for answer in many].count(201) == 18
    refused = next(answer for answer in many if answer.status_code == 409)
    assert_problem(refused, 409, "The application has 20 keys: remove one first")
    assert len((await alice.get("/applications/app/keys")).json()["keys"]) == 20


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
    assert len((await admin.get("/applications/other/keys")).json()["keys"]) == 2


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


async def test_an_applications_own_rate_limit(dsn: str) -> None:
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
    assert run("key-managers", "shop") == "shop: only admin applications\n"
    assert sql(managers) == [([],)]
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
        (["key-managers", "shop", "x" * 256], "a user id has 1 to 255 characters"),
        (["key-managers", "shop", *map(str, range(21))], "key_managers must have at most 20 user ids"),
    ):
        answer = run(*arguments)
        assert answer[0] in "12", answer
        assert said in answer
        assert "Traceback" not in answer
    log = sql("select action, target_id, app_id, details ->> 'key_id' from audit_log order by audit_id")
    assert log == [
        ("create_application", "shop", "command line", None),
        ("update_application", "shop", "command line", None),
        ("update_application", "shop", "command line", None),
        ("create_application_key", "shop", "command line", second[:20]),
        ("regenerate_key", "shop", "command line", None),
        ("delete_application_key", "shop", "command line", second[:20]),
    ]
