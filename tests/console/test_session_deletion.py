"""Deletion of sessions with undo: the request is sent when its time is over, or when the page is left."""

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open
from tests.console.test_session_actions import act
from tests.console.test_session_list import Clients, made, titles
from tests.support.polling import gives, until

pytestmark = pytest.mark.slow


async def status(client: httpx.AsyncClient, session_id: str) -> int:
    return (await client.get(f"/sessions/{session_id}")).status_code


async def opened(open_page: Open, client: httpx.AsyncClient, mia: str) -> tuple[Page, str]:
    """Opens a list of two sessions with a clock of its own, and deletes the second."""
    await made(client, "Kept")
    session_id = await made(client, "Flight")
    page = await open_page(mia)
    await expect(titles(page)).to_have_text(["Flight", "Kept"])
    await page.clock.install()
    await act(page, "Flight", "Delete")
    await expect(titles(page)).to_have_text(["Kept"])
    return page, session_id


async def test_undo_keeps_session(open_page: Open, client_of: Clients, mia: str) -> None:
    page, session_id = await opened(open_page, client_of(mia), mia)
    await page.get_by_role("button", name="Undo").click()
    await expect(titles(page)).to_have_text(["Flight", "Kept"])
    await page.clock.run_for(60_000)
    assert await status(client_of(mia), session_id) == 200


async def test_session_is_deleted_when_time_is_over(open_page: Open, client_of: Clients, mia: str) -> None:
    page, session_id = await opened(open_page, client_of(mia), mia)
    await page.clock.run_for(9_000)
    assert await status(client_of(mia), session_id) == 200
    async with page.expect_response(lambda response: response.request.method == "DELETE") as answer:
        await page.clock.run_for(2_000)
    assert (await answer.value).status == 200
    assert await status(client_of(mia), session_id) == 404
    await expect(titles(page)).to_have_text(["Kept"])


async def test_session_is_deleted_when_page_is_left(open_page: Open, client_of: Clients, mia: str) -> None:
    page, session_id = await opened(open_page, client_of(mia), mia)
    await page.close()
    await until(lambda: gives(client_of(mia), 404, f"/sessions/{session_id}"))


async def test_refused_deletion_brings_session_back(open_page: Open, client_of: Clients, mia: str) -> None:
    page, session_id = await opened(open_page, client_of(mia), mia)
    problem = '{"title": "Service Unavailable", "status": 503, "detail": "The database is away: try again"}'
    await page.route(
        f"**/sessions/{session_id}",
        lambda route: route.fulfill(status=503, body=problem, content_type="application/problem+json"),
    )
    await page.clock.run_for(11_000)
    await expect(titles(page)).to_have_text(["Flight", "Kept"])
    await expect(page.get_by_text("The database is away")).to_be_visible()


async def test_deletion_on_the_session_page_shows_the_list(open_page: Open, client_of: Clients, mia: str) -> None:
    session_id = await made(client_of(mia), "Flight")
    page = await open_page(mia, f"/sessions/{session_id}")
    await act(page, "Flight", "Delete")
    await expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(titles(page)).to_have_text(["Flight"])
