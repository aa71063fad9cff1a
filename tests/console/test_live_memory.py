"""Memory of a page that follows a busy session for long."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.console.conftest import Clients, Open
from tests.console.live import Shared, message, shared
from tests.support.agents import echo

pytestmark = pytest.mark.slow

ROUNDS, MESSAGES = 20, 1000  # an hour with more than five messages a second
TEXT = "A line of an answer with **bold** words and `code`, as they come. "


async def used(page: Page, browser: CDPSession) -> tuple[float, int]:
    """Returns megabytes of the heap after a collection, and the number of nodes of the page."""
    for _ in range(2):
        await browser.send("HeapProfiler.collectGarbage")
    heap: Any = await browser.send("Runtime.getHeapUsage")
    nodes: int = await page.evaluate("document.querySelectorAll('*').length")
    return heap["usedSize"] / 1e6, nodes


async def fill(session: Shared, page: Page, number: int) -> None:
    """Appends messages, and waits until the page shows the last one. Goes to the end if a burst was left behind."""
    await session.call(
        "POST", "/messages", json={"message": TEXT * 20}, timeout=60
    )  # which the agent repeats word by word
    texts = [f"{TEXT} {number}-{index}" for index in range(MESSAGES - 3)]
    await session.append(*texts, f"the end of round {number}.")
    end = message(page, f"the end of round {number}.")
    behind = page.get_by_role("button", name=re.compile("new messages?|To the end"))
    async with asyncio.timeout(60):
        while not await end.is_visible():
            await expect(end.or_(behind).first).to_be_visible(timeout=60_000)
            if await behind.is_visible():
                await behind.click()


async def test_memory_stays_flat_while_20_000_messages_come(
    open_page: Open, client_of: Clients, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor, "editor", echo())
    page = await open_page(noor, session.page)
    browser = await page.context.new_cdp_session(page)
    for number in range(6):  # the page keeps some thousand messages
        await fill(session, page, number)
    heap, nodes = await used(page, browser)
    for number in range(6, ROUNDS):
        await fill(session, page, number)
    later, nodes_later = await used(page, browser)
    assert later < heap * 1.2 + 2, f"{heap:.1f} MB after 6,000 messages, {later:.1f} MB after 20,000"
    assert nodes_later < nodes * 1.2 + 50
