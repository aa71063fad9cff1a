"""Actions on sessions, in the list and on the session's page: each works, and roles see those that they may use."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open, check_page
from tests.console.test_session_list import Clients, made, share, titles

pytestmark = pytest.mark.slow


async def act(page: Page, title: str, action: str) -> None:
    await page.get_by_role("button", name=f"Actions for {title}").click()
    await page.get_by_role("button", name=action, exact=True).click()


async def stored(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    return dict((await client.get(f"/sessions/{session_id}")).json())


async def test_create_with_title_config_and_tags(open_page: Open, client_of: Clients, mia: str) -> None:
    config = {"name": "Travel", "config_data": {"bundle": {"name": "travel"}}}
    config_id = (await client_of(mia).post("/configs", json=config)).json()["config_id"]
    page = await open_page(mia)
    await page.get_by_role("heading", name="Sessions").click()
    await page.keyboard.press("c")
    dialog = page.get_by_role("dialog", name="Create a session")
    await dialog.get_by_label("Title").fill("Flight")
    await dialog.get_by_label("Config").select_option("Travel")
    for key, value in (("team", "red"), ("customer", "mia")):
        await dialog.get_by_label("Key of a new tag").fill(key)
        await dialog.get_by_label("Value of a new tag").fill(value)
        if key == "team":
            await dialog.get_by_role("button", name="Add tag").click()
    await check_page(page, "session-create")
    await dialog.get_by_role("button", name="Create", exact=True).click()
    await expect(page.get_by_role("heading", name="Flight")).to_be_visible()
    session = await stored(client_of(mia), page.url.rpartition("/")[2])
    assert (session["title"], session["config_id"]) == ("Flight", config_id)
    assert session["tags"] == {"team": "red", "customer": "mia"}


async def test_rename_tag_complete_and_resume(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    session_id = await made(client, "Flight", tags={"team": "red", "kept": "yes"})
    page = await open_page(mia)
    await act(page, "Flight", "Rename")
    await page.get_by_label("Title").fill("Flight to Geneva")
    await page.keyboard.press("Enter")
    await expect(titles(page)).to_have_text(["Flight to Geneva"])
    await act(page, "Flight to Geneva", "Change tags")
    await client.patch(
        f"/sessions/{session_id}",
        content='{"tags": {"other": "meanwhile"}}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    await page.get_by_role("button", name="Remove tag team").click()
    await page.get_by_label("Key of a new tag").fill("customer")
    await page.get_by_label("Value of a new tag").fill("mia")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    session = await stored(client, session_id)
    assert session["title"] == "Flight to Geneva"
    assert session["tags"] == {"kept": "yes", "customer": "mia", "other": "meanwhile"}
    for action, status in (("Complete", "completed"), ("Resume", "active")):
        await act(page, "Flight to Geneva", action)
        await expect(page.locator("article").get_by_text("completed")).to_have_count(int(status == "completed"))
        assert (await stored(client, session_id))["status"] == status


async def test_refusal_is_shown_in_the_dialog(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await made(client_of(mia), "Flight")
    await share(client_of(mia), session_id, noor, "editor")
    page = await open_page(noor)
    await act(page, "Flight", "Rename")
    await client_of(mia).patch(f"/sessions/{session_id}/participants/{noor}", json={"role": "viewer"})
    await page.get_by_role("button", name="Rename", exact=True).last.click()
    refusal = "Only owners and editors may change a session"
    await expect(page.get_by_role("alert").filter(has_text=refusal)).to_be_visible()


async def test_fork_is_opened(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await made(client_of(mia), "Flight", "one", "two")
    await share(client_of(mia), session_id, noor, "viewer")
    page = await open_page(noor)
    await act(page, "Flight", "Fork")
    await page.get_by_label("Title of the new session").fill("Another way")
    await page.get_by_role("button", name="Fork", exact=True).last.click()
    await expect(page.get_by_role("heading", name="Another way")).to_be_visible()
    fork = await stored(client_of(noor), page.url.rpartition("/")[2])
    assert (fork["forked_from_session_id"], fork["role"], fork["messages_total"]) == (session_id, "owner", 2)


async def test_roles_are_offered_what_they_may_do(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    expected = {
        "viewer": ["Fork"],
        "editor": ["Rename", "Change tags", "Complete", "Fork"],
        "owner": ["Rename", "Change tags", "Complete", "Fork", "Delete"],
    }
    ids = {role: await made(client_of(mia), f"As {role}") for role in expected}
    for role, session_id in ids.items():
        await share(client_of(mia), session_id, noor, role)
    page = await open_page(noor)
    for role, actions in expected.items():
        await page.get_by_role("button", name=f"Actions for As {role}").click()
        await expect(page.locator("[popover]:popover-open button")).to_have_text(actions)
        await page.keyboard.press("Escape")
    await page.get_by_role("link", name="As viewer").click()
    await page.get_by_role("button", name="Actions for As viewer").click()
    await expect(page.locator("[popover]:popover-open").get_by_role("button", name="Delete")).to_have_count(0)
