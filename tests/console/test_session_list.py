"""The list of sessions: its rows, live updates, pages, filters, keys, and its other states."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.console.conftest import Open, check_page
from tests.support.databases import execute

pytestmark = pytest.mark.slow

Clients = Callable[[str], httpx.AsyncClient]
HOSTILE = "<img src=x onerror=alert(1)>"


async def made(client: httpx.AsyncClient, title: str | None, *said: str, **body: Any) -> str:
    answer = await client.post("/sessions", json={"title": title, **body} if title else body)
    session_id = str(answer.json()["session_id"])
    for text in said:
        await say(client, session_id, text)
    return session_id


async def say(client: httpx.AsyncClient, session_id: str, text: str) -> None:
    message = {"role": "user", "content": text}
    answer = await client.post(f"/sessions/{session_id}/transcript", json={"messages": [message]})
    assert answer.status_code == 201, answer.text


async def share(client: httpx.AsyncClient, session_id: str, user_id: str, role: str) -> None:
    answer = await client.post(f"/sessions/{session_id}/participants", json={"user_id": user_id, "role": role})
    assert answer.status_code == 201, answer.text


def titles(page: Page) -> Locator:
    return page.locator("article a")


async def test_rows_show_what_a_session_is_about(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await made(client_of(mia), "Flight", tags={"customer": "mia"})
    await share(client_of(mia), session_id, noor, "editor")
    await say(client_of(noor), session_id, "I **fly**,\n\ntoo")
    await client_of(mia).patch(f"/sessions/{session_id}", json={"status": "completed"})
    await made(client_of(mia), None)
    page = await open_page(mia)
    await expect(titles(page)).to_have_text(["Untitled session", "Flight"])
    row = page.locator("article").nth(1)
    for text in (f"{noor}: I fly, too", "customer: mia", "completed", "1 unread"):
        await expect(row).to_contain_text(text)
    for user_id in (mia, noor):
        await expect(row.get_by_role("img", name=user_id)).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="2 sessions")).to_be_visible()
    await check_page(page, "sessions")


async def test_list_shows_what_happened_before_it_followed(open_page: Open, client_of: Clients, mia: str) -> None:
    await made(client_of(mia), "First")
    page = await open_page(mia)
    asked: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
    await page.context.route("**/events/ticket", lambda route: asked.set_result(route), times=1)
    await page.reload()
    await expect(titles(page)).to_have_text(["First"])
    held = await asyncio.wait_for(asked, 10)
    await made(client_of(mia), "Second")
    await held.continue_()
    await expect(titles(page)).to_have_text(["Second", "First"])


async def test_list_follows_changes_of_others(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    first, second = await made(client_of(mia), "First"), await made(client_of(mia), "Second")
    await share(client_of(mia), first, noor, "editor")
    page = await open_page(mia)
    await expect(titles(page)).to_have_text(["First", "Second"])
    await titles(page).nth(1).focus()
    await say(client_of(noor), first, "Hello from afar")
    await expect(page.locator("article").first).to_contain_text("Hello from afar")
    await client_of(mia).patch(f"/sessions/{second}", json={"title": "Second again"})
    await expect(titles(page)).to_have_text(["Second again", "First"])
    await expect(titles(page).first).to_be_focused()
    shared = await made(client_of(noor), "Of noor")
    await share(client_of(noor), shared, mia, "viewer")
    await expect(titles(page)).to_have_text(["Of noor", "Second again", "First"])
    await client_of(noor).delete(f"/sessions/{shared}/participants/{mia}")
    await client_of(mia).delete(f"/sessions/{second}")
    await expect(titles(page)).to_have_text(["First"])
    await expect(page.get_by_role("status").filter(has_text="1 session")).to_be_visible()


async def test_session_that_no_longer_fits_leaves_filtered_list(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    one = await made(client, "One")
    await made(client, "Two")
    page = await open_page(mia, "/?status=active")
    await expect(titles(page)).to_have_text(["Two", "One"])
    await client.patch(f"/sessions/{one}", json={"status": "completed"})
    await expect(titles(page)).to_have_text(["Two"])
    await client.post(f"/sessions/{one}/resume")
    await expect(titles(page)).to_have_text(["One", "Two"])


async def test_thousands_are_read_page_by_page(open_page: Open, console_dsn: str, mia: str, client_of: Clients) -> None:
    newest = await made(client_of(mia), "Newest")
    execute(
        console_dsn,
        f"""
        with added as (
            insert into sessions (session_id, owner_user_id, created_by_app_id, title, updated_at)
            select '{mia}-' || n, '{mia}', 'dev-app', 'Number ' || n, now() - n * interval '1 minute'
            from generate_series(1, 3000) as n
            returning session_id
        )

        insert into session_participants (session_id, user_id, role) select session_id, '{mia}', 'owner' from added
        """,
    )
    page = await open_page(mia)
    await expect(page.get_by_role("status").filter(has_text="3,001 sessions")).to_be_visible()
    region = page.get_by_role("region", name="Sessions")
    await titles(page).first.focus()
    for _ in range(4):
        size = await page.locator("li[data-index]").last.get_attribute("aria-setsize")
        await page.keyboard.press("End")
        await expect(page.locator("li[data-index]").last).not_to_have_attribute("aria-setsize", str(size))
    assert await page.locator("article").count() < 60
    place = await region.evaluate("element => element.scrollTop")
    assert place > 10_000
    shown = await titles(page).nth(9).inner_text()
    top = (await page.get_by_role("link", name=shown, exact=True).bounding_box())["y"]
    await say(client_of(mia), newest, "moves nothing")
    await made(client_of(mia), "Another")
    await expect(page.get_by_role("status").filter(has_text="3,002 sessions")).to_be_visible()
    moved = (await page.get_by_role("link", name=shown, exact=True).bounding_box())["y"]
    assert abs(moved - top) < 2
    await page.get_by_role("button", name="Jump to the top").click()
    await expect(page.get_by_role("link", name="Another")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{page.url.split('/console')[0]}/console/sessions/{newest}")


async def test_hostile_texts_are_shown_as_text(open_page: Open, client_of: Clients, mia: str) -> None:
    session_id = await made(client_of(mia), HOSTILE, HOSTILE, tags={HOSTILE: HOSTILE})
    await share(client_of(mia), session_id, HOSTILE, "editor")
    page = await open_page(mia)
    await expect(titles(page)).to_have_text([HOSTILE])
    await expect(page.get_by_role("img", name=HOSTILE)).to_be_visible()
    await expect(page.locator("article")).to_contain_text(f"{HOSTILE}: {HOSTILE}")
    await page.get_by_role("button", name=f"Actions for {HOSTILE}").click()
    await page.get_by_role("button", name="Change tags").click()
    await expect(page.get_by_role("button", name=f"Remove tag {HOSTILE}")).to_be_visible()
    assert await page.locator("img[src]").count() == 0


async def test_newcomer_tries_the_echo_agent(open_page: Open, client_of: Clients, mia: str) -> None:
    page = await open_page(mia)
    await expect(page.get_by_text("There are no sessions yet")).to_be_visible()
    await check_page(page, "sessions-empty")
    await page.get_by_role("button", name="Try the echo agent").click()
    await expect(page.get_by_role("heading", name="A talk with the echo agent")).to_be_visible()
    [session] = (await client_of(mia).get("/sessions")).json()["sessions"]
    assert session["session_id"] in page.url
    config = (await client_of(mia).get(f"/configs/{session['config_id']}")).json()
    assert config["config_data"]["providers"] == [{"module": "provider-echo"}]


async def test_failure_is_told_and_tried_again(open_page: Open, client_of: Clients, mia: str) -> None:
    await made(client_of(mia), "Here")
    problem = '{"title": "Service Unavailable", "status": 503, "detail": "The database is away: try again"}'
    page = await open_page(mia, "/configs")

    async def fail(route: Any) -> None:
        await route.fulfill(status=503, body=problem, content_type="application/problem+json")

    await page.route("**/sessions?*", fail)
    await page.get_by_role("link", name="Sessions").click()
    await expect(page.get_by_role("alert").filter(has_text="The database is away")).to_be_visible()
    await page.unroute("**/sessions?*")
    await page.get_by_role("button", name="Try again").click()
    await expect(titles(page)).to_have_text(["Here"])
