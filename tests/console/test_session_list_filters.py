"""The filters of the list of sessions, in the page and in its address."""

import httpx
import pytest
from playwright.async_api import expect

from tests.console.conftest import Open, check_page
from tests.console.test_session_list import Clients, made, say, share, titles

pytestmark = pytest.mark.slow


async def arranged(mia: httpx.AsyncClient, noor: httpx.AsyncClient, mia_id: str) -> str:
    """Makes three sessions of mia's, of which one has a config, and one of noor's, which she has not read."""
    config = {"name": "Travel", "config_data": {"bundle": {"name": "travel"}}}
    config_id = str((await mia.post("/configs", json=config)).json()["config_id"])
    await made(mia, "Tagged", tags={"team": "red"})
    await made(mia, "Configured", config_id=config_id)
    done = await made(mia, "Done")
    await mia.patch(f"/sessions/{done}", json={"status": "completed"})
    shared = await made(noor, "Shared")
    await share(noor, shared, mia_id, "viewer")
    await say(noor, shared, "news")
    return config_id


async def test_each_filter(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    config_id = await arranged(client_of(mia), client_of(noor), mia)
    page = await open_page(mia)
    everything = ["Shared", "Done", "Configured", "Tagged"]
    await expect(titles(page)).to_have_text(everything)
    for label, choice, expected, address in (
        ("Whose", "Mine", everything[1:], "whose=mine"),
        ("Whose", "Shared with me", ["Shared"], "whose=shared"),
        ("Status", "completed", ["Done"], "status=completed"),
        ("Config", "Travel", ["Configured"], f"config={config_id}"),
        ("Order", "Oldest first", everything[::-1], "sort=first"),
    ):
        control = page.get_by_label(label, exact=True)
        await control.select_option(choice)
        await expect(titles(page)).to_have_text(expected)
        assert page.url.endswith(f"?{address}")
        await control.select_option(index=0)
        await expect(titles(page)).to_have_text(everything)
    await page.get_by_label("Unread", exact=True).check()
    await expect(titles(page)).to_have_text(["Shared"])
    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_label("Tag", exact=True).fill("team:red")
    await page.get_by_label("Tag", exact=True).press("Enter")
    await expect(titles(page)).to_have_text(["Tagged"])
    assert page.url.endswith("?tag=team%3Ared")
    await check_page(page, "sessions-filtered")
    await page.get_by_role("button", name="Remove filter team:red").click()
    await expect(titles(page)).to_have_text(everything)
    await page.get_by_label("to", exact=True).fill("2020-01-01")
    await expect(page.get_by_text("No session fits these filters")).to_be_visible()


async def test_address_carries_filters(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    await arranged(client_of(mia), client_of(noor), mia)
    page = await open_page(mia, "/?whose=mine&sort=first&from=2020-01-01&status=nonsense")
    await expect(titles(page)).to_have_text(["Tagged", "Configured", "Done"])
    await expect(page.get_by_label("Whose")).to_have_value("mine")
    await expect(page.get_by_label("Changed from")).to_have_value("2020-01-01")
    await expect(page.get_by_label("Status")).to_have_value("")
    await page.get_by_role("link", name="Tagged").click()
    await expect(page.get_by_role("heading", name="Tagged")).to_be_visible()
    await page.go_back()
    await expect(titles(page)).to_have_text(["Tagged", "Configured", "Done"])
