"""ROOT_PATH: behind a proxy that publishes the service under a prefix, whether it removes the prefix or not."""

import re

import pytest

from amplifier.setting_sources import load
from amplifier.settings import SettingsError
from tests.conftest import CONFIG, serving, settings_for

ROOT = "/amplifier"


@pytest.mark.parametrize("prefix", ["", ROOT])
async def test_paths_with_and_without_prefix_reach_the_same_route(dsn: str, prefix: str) -> None:
    async with serving(settings_for(dsn, root_path=f"{ROOT}/")) as api:
        alice = await api.as_user("alice")
        for name in ("a", "b"):
            await alice.post(f"{prefix}/configs", json=CONFIG | {"name": name})
        page = await alice.get(f"{prefix}/configs?limit=1")
        assert [one["name"] for one in page.json()["configs"]] == ["b"]
        following = page.links["next"]["url"]
        assert following.startswith(f"{ROOT}/configs?limit=1&cursor=")
        assert [one["name"] for one in (await alice.get(following)).json()["configs"]] == ["a"]
        root = (await alice.get(prefix or "/")).json()
        assert (root["docs"], root["health"]) == (f"{ROOT}/docs", f"{ROOT}/health")


async def test_only_the_whole_prefix_is_removed(dsn: str) -> None:
    async with serving(settings_for(dsn, root_path=ROOT)) as api:
        client = api.client()
        assert (await client.get(f"{ROOT}/health")).status_code == 200
        assert (await client.get(f"{ROOT}health")).status_code == 404
        assert (await client.get(f"{ROOT}{ROOT}/health")).status_code == 404
        assert (await client.get(f"{ROOT}/%2e%2e/health")).status_code == 404


async def test_pages_name_addresses_below_prefix(dsn: str) -> None:
    async with serving(settings_for(dsn, root_path=ROOT)) as api:
        client = api.client()
        document = (await client.get(f"{ROOT}/openapi.json")).json()
        assert document["servers"][0]["url"] == ROOT
        for page in ("/docs", "/redoc"):
            text = (await client.get(f"{ROOT}{page}")).text
            found = set(re.findall(r'(?:src|href|data-document)="(/[^"?]*)', text))
            assert f"{ROOT}/openapi.json" in found
            for address in found:
                assert address.startswith(f"{ROOT}/")
                assert (await client.get(address)).status_code == 200
    async with serving(settings_for(dsn)) as api:
        assert (await api.client().get("/openapi.json")).json()["servers"][0]["url"] == "/"


async def test_prefix_that_begins_a_path_of_the_api_stops_start(dsn: str) -> None:
    for path in ("/sessions", "/health", "/docs/assets"):
        with pytest.raises(SettingsError, match="ROOT_PATH must not be the beginning of the API's own paths"):
            async with serving(settings_for(dsn, root_path=path)):
                pass


@pytest.mark.parametrize("value", ["amplifier", "/a b", "//", "/a//b", "/ä", "/%2e", "http://x/"])
def test_invalid_prefix_stops_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^ROOT_PATH must be a path that begins with a slash"):
        load({"ROOT_PATH": value})
