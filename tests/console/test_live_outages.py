"""Followers of a session while connection, service and database fail: no message is missed, none is shown twice."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from tests.console.conftest import LIMIT, Clients, Open, settings
from tests.console.live import Shared, message, say, shared, writing
from tests.support.databases import execute
from tests.support.llm import Stub
from tests.support.service import Service, free_port, running_service

pytestmark = pytest.mark.slow

HIGH = {"width": 1280, "height": 8000}  # all messages of these tests are in view
LOST = "The connection is lost"
BACKENDS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


@pytest.fixture
def environ(console_dsn: str, models: Stub) -> dict[str, str]:
    """The settings of a service that a test may kill and start again on the same port."""
    return settings(console_dsn, models, SERVICE_PORT=str(free_port()))


@pytest.fixture
def own(environ: dict[str, str]) -> Iterator[Service]:
    """A service of the test's own."""
    with running_service(environ) as service:
        yield service


async def notes(page: Page) -> list[int]:
    """Returns the numbers of the notes that the page shows, from top to bottom."""
    texts = await page.get_by_role("article").all_inner_texts()
    return [int(found[1]) for text in texts if (found := re.search(r"note (\d+)\b", text))]


async def append(session: Shared, number: int) -> None:
    """Appends a note, and tries again while the service or its database is away."""
    body = {"messages": [{"role": "user", "content": f"note {number}"}], "keys": [f"note-{number}"]}
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await session.client.post(f"{session.path}/transcript", json=body)
                if answer.is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def shows(page: Page, count: int) -> None:
    """Expects the first `count` notes, each once and in order."""
    await expect(message(page, f"note {count - 1}")).to_be_visible(timeout=3 * LIMIT)
    assert await notes(page) == list(range(count))


async def test_lost_connection_leaves_no_gap(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(noor, session.page, viewport=HIGH)
    await append(session, 0)
    await shows(page, 1)
    for start in (1, 4):
        await page.context.set_offline(True)
        await expect(page.get_by_text(LOST)).to_be_visible()
        for number in range(start, start + 3):
            await append(session, number)
        await page.context.set_offline(False)
        await shows(page, start + 3)
        await expect(page.get_by_text(LOST)).to_have_count(0)


async def test_message_that_is_not_sent_stays_in_the_text_area(
    open_page: Open, client_of: Clients, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(mia, session.page)
    await expect(writing(page)).to_be_visible()
    await page.context.set_offline(True)
    await say(page, "Written on a train")
    await expect(page.get_by_role("alert")).to_contain_text("did not answer")
    await expect(writing(page)).to_have_value("Written on a train")
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Send again").click()
    await expect(message(page, "Written on a train")).to_have_count(1)
    await expect(page.get_by_text("Sending…")).to_have_count(0)
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert await session.texts() == ["Written on a train"]


async def test_answer_ends_the_questions_whether_the_service_is_there(
    open_page: Open, client_of: Clients, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(noor, session.page)
    await expect(writing(page)).to_be_visible()
    asked: list[str] = []

    async def fail(route: Route) -> None:
        asked.append(route.request.url)
        await route.abort()

    await page.clock.install()
    await page.route("**/health/live", fail)
    await page.route(f"**{session.path}/transcript", fail, times=1)
    await say(page, "Twice")  # it is sent again, on a machine that is not slow before the first question
    await expect(message(page, "Twice")).to_have_count(1)
    assert asked
    asked.clear()
    await page.clock.run_for(20_000)
    assert asked == []


async def test_killed_service_leaves_no_gap(
    open_page: Open, own: Service, environ: dict[str, str], mia: str, noor: str
) -> None:
    async with httpx.AsyncClient(base_url=own.url, headers={"X-User-ID": mia}) as client:
        session = await shared(client, noor)
        page = await open_page(noor, session.page, origin=own.url, viewport=HIGH)
        await append(session, 0)
        await shows(page, 1)
        os.killpg(own.process.pid, signal.SIGKILL)
        await expect(page.get_by_text(LOST)).to_be_visible(timeout=2 * LIMIT)
        with running_service(environ):
            for number in range(1, 6):
                await append(session, number)
            await shows(page, 6)
            await say(page, "And here we are again")
            await expect(message(page, "And here we are again")).to_have_count(1)
            assert (await session.texts())[-1] == "And here we are again"


async def test_terminated_backends_leave_no_gap(
    open_page: Open, own: Service, console_dsn: str, mia: str, noor: str
) -> None:
    async with httpx.AsyncClient(base_url=own.url, headers={"X-User-ID": mia}) as client:
        session = await shared(client, noor)
        page = await open_page(noor, session.page, origin=own.url, viewport=HIGH)
        await append(session, 0)
        await shows(page, 1)
        for number in range(1, 10):
            if number % 3 == 0:
                await asyncio.to_thread(execute, console_dsn, BACKENDS)
            await append(session, number)
        await shows(page, 10)


async def test_page_follows_where_sockets_are_blocked(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(noor, session.page, viewport=HIGH)
    blocked: Any = "const Real = WebSocket; WebSocket = class extends Real { constructor(url) { super(url + '&no') } }"
    await page.add_init_script(blocked)
    await page.reload()
    await expect(writing(page)).to_be_visible()
    for number in range(3):
        await append(session, number)
    await shows(page, 3)


async def test_eight_tabs_follow_and_send(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    """Over HTTP/1.1 a browser has six connections to a host, which streams of server-sent events would use up."""
    session = await shared(client_of(mia), noor)
    page = await open_page(mia, session.page)
    tabs = [page] + [await page.context.new_page() for _ in range(7)]
    for tab in tabs[1:]:
        await tab.goto(page.url)
    await say(tabs[-1], "From the eighth tab")
    for tab in tabs:
        await expect(message(tab, "From the eighth tab")).to_have_count(1)
