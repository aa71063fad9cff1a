"""Invitations in the console: links that others open."""

import re

import pytest
from playwright.async_api import expect

from tests.console.conftest import Clients, Open, check_page
from tests.console.test_people import people, session_of
from tests.support.databases import execute
from tests.support.openid import openid_provider
from tests.support.service import running_service

pytestmark = pytest.mark.slow


async def test_invited_person_joins(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session_id = await session_of(client_of(mia))
    page = await open_page(mia, f"/sessions/{session_id}")
    dialog = await people(page)
    await dialog.get_by_role("combobox", name="Joins as").select_option("viewer")
    await dialog.get_by_label("Expires in").select_option("1 day")
    await dialog.get_by_role("button", name="Create link").click()
    link = await dialog.get_by_label("Invitation link").input_value()
    origin, token = re.fullmatch(r"(http://[^/]+)/console/invitations#(inv_\S+)", link).groups()  # type: ignore[union-attr]
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await dialog.get_by_role("button", name="Copy link").click()
    await expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == link
    await check_page(page, "invitations")
    other = await open_page(noor, f"/invitations#{token}", origin=origin)
    await expect(other.get_by_text(noor).last).to_be_visible()
    assert token not in other.url
    await check_page(other, "invitation")
    assert (await client_of(noor).get(f"/sessions/{session_id}")).status_code == 404  # opening it does nothing
    await other.get_by_role("button", name="Join the session").click()
    await expect(other.get_by_role("heading", name="Flight to Geneva")).to_be_visible()
    invitations = dialog.get_by_role("list", name="Invitations")
    await expect(invitations.get_by_role("listitem")).to_contain_text("viewer, 1 of 1 joined")
    await expect(invitations).to_contain_text("used up")
    part = (await client_of(noor).get(f"/sessions/{session_id}/participants/me")).json()
    assert part["role"] == "viewer"


async def test_link_works_after_a_reload(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    """As after signing in, which leads to other addresses."""
    client = client_of(mia)
    session_id = await session_of(client)
    made = (await client.post(f"/sessions/{session_id}/invitations", json={"role": "editor"})).json()
    page = await open_page(noor, f"/invitations#{made['token']}")
    await page.reload()
    await page.get_by_role("button", name="Join the session").click()
    await expect(page.get_by_role("heading", name="Flight to Geneva")).to_be_visible()


async def test_link_is_kept_while_one_signs_in(
    open_page: Open, client_of: Clients, mia: str, noor: str, console_dsn: str
) -> None:
    client = client_of(mia)
    session_id = await session_of(client)
    made = (await client.post(f"/sessions/{session_id}/invitations", json={"role": "editor"})).json()
    with openid_provider() as provider, running_service({"DATABASE_URL": console_dsn, **provider.environ}) as service:
        page = await open_page(noor, f"/invitations#{made['token']}", service.url, (provider.url,))
        await page.get_by_role("button", name="Sign in with").click()
        await page.get_by_label("Name").fill(noor)
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("button", name="Join the session").click()
        await expect(page.get_by_role("heading", name="Flight to Geneva")).to_be_visible()
    part = (await client.get(f"/sessions/{session_id}/participants/{noor}")).json()
    assert part["role"] == "editor"


async def test_link_that_has_ended_says_so(
    open_page: Open, client_of: Clients, mia: str, noor: str, console_dsn: str
) -> None:
    client = client_of(mia)
    path = f"/sessions/{await session_of(client)}/invitations"
    revoked, used, expired = [(await client.post(path, json={"role": "viewer"})).json() for _ in range(3)]
    await client.delete(f"{path}/{revoked['invitation_id']}")
    await client_of("omar").post("/invitations/accept", json={"token": used["token"]})
    identifier = expired["invitation_id"]
    execute(console_dsn, f"update session_invitations set expires_at = now() where invitation_id = '{identifier}'")
    page = await open_page(noor, f"/invitations#{revoked['token']}")
    for token, said in (
        (revoked["token"], "The invitation was revoked"),
        (used["token"], "used up"),
        (expired["token"], "has expired"),
        ("inv_nothing", "Invitation not found"),
    ):
        await page.evaluate("token => { location.hash = token }", token)
        await page.get_by_role("button", name="Join the session").click()
        await expect(page.get_by_role("alert")).to_contain_text(said)
    await check_page(page, "invitation-ended")


async def test_owner_revokes_an_invitation(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    client = client_of(mia)
    session_id = await session_of(client)
    made = (await client.post(f"/sessions/{session_id}/invitations", json={"role": "editor"})).json()
    dialog = await people(await open_page(mia, f"/sessions/{session_id}"))
    await dialog.get_by_role("button", name="Revoke").click()
    await expect(dialog.get_by_role("list", name="Invitations")).to_contain_text("revoked")
    response = await client_of(noor).post("/invitations/accept", json={"token": made["token"]})
    assert response.status_code == 410


async def test_address_without_a_token_says_so(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/invitations")
    await expect(page.get_by_text("There is no invitation in this address")).to_be_visible()
    await check_page(page, "invitation-none")
