"""Configs over HTTP: validation, ownership, secrets, merges, lists."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from amplifier.configs.encryption import Keyring
from amplifier.settings import DEFAULT_SECRET_KEY
from tests.conftest import CONFIG, assert_problem, serving, settings_for

BUNDLE = {"bundle": {"name": "b"}}
PROVIDER = {"module": "p", "config": {"api_key": "sk-1", "max_tokens": 5, "password": "${PW}"}}
NEW, NEWEST = "new-" + "x" * 28, "newest-" + "x" * 28
SECRETS = {**BUNDLE, "providers": [PROVIDER]}


async def create(client: httpx.AsyncClient, config_data: Any = BUNDLE, **more: Any) -> dict[str, Any]:
    response = await client.post("/configs", json={"name": "n", "config_data": config_data, **more})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_create_and_read(alice: httpx.AsyncClient) -> None:
    created = await create(alice, {**BUNDLE, "tools": [1]}, tools=[{"module": "t"}], tags={"a": "b"}, description="d")
    expected = {
        "name": "n",
        "description": "d",
        "config_data": {**BUNDLE, "tools": [{"module": "t"}]},
        "user_id": "alice",
        "tags": {"a": "b"},
        "message": "Config created successfully",
        "encrypted": False,
    }
    assert created.items() >= expected.items()
    assert created.keys() - expected.keys() == {"config_id", "created_at", "updated_at", "version"}
    read = await alice.get(f"/configs/{created['config_id']}")
    assert read.json() == {**created, "message": None}


@pytest.mark.parametrize(
    ("config_data", "detail"),
    [
        ({}, "Missing required section: 'bundle'"),
        ({"bundle": "x"}, "Section 'bundle' must be a dict, got str"),
        ({"bundle": {}}, "Missing required field: 'bundle.name'"),
        ({"bundle": {"name": ""}}, "bundle.name must be a non-empty string"),
        ({"bundle": {"name": 3}}, "bundle.name must be a non-empty string"),
        ({**BUNDLE, "includes": {}}, "includes must be a list"),
        ({**BUNDLE, "includes": ["x"]}, "includes[0] must be a dict"),
        ({**BUNDLE, "includes": [{"bundle": "b"}, {}]}, "includes[1] missing 'bundle' field"),
        ({**BUNDLE, "providers": "x"}, "providers must be a list"),
        ({**BUNDLE, "tools": [{"module": "m"}, 1]}, "tools[1] must be a dict"),
        ({**BUNDLE, "hooks": [{}]}, "hooks[0] missing 'module' field"),
        ({**BUNDLE, "spawn": []}, "spawn must be a dict"),
        (
            {**BUNDLE, "spawn": {"tools": [], "exclude_tools": []}},
            "spawn cannot have both 'exclude_tools' and 'tools' - use one or the other",
        ),
        ({**BUNDLE, "spawn": {"exclude_tools": "x"}}, "spawn.exclude_tools must be a list"),
        ({**BUNDLE, "spawn": {"tools": 1}}, "spawn.tools must be a list"),
    ],
)
async def test_validation(alice: httpx.AsyncClient, config_id: str, config_data: Any, detail: str) -> None:
    assert_problem(await alice.post("/configs", json={"name": "n", "config_data": config_data}), 400, detail)
    assert_problem(await alice.put(f"/configs/{config_id}", json={"config_data": config_data}), 400, detail)


@pytest.mark.parametrize(
    ("config_data", "place"),
    [
        ({}, "config_data.bundle"),
        ({"bundle": {}}, "config_data.bundle.name"),
        ({**BUNDLE, "providers": [{"module": "m"}, {}]}, "config_data.providers[1].module"),
        ({**BUNDLE, "spawn": {"tools": 1}}, "config_data.spawn.tools"),
        (
            {**BUNDLE, "providers": [{"module": "m", "config": {"model": "x" * 201}}]},
            "config_data.providers[0].config.model",
        ),
        ({**BUNDLE, "x": [["y" * 100_001]]}, "config_data.x[0][0]"),
    ],
)
async def test_problems_name_the_place(alice: httpx.AsyncClient, config_id: str, config_data: Any, place: str) -> None:
    body = {"config_data": config_data}
    for response in (
        await alice.post("/configs", json={"name": "n", **body}),
        await alice.put(f"/configs/{config_id}", json=body),
    ):
        assert [one["field"] for one in response.json()["errors"]] == [place]


async def test_problem_of_section_names_the_place_in_the_body(alice: httpx.AsyncClient, config_id: str) -> None:
    response = await alice.put(f"/configs/{config_id}", json={"tools": [{"module": "m" * 201}]})
    assert response.json()["errors"] == [
        {"field": "tools[0].module", "detail": "module must have at most 200 characters"}
    ]
    created = await alice.post("/configs", json={"name": "n", "config_data": BUNDLE, "tools": [{}]})
    assert created.json()["errors"] == [{"field": "tools[0].module", "detail": "tools[0] missing 'module' field"}]


async def test_section_alone_is_validated_too(alice: httpx.AsyncClient, config_id: str) -> None:
    response = await alice.put(f"/configs/{config_id}", json={"tools": [{}]})
    assert_problem(response, 400, "tools[0] missing 'module' field")


async def test_update(alice: httpx.AsyncClient) -> None:
    config = await create(alice, {**BUNDLE, "providers": [{"module": "p"}], "x": 1}, tags={"a": "b"}, description="d")
    path = f"/configs/{config['config_id']}"
    merged = (await alice.put(path, json={"tools": [{"module": "t"}], "name": None})).json()
    assert merged["message"] == "Config updated successfully"
    assert merged["config_data"] == {**config["config_data"], "tools": [{"module": "t"}]}
    assert (merged["name"], merged["tags"], merged["description"]) == ("n", {"a": "b"}, "d")
    assert merged["updated_at"] > config["updated_at"]
    replaced = (await alice.put(path, json={"config_data": BUNDLE, "tools": [{"module": "ignored"}]})).json()
    assert replaced["config_data"] == BUNDLE
    renamed = (await alice.put(path, json={"name": "m", "tags": {}, "description": ""})).json()
    assert (renamed["name"], renamed["tags"], renamed["description"]) == ("m", {}, "")
    assert renamed.pop("changed") == ["name", "tags", "description"]
    assert (await alice.get(path)).json() == {**renamed, "message": None}


async def test_concurrent_updates_of_different_sections_all_hold(alice: httpx.AsyncClient, config_id: str) -> None:
    sections = {name: [{"module": name, "bundle": name}] for name in ("includes", "tools", "providers")}
    for _ in range(5):
        await alice.put(f"/configs/{config_id}", json={"config_data": BUNDLE})
        puts = [alice.put(f"/configs/{config_id}", json={name: value}) for name, value in sections.items()]
        assert {answer.status_code for answer in await asyncio.gather(*puts)} == {200}
        assert (await alice.get(f"/configs/{config_id}")).json()["config_data"] == {**BUNDLE, **sections}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)])
async def test_strangers_config_is_not_there(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, config_id: str, method: str, body: Any
) -> None:
    for path in (f"/configs/{config_id}", "/configs/unknown"):
        assert_problem(await bob.request(method, path, json=body), 404, "Config not found")
    assert (await alice.get(f"/configs/{config_id}")).json()["name"] == CONFIG["name"]


async def test_delete(alice: httpx.AsyncClient, config_id: str) -> None:
    deleted = await alice.delete(f"/configs/{config_id}")
    assert (deleted.status_code, deleted.json()) == (
        200,
        {"message": "Config deleted successfully", "deleted_sessions": 0},
    )
    assert_problem(await alice.delete(f"/configs/{config_id}"), 404, "Config not found")


async def test_list(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    made = [(await create(alice, tags={"n": str(n)}))["config_id"] for n in range(3)]
    await create(bob)
    page = (await alice.get("/configs")).json()
    assert [row["config_id"] for row in page["configs"]] == made[::-1]
    assert (page["total"], page["next"]) == (3, None)
    assert page["configs"][0].keys() == {
        *("config_id", "name", "description", "user_id", "created_at", "updated_at", "tags", "version")
    }
    first = (await alice.get("/configs", params={"limit": 2})).json()
    rest = (await alice.get("/configs", params={"limit": 2, "after": first["next"]})).json()
    assert [row["config_id"] for row in first["configs"] + rest["configs"]] == made[::-1]
    assert (first["total"], rest["total"], rest["next"]) == (3, 3, None)
    tagged = (await alice.get("/configs", params={"tag": "n:1"})).json()
    assert [row["config_id"] for row in tagged["configs"]] == [made[1]]
    await alice.put(f"/configs/{made[0]}", json={"name": "changed"})
    assert (await alice.get("/configs")).json()["configs"][0]["config_id"] == made[0]


async def test_secrets_are_encrypted_at_rest(dsn: str, sql: Callable[..., list[Any]]) -> None:
    async with serving(settings_for(dsn, config_encryption_key=f"{NEW}, old")) as api:
        alice, bob = await api.as_user("alice"), await api.as_user("bob")
        created = await create(alice, SECRETS)
        path = f"/configs/{created['config_id']}"
        shown = created["config_data"]["providers"][0]["config"]
        assert created["encrypted"] is True
        assert shown["api_key"].startswith("enc:")
        assert (shown["max_tokens"], shown["password"]) == (5, "${PW}")
        assert "sk-1" not in str(sql("select config_json from configs"))
        assert (await alice.get(path)).json()["config_data"] == created["config_data"]
        clear = (await alice.get(path, params={"decrypt": "true"})).json()
        assert (clear["config_data"], clear["encrypted"]) == (SECRETS, True)
        assert_problem(await bob.get(path, params={"decrypt": "true"}), 404, "Config not found")
        # sent back as it was shown, it is not encrypted again
        again = (await alice.put(path, json={"config_data": created["config_data"]})).json()
        assert again["config_data"] == created["config_data"]
    async with serving(settings_for(dsn, config_encryption_key=f"{NEWEST},{NEW}")) as api:
        clear = (await (await api.as_user("alice", "later")).get(path, params={"decrypt": "true"})).json()
        assert clear["config_data"] == SECRETS


async def test_without_a_key_nothing_claims_to_be_encrypted(dsn: str) -> None:
    """With authentication off and the public SECRET_KEY."""
    off = settings_for(dsn, auth_required=False, secret_key=DEFAULT_SECRET_KEY)
    async with serving(off) as api:
        client = api.client()
        created = await create(client, {**BUNDLE, "token": "enc:zzz", "secret": "s"})
        assert (created["encrypted"], created["config_data"]["secret"]) == (False, "s")
        read = await client.get(f"/configs/{created['config_id']}", params={"decrypt": "true"})
        assert read.json()["config_data"]["token"] == "enc:zzz"


async def test_secrets_are_encrypted_without_encryption_key(dsn: str, sql: Callable[..., list[Any]]) -> None:
    """Under a key derived from SECRET_KEY, which opens them also after an encryption key is set."""
    config = {**SECRETS, "pin_token": 12345678, "default_headers": {"X-Gateway": "canary"}}
    async with serving(settings_for(dsn)) as api:
        created = await create(await api.as_user("alice"), config)
        path = f"/configs/{created['config_id']}"
        assert created["encrypted"] is True
        stored = str(sql("select config_json from configs"))
        assert all(secret not in stored for secret in ("sk-1", "12345678", "canary"))
    async with serving(settings_for(dsn, config_encryption_key=NEW)) as api:
        alice = await api.as_user("alice", "later")
        clear = (await alice.get(path, params={"decrypt": "true"})).json()["config_data"]
        assert clear == config
        await alice.put(path, json={"config_data": clear})
    stored = sql("select config_json from configs")[0][0]
    assert Keyring([NEW]).decrypt(stored, created["config_id"]) == config, "it needs no SECRET_KEY any more"


async def test_next_write_encrypts_secrets_that_were_stored_in_clear(
    alice: httpx.AsyncClient, sql: Callable[..., list[Any]]
) -> None:
    """A change of one section, an empty change, and a version that comes back."""
    config_id = (await create(alice))["config_id"]
    path = f"/configs/{config_id}"

    def in_clear() -> bool:
        return "sk-old" in str(sql("select config_json from configs"))

    for change in ({}, {"tools": [{"module": "t"}]}, {"name": "other"}):
        clear = msgspec.json.encode({**BUNDLE, "api_key": "sk-old"}).decode()
        sql("update configs set config_json = %s where config_id = %s", clear, config_id)
        assert in_clear()
        changed = await alice.put(path, json=change)
        assert (changed.status_code, changed.json()["encrypted"]) == (200, True)
        assert not in_clear()
        assert (await alice.get(path, params={"decrypt": True})).json()["config_data"]["api_key"] == "sk-old"
    version = sql("select max(version) from config_versions where config_json ->> 'api_key' = 'sk-old'")[0][0]
    restored = await alice.post(f"{path}/versions/{version}/restore")
    assert restored.json()["encrypted"] is True
    assert not in_clear()
