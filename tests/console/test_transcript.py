"""The list of messages on the page of a session: where it opens, how it moves, and what finds and exports do."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.conftest import Open, check_page
from tests.console.test_messages import session_with
from tests.support.databases import execute

pytestmark = pytest.mark.slow

ClientOf = Callable[[str], httpx.AsyncClient]
COUNT = 400


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"message number {number}"} for number in range(1, count + 1)]


@pytest.fixture
async def session(client_of: ClientOf, mia: str) -> str:
    """A session of 400 messages."""
    return await session_with(client_of(mia), numbered(COUNT), "Many messages")


def message(page: Page, number: int) -> Locator:
    return page.get_by_role("article").filter(has_text=f"message number {number}").first


async def scroll_to(page: Page, number: int, place: str) -> None:
    """Scrolls to the top or to the bottom until the message is in the page."""
    link = page.get_by_role("link", name=f"Link to message {number}", exact=True)
    for _ in range(100):
        await page.get_by_role("region", name="Messages").evaluate(f"(list) => {{ list.scrollTop = {place} }}")
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        if await link.count():
            return
    raise AssertionError(f"message {number} did not come")


async def test_session_opens_at_its_newest_message(open_page: Open, mia: str, session: str) -> None:
    page = await open_page(mia, f"/sessions/{session}")
    await expect(message(page, COUNT)).to_be_in_viewport()
    assert await page.get_by_role("article").count() < 60


async def test_session_of_sub_agent_leads_to_its_parent(
    open_page: Open, client_of: ClientOf, mia: str, session: str, console_dsn: str
) -> None:
    child = await session_with(client_of(mia), numbered(1), "Looked up")
    execute(console_dsn, f"update sessions set parent_session_id = '{session}' where session_id = '{child}'")
    page = await open_page(mia, f"/sessions/{child}")
    await page.get_by_role("link", name="Sub-agent of another session").click()
    await expect(page.get_by_role("heading", name="Many messages")).to_be_visible()
    await expect(page.get_by_role("link", name="Sub-agent of another session")).to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("link", name="Sub-agent of another session")).to_be_visible()
    await check_page(page, "sub-agent")


async def test_session_leads_to_its_sub_agents(
    open_page: Open, client_of: ClientOf, mia: str, console_dsn: str
) -> None:
    client = client_of(mia)
    parent = await session_with(client, numbered(1), "Plan a trip")
    page = await open_page(mia, f"/sessions/{parent}")
    await expect(page.get_by_role("article")).to_have_count(1)
    children = [await session_with(client, numbered(2), f"Looked up {number}") for number in range(3)]
    for child in children:
        execute(console_dsn, f"update sessions set parent_session_id = '{parent}' where session_id = '{child}'")
    await page.reload()
    await page.get_by_role("button", name="3 sub-agents").click()
    links = page.get_by_role("link", name="Looked up")
    await expect(links).to_have_text(["Looked up 2", "Looked up 1", "Looked up 0"])
    await check_page(page, "sub-agents")
    await links.nth(1).click()
    await expect(page.get_by_role("heading", name="Looked up 1")).to_be_visible()
    await expect(page.get_by_role("button", name="sub-agents")).to_have_count(0)
    await page.goto(page.url.split("/sessions")[0])
    row = page.get_by_role("article").filter(has_text="Looked up 1")
    await expect(row.get_by_text("sub-agent", exact=True)).to_be_visible()
    await expect(page.get_by_role("article").filter(has_text="Plan a trip").get_by_text("sub-agent")).to_have_count(0)


async def test_older_messages_come_by_scrolling(open_page: Open, mia: str, session: str) -> None:
    page = await open_page(mia, f"/sessions/{session}")
    await expect(message(page, COUNT)).to_be_in_viewport()
    await scroll_to(page, 1, "0")
    await expect(message(page, 1)).to_be_in_viewport()
    await page.get_by_role("button", name="To the end").click()
    await expect(message(page, COUNT)).to_be_in_viewport()


async def test_link_opens_a_message_and_its_surroundings(open_page: Open, mia: str, session: str) -> None:
    page = await open_page(mia, f"/sessions/{session}?seq=200")
    await expect(message(page, 200)).to_be_in_viewport()
    await page.get_by_role("link", name="Link to message 201").click()
    await expect(page).to_have_url(re.compile(r"\?seq=201$"))
    await scroll_to(page, COUNT, "list.scrollHeight")
    await scroll_to(page, 1, "0")


async def test_find_shows_hits_one_by_one(open_page: Open, mia: str, client_of: ClientOf) -> None:
    hits = {40: "the umbrella", 300: "an umbrella again"}
    texts = [hits.get(number, f"message number {number}") for number in range(1, COUNT + 1)]
    messages = [{"role": "user", "content": text} for text in texts]
    page = await open_page(mia, f"/sessions/{await session_with(client_of(mia), messages)}")
    await page.get_by_role("button", name="Find").click()
    await page.get_by_role("searchbox", name="Find in this session").fill("umbrel")
    await expect(page.get_by_text("1 of 2")).to_be_visible()
    await expect(page.get_by_text("an umbrella again")).to_be_in_viewport()
    await check_page(page, "transcript-find")
    await page.get_by_role("button", name="Older hit").click()
    await expect(page.get_by_text("2 of 2")).to_be_visible()
    await expect(page.get_by_text("the umbrella")).to_be_in_viewport()
    await page.keyboard.press("Escape")


async def test_transcript_is_exported_whole(open_page: Open, mia: str, session: str, tmp_path: Path) -> None:
    page = await open_page(mia, f"/sessions/{session}")
    await page.get_by_role("button", name="Export").click()
    await check_page(page, "transcript-export")
    name, exported = await downloaded(page, "openai", tmp_path)
    assert (name, json.loads(exported)["messages"]) == ("Many messages.json", numbered(COUNT))
    name, exported = await downloaded(page, "markdown", tmp_path)
    assert (name, exported.count("message number ")) == ("Many messages.md", COUNT)
    name, exported = await downloaded(page, "jsonl", tmp_path)
    assert (name, len(exported.splitlines())) == ("Many messages.jsonl", COUNT)


async def downloaded(page: Page, format: str, folder: Path) -> tuple[str, str]:
    """Returns the name and the text of a file that the dialog downloads."""
    await page.get_by_label("Format").select_option(format)
    async with page.expect_download() as found:
        await page.get_by_role("button", name="Download").click()
    download = await found.value
    await download.save_as(folder / "file")
    return download.suggested_filename, (folder / "file").read_text()


async def test_participant_who_may_not_export_reads_why(
    open_page: Open, mia: str, noor: str, client_of: ClientOf
) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(1))
    body = {"user_id": noor, "role": "editor", "permissions": {"export": False}}
    assert (await client.post(f"/sessions/{session}/participants", json=body)).status_code == 201
    page = await open_page(noor, f"/sessions/{session}")
    await page.get_by_role("button", name="Export").click()
    await page.get_by_role("button", name="Download").click()
    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("may not export")


async def test_message_is_taken_back(open_page: Open, mia: str, client_of: ClientOf) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(3))
    page = await open_page(mia, f"/sessions/{session}")
    await page.get_by_role("button", name="Actions for message 2").click()
    await page.get_by_role("button", name="Take back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    await expect(page.get_by_text("Taken back")).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(2)
    left = (await client.get(f"/sessions/{session}/transcript")).json()["messages"]
    assert [entry["seq"] for entry in left] == [1, 3]


async def test_viewers_are_offered_no_writes(open_page: Open, mia: str, noor: str, client_of: ClientOf) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(1))
    body = {"user_id": noor, "role": "viewer"}
    assert (await client.post(f"/sessions/{session}/participants", json=body)).status_code == 201
    page = await open_page(noor, f"/sessions/{session}")
    await page.get_by_role("button", name="Actions for message 1").click()
    await expect(page.get_by_role("button", name="Fork from here")).to_be_visible()
    await expect(page.get_by_role("button", name="Take back")).to_have_count(0)


async def test_missing_session_says_so(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/sessions/none")
    await expect(page.get_by_role("alert")).to_contain_text("Session not found")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    await check_page(page, "transcript-missing")


async def test_empty_session_says_so(open_page: Open, mia: str, client_of: ClientOf) -> None:
    made = await client_of(mia).post("/sessions", json={})
    page = await open_page(mia, f"/sessions/{made.json()['session_id']}")
    await expect(page.get_by_text("Nothing was said here yet")).to_be_visible()
    await check_page(page, "transcript-empty")
