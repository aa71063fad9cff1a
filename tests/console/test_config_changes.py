"""Changes of configs in the console: versions, lost updates, secrets, deletion, and trying one."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.console.conftest import Clients, Open, check_page
from tests.console.test_config_pages import create, replace, stored
from tests.support.service import Service, running_service

pytestmark = pytest.mark.slow
HOSTILE = '<img src=x onerror="document.title=1">\u202e"}'


@pytest.fixture(scope="module")
async def encrypting(console_dsn: str) -> AsyncIterator[Service]:
    """A service with a key for secrets in configs."""
    with running_service({"DATABASE_URL": console_dsn, "CONFIG_ENCRYPTION_KEY": "a key for secrets in configs"}) as one:
        yield one


async def test_versions_are_compared_and_restored(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    await client.put(f"/configs/{config_id}", json={"name": "Trains", "tags": {"team": "north"}})
    await client.put(f"/configs/{config_id}", json={"config_data": {"bundle": {"name": "trains"}}})
    page = await open_page(mia, f"/configs/{config_id}")
    await page.get_by_role("button", name="Changes in version 3").click()
    diff = page.get_by_role("region", name="From version 2 to version 3")
    await expect(diff.locator("ins").first).to_contain_text('"name": "trains"')
    await expect(diff.locator("del").first).to_contain_text('"name": "travel"')
    await page.get_by_label("Compare version").fill("1")
    await page.get_by_label("Compare version").press("Enter")
    diff = page.get_by_role("region", name="From version 1 to version 3")
    await expect(diff.locator("ins").first).to_contain_text('"name": "Trains"')
    await check_page(page, "config-versions")
    await page.get_by_role("button", name="Restore version 1").click()
    await expect(page.get_by_role("heading", name="Travel desk")).to_be_visible()
    await expect(page.get_by_label("Bundle")).to_have_value("travel")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("heading", name="Trains")).to_be_visible()
    config = await stored(client, config_id)
    assert (config["version"], config["config_data"]) == (5, {"bundle": {"name": "trains"}})


async def test_lost_update_is_refused_and_shown(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    page = await open_page(mia, f"/configs/{config_id}")
    await page.get_by_label("Description").fill("Mine")
    await client.put(f"/configs/{config_id}", json={"description": "Theirs"})
    await page.get_by_role("button", name="Save", exact=True).click()
    diff = page.get_by_role("region", name="From version 2 to yours")
    await expect(diff.locator("del")).to_contain_text("Theirs")
    await expect(diff.locator("ins")).to_contain_text("Mine")
    assert (await stored(client, config_id))["description"] == "Theirs"
    await check_page(page, "config-conflict")
    await page.get_by_role("button", name="Save mine over it").click()
    await expect(diff).to_be_hidden()
    await expect(page.get_by_role("button", name="Changes in version 3")).to_be_visible()
    assert (await stored(client, config_id))["description"] == "Mine"


async def test_other_version_is_taken_instead(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    page = await open_page(mia, f"/configs/{config_id}")
    await page.get_by_label("Bundle").fill("mine")
    await client.put(f"/configs/{config_id}", json={"config_data": {"bundle": {"name": "theirs"}}})
    await page.keyboard.press("Control+s")
    await page.get_by_role("button", name="Take version 2").click()
    await expect(page.get_by_label("Bundle")).to_have_value("theirs")
    await expect(page.get_by_label("Config as JSON")).to_contain_text('"name": "theirs"')
    await expect(page.get_by_role("button", name="Save", exact=True)).to_be_hidden()


async def test_unsaved_changes_stay_on_other_pages(open_page: Open, client_of: Clients, mia: str) -> None:
    page = await open_page(mia, f"/configs/{await create(client_of(mia))}")
    await page.get_by_label("Name", exact=True).fill("Trains")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Configs").click()
    await page.get_by_role("link", name="Travel desk").click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Trains")
    await page.get_by_role("button", name="Discard").click()
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Travel desk")


async def test_secrets_are_hidden_and_kept(open_page: Open, encrypting: Service, mia: str) -> None:
    provider: dict[str, Any] = {"module": "provider-openai", "config": {"model": "gpt-5-mini", "api_key": "sk-first"}}
    async with httpx.AsyncClient(base_url=encrypting.url, headers={"X-User-ID": mia}) as client:
        config_id = await create(client, config={"bundle": {"name": "travel"}, "providers": [provider]})
        page = await open_page(mia, f"/configs/{config_id}", origin=encrypting.url)
        code = page.get_by_label("Config as JSON")
        await expect(code).to_contain_text('"api_key": encrypted secret')
        await replace(page, '"model"', '"model": "gpt-6",')
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_text("Saved as version 2")).to_be_visible()
        shown = (await stored(client, config_id, decrypt="true"))["config_data"]["providers"][0]["config"]
        assert shown == {"model": "gpt-6", "api_key": "sk-first"}
        await page.get_by_role("button", name="Replace: API key").click()
        await page.get_by_label("API key").fill("sk-second")
        assert await page.get_by_label("API key").get_attribute("type") == "password"
        await page.get_by_role("button", name="Save", exact=True).click()
        await page.get_by_role("button", name="Changes in version 3").click()
        diff = page.get_by_role("region", name="From version 2 to version 3")
        await expect(diff.locator("ins")).to_have_text('+        "api_key": "••••• (secret 2)"')
        await expect(page.get_by_text("sk-second")).to_have_count(0)
        shown = (await stored(client, config_id, decrypt="true"))["config_data"]["providers"][0]["config"]
        assert shown["api_key"] == "sk-second"
        await check_page(page, "config-secrets")


async def test_config_is_tried_in_a_new_session(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    page = await open_page(mia, f"/configs/{config_id}")
    await page.get_by_label("Instructions").fill("Answer in verse.")
    await page.get_by_role("button", name="Save and try").click()
    await expect(page.get_by_role("heading", name="Try Travel desk")).to_be_visible()
    session = (await client.get(f"/sessions/{page.url.rsplit('/', 1)[1]}")).json()
    assert (session["config_id"], session["config_version"]) == (config_id, 2)


async def test_deletion_says_what_goes_with_it(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    await client.post(f"/sessions/{session_id}/participants", json={"user_id": noor, "role": "viewer"})
    page = await open_page(mia, f"/configs/{config_id}")
    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("one session, with everything said in it, are deleted")
    await dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Other people take part")
    assert (await client.get(f"/configs/{config_id}")).status_code == 200
    await check_page(page, "config-deletion")
    await dialog.get_by_role("button", name="Delete also for others").click()
    await expect(page.get_by_role("heading", name="Configs", exact=True)).to_be_visible()
    assert (await client.get(f"/sessions/{session_id}")).status_code == 404


async def test_hostile_names_are_text(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config = {"bundle": {"name": HOSTILE}, "__proto__": {HOSTILE: HOSTILE}, "providers": [{"module": HOSTILE}]}
    config_id = await create(client, HOSTILE, config, description=HOSTILE, tags={HOSTILE: HOSTILE})
    page = await open_page(mia, "/configs")
    await page.get_by_role("link", name="<img").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    await expect(page.get_by_label("Bundle")).to_have_value(HOSTILE)
    await page.get_by_label("Description").fill("d")
    await page.keyboard.press("Control+s")
    await page.get_by_role("button", name="Changes in version 2").click()
    await expect(page.get_by_role("region", name="From version 1 to version 2").locator("ins")).to_contain_text('"d"')
    assert (await stored(client, config_id))["config_data"] == config
    assert await page.title() == f"{HOSTILE} · Amplifier"


async def test_config_of_others_is_not_found(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    page = await open_page(noor, f"/configs/{await create(client_of(mia))}")
    await expect(page.get_by_role("alert")).to_contain_text("Config not found")
    await check_page(page, "config-missing")
