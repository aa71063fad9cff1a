"""The page of the search: results while typing, the keyboard's way through them, and the way back."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.console.conftest import NARROW, Open, check_page

pytestmark = pytest.mark.slow
CONFIG = {"name": "Travel desk", "config_data": {"bundle": {"name": "travel"}}}

Client = Callable[[str], httpx.AsyncClient]


async def session(client: httpx.AsyncClient, title: str, *messages: Any, **body: Any) -> str:
    """Creates a session with messages; texts are those of a user."""
    created = await client.post("/sessions", json={"title": title, **body})
    session_id = str(created.json()["session_id"])
    bodies = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
    appended = await client.post(f"/sessions/{session_id}/transcript", json={"messages": bodies})
    assert appended.status_code == 201, appended.text
    return session_id


def options_of(page: Page) -> Locator:
    return page.get_by_role("listbox").get_by_role("option")


async def field(page: Page) -> Locator:
    box = page.get_by_role("combobox", name="Search")
    await expect(box).to_be_focused()
    return box


async def test_typing_shows_hits_with_marks(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "Flight to Geneva", "Is the travel insurance refundable?", "No answer yet")
    page = await open_page(mia, "/search")
    await (await field(page)).press_sequentially("refundable insur")
    messages = page.get_by_role("group", name="Messages").get_by_role("option")
    await expect(messages).to_have_count(1)
    await expect(messages.locator("mark")).to_have_text(["insurance", "refundable"])
    await expect(messages).to_contain_text("Flight to Geneva")
    sessions = page.get_by_role("group", name="Sessions").get_by_role("option")
    await expect(sessions).to_contain_text("1 hit")
    await expect(page.get_by_role("status").filter(has_text="hit")).to_have_text("1 hit in 1 session")
    await expect(page).to_have_url(re.compile(r"/search\?q=refundable\+insur$"))
    await check_page(page, "search-hits")


async def test_former_results_stay_until_others_come(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle in a haystack", "needles")
    page = await open_page(mia, "/search?q=needle")
    options = options_of(page)
    await expect(options).to_have_count(3)
    may_pass = asyncio.Event()

    async def hold(route: Route) -> None:
        await may_pass.wait()
        await route.continue_()

    await page.route(re.compile(r"[0-9]/search\?q=needle.+hay"), hold)
    await (await field(page)).fill("needle hays")
    await expect(page.get_by_role("listbox")).to_have_attribute("aria-busy", "true")
    await expect(options).to_have_count(3)
    may_pass.set()
    await expect(options).to_have_count(2)
    await expect(page.get_by_role("listbox")).to_have_attribute("aria-busy", "false")


async def test_keys_choose_and_open_a_hit(open_page: Open, client_of: Client, mia: str) -> None:
    session_id = await session(client_of(mia), "One", "nothing", "needle")
    page = await open_page(mia, "/search?q=needle")
    box = await field(page)
    options = options_of(page)
    await expect(options).to_have_count(2)
    await box.press("ArrowDown")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(box).to_have_attribute("aria-activedescendant", "result-0")
    await box.press("ArrowDown")
    await box.press("ArrowDown")  # the last one stays
    await expect(options.last).to_have_attribute("aria-selected", "true")
    await box.press("ArrowUp")
    await box.press("ArrowUp")
    await expect(page.locator("[role=option][aria-selected=true]")).to_have_count(0)
    await box.press("ArrowDown")
    await box.press("ArrowDown")
    await box.press("Enter")
    await expect(page).to_have_url(re.compile(f"/sessions/{session_id}\\?seq=2$"))
    await page.go_back()
    await expect(page.get_by_role("combobox", name="Search")).to_have_value("needle")
    await expect(options.last).to_have_attribute("aria-selected", "true")


async def test_escape_empties_the_field(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia, "/search?q=needle")
    box = await field(page)
    await expect(options_of(page)).to_have_count(2)
    await box.press("Escape")
    await expect(box).to_have_value("")
    await expect(options_of(page)).to_have_count(0)
    await expect(box).to_have_attribute("aria-expanded", "false")
    await expect(page).to_have_url(re.compile(r"/search$"))
    await expect(page.get_by_text("What you type finds")).to_be_visible()
    await check_page(page, "search-empty")


async def test_last_word_is_a_beginning_from_three_letters_on(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/search")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/search?" in request.url else None)
    box = await field(page)
    for typed in ("re", "refund", "refund ", '"refund ins', "refund -ins", "refund 東京都", "mia@exa"):
        async with page.expect_response(re.compile(r"/search\?q=")):
            await box.fill(typed)
    words = [dict(httpx.URL(url).params)["q"] for url in sent if "/console/" not in url]
    assert words == ["re", "refund*", "refund ", '"refund ins', "refund -ins", "refund 東京都", "mia@exa*"]


async def test_all_pages_follow_while_scrolling(open_page: Open, client_of: Client, mia: str) -> None:
    client = client_of(mia)
    await session(client, "One", *[f"needle {number}" for number in range(45)])
    page = await open_page(mia, "/search?q=needle&sort=recent")
    messages = page.get_by_role("group", name="Messages").get_by_role("option")
    await expect(messages.first).to_contain_text("needle 44")
    box = await field(page)
    for _ in range(46):
        await box.press("ArrowDown")
    await expect(messages).to_have_count(45)
    await expect(messages.last).to_contain_text("needle 0")


async def test_more_sessions_are_shown_on_demand(open_page: Open, client_of: Client, mia: str) -> None:
    for number in range(5):
        await session(client_of(mia), f"Case {number}", "needle")
    page = await open_page(mia, "/search?q=needle")
    sessions = page.get_by_role("group", name="Sessions").get_by_role("option")
    await expect(sessions).to_have_count(4)
    await sessions.last.click()
    await expect(sessions).to_have_count(5)


async def test_field_of_the_frame_opens_the_search(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("/")
    above = page.get_by_role("searchbox", name="Search")
    await expect(above).to_be_focused()
    await above.fill("needle")
    await above.press("Enter")
    await expect(await field(page)).to_have_value("needle")
    await expect(options_of(page)).to_have_count(2)
    await expect(above).to_have_count(0)
    await page.get_by_role("heading", level=1).focus()
    await page.keyboard.press("/")
    await field(page)


async def test_key_opens_the_search_where_the_frame_has_no_room_for_a_field(open_page: Open, mia: str) -> None:
    page = await open_page(mia, viewport=NARROW)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("/")
    await field(page)


async def test_another_person_sees_nothing_of_the_former_one(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia, "/search?q=needle")
    await expect(options_of(page)).to_have_count(2)
    await page.get_by_role("button", name="You: ").click()
    await page.get_by_role("button", name="Work as").click()
    await page.get_by_role("dialog").get_by_role("textbox").fill(f"{mia}-other")
    await page.get_by_role("button", name="Work as this user").click()
    await expect(page.get_by_text("Nothing was found")).to_be_visible()
