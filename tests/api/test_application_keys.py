"""Keys of applications: several, with names, expiry and last use, so that they rotate without an outage."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving, settings_for, token
from tests.support.live import live


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
    listed = (await alice.get("/applications/app/keys")).json()["items"]
    assert [(key["name"], key["expires_at"]) for key in listed] == [("second", new["expires_at"]), ("default", None)]
    assert listed[1]["key_id"] == alice.headers["x-api-key"][:20]
    assert new["api_key"] not in str(listed)
    assert "hash" not in str(listed)


async def test_removed_key_stops_at_once(dsn: str, api: Api, alice: httpx.AsyncClient) -> None:
    new = await added(alice)
    mine = using(api, new["api_key"])
    async with serving(api.settings) as elsewhere:
        there = using(elsewhere, new["api_key"])
        for client in (mine, there):
            assert (await client.get("/users/me")).status_code == 200
        gone = await alice.delete(f"/applications/app/keys/{new['key_id']}")
        assert (gone.status_code, gone.content) == (204, b"")
        assert_problem(await mine.get("/users/me"), 401, "Invalid API key")
        async with asyncio.timeout(8):  # another process hears of it, which remembers keys for 10
            while (await there.get("/users/me")).status_code != 401:
                await asyncio.sleep(0)
        assert (await alice.get("/users/me")).status_code == 200
    again = await alice.delete(f"/applications/app/keys/{new['key_id']}")
    assert_problem(again, 404, "API key not found")


async def test_default_key_is_replaced(api: Api, alice: httpx.AsyncClient, sql: Callable[..., list[Any]]) -> None:
    new = using(api, (await added(alice))["api_key"])
    default = alice.headers["x-api-key"][:20]
    refused = await new.delete(f"/applications/app/keys/{default}")
    assert_problem(refused, 409, "The default key can be replaced, not removed: POST to regenerate-key")
    assert_problem(await new.post("/applications/app/keys", json={"name": "default"}), 409)
    again = (await new.post("/applications/app/regenerate-key")).json()["api_key"]
    assert_problem(await alice.get("/users/me"), 401, "Invalid API key")
    assert (await using(api, again).get("/users/me")).status_code == 200
    keys = (await new.get("/applications/app/keys")).json()["items"]
    assert [(key["name"], key["key_id"]) for key in keys if key["name"] == "default"] == [("default", again[:20])]
    assert sql("select api_key_prefix from applications where app_id = 'app'") == [(again[:20],)]
    sql("update applications set app_name = 'Renamed'")  # by hand, which leaves the keys alone
    assert (await using(api, again).get("/users/me")).status_code == 200


@pytest.mark.slow
async def test_key_expires_also_where_it_is_remembered(
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
            assert gone.is_success
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
    keys = {key["name"]: key["last_used_at"] for key in (await alice.get("/applications/app/keys")).json()["items"]}
    assert None not in keys.values()
    await added(alice, name="unused")
    assert (await alice.get("/applications/app/keys")).json()["items"][0]["last_used_at"] is None


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
    assert len((await alice.get("/applications/app/keys")).json()["items"]) == 20
