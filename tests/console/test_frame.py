"""The frame of the console: navigation, theme, shortcuts, focus, and another person's eyes."""

import pytest
from playwright.async_api import expect

from tests.console.conftest import Open, check_page

pytestmark = pytest.mark.slow


async def test_navigation_marks_the_page_and_moves_the_focus_to_it(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page).to_have_title("Sessions · Amplifier")
    await expect(page.get_by_role("link", name="Sessions")).to_have_attribute("aria-current", "page")
    await page.get_by_role("link", name="Configs").click()
    await expect(page).to_have_title("Configs · Amplifier")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await expect(page.get_by_role("link", name="Configs")).to_have_attribute("aria-current", "page")
    await expect(page.locator("[aria-current=page]")).to_have_count(1)
    await check_page(page, "frame")


async def test_skip_link_leads_past_the_navigation(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_theme_is_kept_in_this_browser(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    background = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(background)
    await page.get_by_role("button", name="You:").click()
    await page.get_by_role("button", name="Dark").click()
    dark = await page.evaluate(background)
    assert dark != light
    await page.reload()
    await page.get_by_role("button", name="You:").click()
    await check_page(page, "user-menu")
    await expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    assert await page.evaluate(background) == dark
    await page.get_by_role("button", name="System").click()
    assert await page.evaluate(background) == light


async def test_shortcuts_move_between_pages_but_not_while_somebody_types(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page.get_by_text("There are no sessions yet")).to_be_visible()
    await page.keyboard.type("gc")
    await expect(page).to_have_title("Configs · Amplifier")
    await page.get_by_role("button", name="You:").click()
    await page.get_by_role("button", name="Work as").click()
    await page.get_by_label("User id").press_sequentially("gs?")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page).to_have_title("Configs · Amplifier")


async def test_shortcuts_can_be_turned_off(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page.get_by_role("button", name="You:")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Show configs")
    await check_page(page, "shortcuts")
    await page.get_by_label("Use shortcuts").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.type("gc?")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page).to_have_title("Sessions · Amplifier")


async def test_window_works_as_another_user_also_with_an_id_beyond_ascii(open_page: Open, mia: str, noor: str) -> None:
    page = await open_page(mia)
    await page.get_by_role("button", name=f"You: {mia}").click()
    await page.get_by_role("button", name="Work as").click()
    await page.get_by_label("User id").fill(f"{noor}-é-山")
    await check_page(page, "work-as")
    await page.get_by_role("button", name="Work as this user").click()
    await page.get_by_role("button", name=f"You: {noor}-é-山").click()
    await expect(page.get_by_text(f"{noor}-é-山")).to_be_visible()
    await expect(page.get_by_text("Application dev-app")).to_be_visible()


async def test_page_says_while_the_service_cannot_be_reached(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page.get_by_role("button", name="You:")).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.get_by_text("You are offline")).to_be_visible()
    await page.context.set_offline(False)
    await expect(page.get_by_text("You are offline")).to_have_count(0)


async def test_page_that_cannot_be_loaded_says_so_and_the_others_live(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    await expect(page).to_have_title("Sessions · Amplifier")
    await page.context.route("**/assets/list-page-*.js", lambda route: route.abort())
    await page.get_by_role("link", name="Configs").click()
    await expect(page.get_by_role("heading", name="This page could not be loaded")).to_be_focused()
    await page.get_by_role("link", name="Sessions").click()
    await expect(page).to_have_title("Sessions · Amplifier")
    await page.context.unroute("**/assets/list-page-*.js")
    await page.get_by_role("link", name="Configs").click()
    await page.get_by_role("button", name="Load it again").click()
    await expect(page).to_have_title("Configs · Amplifier")


async def test_address_that_leads_nowhere_says_so(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/nowhere/at/all")
    await expect(page.get_by_text("There is no such page")).to_be_visible()
    await page.get_by_role("link", name="Show sessions").click()
    await expect(page).to_have_title("Sessions · Amplifier")
