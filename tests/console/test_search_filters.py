"""Filters of the search page: facets with counts, chips, dates and tags, and what the address keeps of them."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import NARROW, Open, check_page
from tests.console.test_search import CONFIG, Client, session

pytestmark = pytest.mark.slow
CALL = {
    "role": "assistant",
    "content": "needle",
    "tool_calls": [{"id": "1", "function": {"name": "find_flight", "arguments": "{}"}}],
}


async def arranged(client_of: Client, mia: str, noor: str) -> str:
    """Creates two sessions in which mia and noor said `needle`, one of them with a config and a tag."""
    client = client_of(mia)
    config_id = str((await client.post("/configs", json=CONFIG)).json()["config_id"])
    session_id = await session(client, "One", "needle", CALL, config_id=config_id, tags={"team": "red"})
    await client.post(f"/sessions/{session_id}/participants", json={"user_id": noor, "role": "editor"})
    message = {"role": "user", "content": "a needle of noor"}
    await client_of(noor).post(f"/sessions/{session_id}/transcript", json={"messages": [message]})
    await session(client, "Two", "needle")
    return config_id


async def hits(page: Page, count: int) -> None:
    await expect(page.get_by_role("group", name="Messages").get_by_role("option")).to_have_count(count)


async def test_facets_filter_and_count(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    config_id = await arranged(client_of, mia, noor)
    page = await open_page(mia, "/search?q=needle")
    filters = page.get_by_role("region", name="Filters")
    await hits(page, 4)
    for button, address, count in (
        ("user 3", "role=user", 3),
        (f"{noor} 1", f"author={noor}", 1),
        ("find_flight 1", "tool=find_flight", 1),
        ("Travel desk 3", f"config_id={config_id}", 3),
    ):
        await filters.get_by_role("button", name=button).click()
        await hits(page, count)
        await expect(page).to_have_url(re.compile(rf"\?q=needle&{address}$"))
        await filters.locator("[aria-pressed=true]").click()
        await hits(page, 4)
    await expect(page).to_have_url(re.compile(r"\?q=needle$"))


async def test_chips_show_and_remove_filters(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    config_id = await arranged(client_of, mia, noor)
    page = await open_page(mia, f"/search?q=needle&role=user&config_id={config_id}&tag=team:red")
    chips = page.get_by_role("list", name="Active filters").get_by_role("listitem")
    await expect(chips).to_contain_text(["Role: user", "Config: Travel desk", "Tag: team:red"])
    await hits(page, 2)
    await check_page(page, "search-filters")
    await chips.get_by_role("button", name="Remove filter Role: user").click()
    await hits(page, 3)
    await chips.get_by_role("button", name="Remove filter Tag: team:red").click()
    await expect(chips).to_have_count(1)
    await page.go_back()
    await expect(chips).to_have_count(2)
    await page.go_back()
    await hits(page, 2)


async def test_month_day_and_tag_narrow_the_search(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    await arranged(client_of, mia, noor)
    page = await open_page(mia, "/search?q=needle")
    chips = page.get_by_role("list", name="Active filters").get_by_role("listitem")
    month = page.get_by_role("group", name="Month").get_by_role("button")
    await month.click()
    await expect(chips).to_contain_text(["Month: "])
    await hits(page, 4)
    await month.click()
    await page.get_by_label("Before").fill("2020-01-01")
    await expect(page.get_by_text("Nothing was found")).to_be_visible()
    await expect(chips).to_contain_text(["Before: Jan 1, 2020"])
    await page.get_by_role("button", name="Remove all filters").click()
    await hits(page, 4)
    tag = page.get_by_label("Tag")
    await tag.fill("red")
    await tag.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Enter a key and a value")
    await tag.fill("team:red")
    await tag.press("Enter")
    await hits(page, 3)


async def test_session_narrows_the_search(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    await arranged(client_of, mia, noor)
    page = await open_page(mia, "/search?q=needle")
    await page.get_by_role("group", name="Session", exact=True).get_by_role("button", name="One 3").click()
    await hits(page, 3)
    await expect(page).to_have_url(re.compile("session_id="))
    chips = page.get_by_role("list", name="Active filters").get_by_role("listitem")
    await expect(chips).to_contain_text(["Session: One"])


async def test_order_is_kept_in_the_address(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    await arranged(client_of, mia, noor)
    page = await open_page(mia, "/search?q=needle")
    await page.get_by_label("Order").select_option("Newest first")
    await expect(page).to_have_url(re.compile("sort=recent$"))
    messages = page.get_by_role("group", name="Messages").get_by_role("option")
    await expect(messages.first).to_contain_text("Two")


async def test_filters_are_folded_on_a_narrow_page(open_page: Open, client_of: Client, mia: str, noor: str) -> None:
    await arranged(client_of, mia, noor)
    page = await open_page(mia, "/search?q=needle", viewport=NARROW)
    button = page.get_by_role("button", name="user 3")
    await expect(button).to_be_hidden()
    await page.get_by_text("Filters", exact=True).click()
    await button.click()
    await hits(page, 3)
