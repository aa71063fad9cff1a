"""People of a session in the console: two browsers, of which one sees what the other changes."""

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.conftest import Clients, Open, check_page

pytestmark = pytest.mark.slow
HOSTILE = '"><img src=x onerror="document.title=1">\u202e'


async def session_of(client: Any, **people: str) -> str:
    """Creates a session with these people by user id and role, and returns its id."""
    session_id = str((await client.post("/sessions", json={"title": "Flight to Geneva"})).json()["session_id"])
    for user_id, role in people.items():
        await client.post(f"/sessions/{session_id}/participants", json={"user_id": user_id, "role": role})
    return session_id


async def people(page: Page) -> Locator:
    """Opens the dialog about people and returns it."""
    await page.get_by_role("button", name="People").click()
    return page.get_by_role("dialog", name="People")


def row(dialog: Locator, user_id: str) -> Locator:
    """Returns the row of a participant."""
    return dialog.get_by_role("list", name="Participants").get_by_role("listitem").filter(has_text=user_id)


async def choose(dialog: Locator, user_id: str, action: str) -> None:
    """Chooses an action from the menu of a participant."""
    await dialog.get_by_role("button", name=f"Actions for {user_id}").click()
    await dialog.get_by_role("button", name=action).click()


async def test_roles_take_effect_in_the_other_browser(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await session_of(client_of(mia))
    owner = await people(await open_page(mia, f"/sessions/{session_id}"))
    await owner.get_by_label("User id").fill(noor)
    await owner.get_by_role("combobox", name="Role", exact=True).select_option("viewer")
    await owner.get_by_role("button", name="Add", exact=True).click()
    await expect(row(owner, noor)).to_be_visible()
    page = await open_page(noor, f"/sessions/{session_id}")
    other = await people(page)
    await expect(row(other, noor)).to_contain_text("viewer")
    await expect(other.get_by_role("combobox")).to_have_count(0)
    await expect(other.get_by_role("textbox")).to_have_count(0)
    await owner.get_by_label(f"Role of {noor}").select_option("editor")
    await expect(row(other, noor)).to_contain_text("editor")
    await choose(owner, noor, "Change permissions")
    await owner.get_by_label("Add people").select_option("true")
    await owner.get_by_role("button", name="Save permissions").click()
    await expect(row(owner, noor)).to_contain_text("may invite")
    await expect(other.get_by_label("User id")).to_be_visible()
    await expect(other.get_by_role("combobox", name="Role", exact=True).get_by_role("option")).to_have_count(2)
    await check_page(owner.page, "people-owner")
    await check_page(page, "people-editor")
    await choose(owner, noor, "Remove")
    await owner.get_by_role("button", name="Remove", exact=True).click()
    await expect(row(owner, noor)).to_be_hidden()
    response = await client_of(noor).get(f"/sessions/{session_id}")
    assert response.status_code == 404


async def test_session_is_handed_over(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await session_of(client_of(mia), **{noor: "editor"})
    other = await people(await open_page(noor, f"/sessions/{session_id}"))
    await expect(other.get_by_role("combobox")).to_have_count(0)
    owner = await people(await open_page(mia, f"/sessions/{session_id}"))
    await expect(owner).to_contain_text("You are the only owner")
    await choose(owner, noor, "Hand the session over")
    await check_page(owner.page, "people-question")
    await owner.get_by_role("button", name="Hand over").click()
    await expect(row(owner, mia)).to_contain_text("editor")
    await expect(owner.get_by_role("combobox")).to_have_count(0)
    await expect(other.get_by_label(f"Role of {mia}")).to_have_value("editor")
    session = (await client_of(noor).get(f"/sessions/{session_id}")).json()
    assert (session["owner_user_id"], session["role"]) == (noor, "owner")


async def test_participant_leaves(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await session_of(client_of(mia), **{noor: "viewer"})
    owner = await people(await open_page(mia, f"/sessions/{session_id}"))
    page = await open_page(noor, f"/sessions/{session_id}")
    dialog = await people(page)
    await choose(dialog, noor, "Leave the session")
    await dialog.get_by_role("button", name="Leave", exact=True).click()
    await expect(page.get_by_text("You left the session")).to_be_visible()
    await expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_visible()
    await expect(row(owner, noor)).to_be_hidden()
    found = (await client_of(mia).get(f"/sessions/{session_id}/participants")).json()["items"]
    assert [one["user_id"] for one in found] == [mia]


async def test_refusals_are_shown_in_the_dialog(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    """An owner who is none any more when the browser asks."""
    session_id = await session_of(client_of(mia), **{noor: "owner"})
    page = await open_page(noor, f"/sessions/{session_id}")
    dialog = await people(page)
    await page.route(
        "**/participants", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    await dialog.get_by_label("User id").fill("omar")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("did not answer")
    await page.unroute("**/participants")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(row(dialog, "omar")).to_be_visible()
    await expect(dialog.get_by_role("alert")).to_have_count(0)


async def test_hostile_user_ids_are_text(open_page: Open, client_of: Clients, mia: str) -> None:
    session_id = await session_of(client_of(mia), **{HOSTILE: "viewer"})
    page = await open_page(mia, f"/sessions/{session_id}")
    dialog = await people(page)
    await expect(row(dialog, HOSTILE)).to_be_visible()
    await dialog.get_by_label(f"Role of {HOSTILE}").select_option("editor")
    await expect(dialog.get_by_label(f"Role of {HOSTILE}")).to_have_value("editor")
    await choose(dialog, HOSTILE, "Change permissions")
    await dialog.get_by_label("Stop the agent").select_option("false")
    await dialog.get_by_role("button", name="Save permissions").click()
    await expect(row(dialog, HOSTILE)).to_contain_text("may not stop the agent")
    await check_page(page, "people-hostile")


async def test_many_people_are_shown_by_pages(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    session_id = await session_of(client, **{f"user-{number:03}": "viewer" for number in range(205)})
    page = await open_page(mia, f"/sessions/{session_id}")
    await expect(page.get_by_role("button", name="People (200+)")).to_be_visible()
    dialog = await people(page)
    await dialog.get_by_role("button", name="Show more people").click()
    await expect(row(dialog, "user-204")).to_be_visible()
    await expect(row(dialog, mia)).to_have_count(1)
