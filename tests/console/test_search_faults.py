"""The search page where something is wrong: nothing found, problems, no network, and hostile texts."""

import re

import pytest
from playwright.async_api import expect

from tests.console.conftest import Open, check_page
from tests.console.test_search import Client, field, options_of, session

pytestmark = pytest.mark.slow
VECTORS = [
    "needle <img src=x onerror=alert(1)>",
    "needle <script>alert(1)</script>",
    "needle <svg/onload=alert(1)>",
    "needle <iframe srcdoc='<script>alert(1)</script>'></iframe>",
    'needle "><a href="javascript:alert(1)">x</a>',
    "needle <math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "needle \u202egnp.exe </mark><b onclick=alert(1)>b</b>",
]


async def test_nothing_found_says_what_to_do(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/search?q=absent")
    await expect(page.get_by_text("Nothing was found")).to_be_visible()
    await expect(page.get_by_text("Try fewer words")).to_be_visible()
    await check_page(page, "search-nothing")


async def test_notice_of_the_service_is_shown(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/search?q=%3F!")
    await expect(page.get_by_text("There is nothing to search for in q")).to_be_visible()
    await expect(page.get_by_text("Nothing was found")).to_be_hidden()


async def test_problem_is_shown_with_a_way_on(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia, "/search?q=needle&role=nobody")
    await expect(page.get_by_role("alert")).to_contain_text("role")
    await check_page(page, "search-problem")
    await page.get_by_role("button", name="Remove filter Role: nobody").click()
    await expect(options_of(page)).to_have_count(2)


async def test_search_comes_back_after_a_lost_connection(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia, "/search")
    box = await field(page)
    await page.context.set_offline(True)
    await box.fill("needle")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.context.set_offline(False)
    await expect(options_of(page)).to_have_count(2)
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_try_again_searches_again(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", "needle")
    page = await open_page(mia, "/search")
    failing = re.compile(r"/search\?q=")
    problem = '{"title": "Service Unavailable", "status": 503, "detail": "The search took longer than 2 s"}'
    await page.route(failing, lambda route: route.fulfill(status=503, body=problem))
    await (await field(page)).fill("needle")
    await expect(page.get_by_role("alert")).to_contain_text("The search took longer")
    await page.unroute(failing)
    await page.get_by_role("button", name="Try again").click()
    await expect(options_of(page)).to_have_count(2)


async def test_page_that_fails_leaves_the_hits_before_it(open_page: Open, client_of: Client, mia: str) -> None:
    await session(client_of(mia), "One", *[f"needle {number}" for number in range(25)])
    page = await open_page(mia)
    failing = re.compile(r"/search\?.*cursor=")
    await page.route(failing, lambda route: route.fulfill(status=503, body='{"detail": "Try later", "status": 503}'))
    await page.get_by_role("searchbox", name="Search").fill("needle")
    await page.keyboard.press("Enter")
    messages = page.get_by_role("group", name="Messages").get_by_role("option")
    await messages.last.scroll_into_view_if_needed()
    await expect(page.get_by_role("alert")).to_contain_text("Try later")
    await expect(messages).to_have_count(20)
    await page.unroute(failing)
    await page.get_by_role("button", name="Try again").click()
    await expect(messages).to_have_count(25)


async def test_hostile_texts_are_shown_as_text(open_page: Open, client_of: Client, mia: str) -> None:
    hostile = f"{mia}-<img src=x onerror=alert(1)>"
    client = client_of(mia)
    for vector in VECTORS:
        session_id = await session(client, vector, vector, tags={"needle": vector[:90]})
        await client.post(f"/sessions/{session_id}/participants", json={"user_id": hostile, "role": "editor"})
        message = {"role": "user", "content": f"{vector} {vector}"}
        answer = await client_of(hostile).post(f"/sessions/{session_id}/transcript", json={"messages": [message]})
        assert answer.status_code == 201
    page = await open_page(mia, f"/search?q=needle&tag={VECTORS[0].replace(' ', '%20')}:x")
    await page.get_by_role("button", name=re.compile("^Remove filter Tag")).click()
    options = options_of(page)
    await expect(options).to_have_count(3 + 1 + 20)
    await expect(page.get_by_role("button", name=f"{hostile} 7")).to_be_visible()
    inside = await page.locator("[role=listbox]").evaluate(
        "list => [...list.querySelectorAll('*')].map(e => e.localName)"
    )
    assert set(inside) <= {"a", "div", "span", "bdi", "mark", "time"}
    assert await page.locator("[role=listbox] [href^='javascript']").count() == 0
    await expect(options.filter(has_text="<script>alert(1)</script>").first).to_be_visible()
