"""The way of people who have read nothing: to an agent, to a second person in the session, and to what was said."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open, check_page

pytestmark = pytest.mark.slow


async def say(page: Page, text: str) -> None:
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.keyboard.press("Enter")


async def test_newcomer_talks_to_an_agent_and_shares_the_session(open_page: Open, mia: str, noor: str) -> None:
    hers = await open_page(mia)
    await hers.get_by_role("button", name="Try the echo agent").click()
    await say(hers, "The ferry to Naxos leaves at noon")
    await expect(hers.get_by_text("You said: The ferry to Naxos leaves at noon", exact=True)).to_be_visible()

    his = await open_page(noor)
    await expect(his.get_by_text("There are no sessions yet")).to_be_visible()
    await hers.get_by_role("button", name="People").click()
    dialog = hers.get_by_role("dialog")
    await dialog.get_by_label("User id").fill(noor)
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.get_by_text(noor).first).to_be_visible()
    await hers.keyboard.press("Escape")

    await expect(his.get_by_role("link", name="A talk with the echo agent")).to_be_visible()  # at once, by itself
    await his.keyboard.press("/")
    await his.keyboard.type("naxos")
    await his.keyboard.press("Enter")
    await his.get_by_role("option").filter(has_text="leaves at noon").last.click()
    await expect(his).to_have_title("A talk with the echo agent · Amplifier")
    await expect(his.get_by_text("You said: The ferry to Naxos leaves at noon", exact=True)).to_be_visible()

    await say(hers, "Two seats, please")
    await expect(his.get_by_text("You said: Two seats, please", exact=True)).to_be_visible()
    await say(his, "I come along")
    await expect(hers.get_by_text("You said: I come along", exact=True)).to_be_visible()
    await check_page(his, "first-steps")
