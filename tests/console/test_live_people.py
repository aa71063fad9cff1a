"""Two people who follow one session in two browsers: messages, presence, typing and read markers."""

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Clients, Open, check_page
from tests.console.live import Shared, say, shared, writing

pytestmark = pytest.mark.slow


async def both(
    open_page: Open, mia: str, noor: str, client: httpx.AsyncClient, role: str = "editor"
) -> tuple[Page, Page, Shared]:
    """Opens a session of mia's for her and for noor."""
    session = await shared(client, noor, role)
    pages = await open_page(mia, session.page), await open_page(noor, session.page)
    return *pages, session


async def test_messages_appear_for_both(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    hers, his, _ = await both(open_page, mia, noor, client_of(mia))
    await say(hers, "Good morning from mia")
    await expect(his.get_by_text("Good morning from mia")).to_be_visible()
    await say(his, "Good morning from noor")
    for page in (hers, his):
        await expect(page.get_by_text("Good morning from noor")).to_have_count(1)
        await expect(page.get_by_text("Good morning from mia")).to_have_count(1)
    await expect(writing(hers)).to_have_value("")


async def test_presence_and_typing(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    hers, his, _ = await both(open_page, mia, noor, client_of(mia))
    following = hers.get_by_role("list", name="Following now")
    await expect(following.get_by_role("img", name=noor)).to_be_visible()
    await writing(his).press_sequentially("Good")
    await expect(hers.get_by_text(f"{noor} is typing")).to_be_visible()
    await expect(his.get_by_text("is typing")).to_have_count(0)
    await writing(his).press("Enter")
    await expect(hers.get_by_text("is typing")).to_have_count(0)
    await his.close()
    await expect(following).to_have_count(0)


async def test_read_marker_moves_when_the_end_is_in_view(
    open_page: Open, client_of: Clients, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor)
    hers = await open_page(mia, session.page)
    await say(hers, "Who has seen this?")
    seen = hers.get_by_role("list", name="Seen by")
    await expect(seen).to_have_count(0)
    his = await open_page(noor, session.page)
    await expect(his.get_by_text("Who has seen this?")).to_be_visible()
    await expect(seen.get_by_role("img", name=noor)).to_be_visible()
    [marker] = [one for one in await session.participants() if one["user_id"] == noor]
    assert marker["last_read_seq"] == (await session.get())["last_seq"]


async def test_viewer_cannot_write(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    hers, his, session = await both(open_page, mia, noor, client_of(mia), "viewer")
    await say(hers, "For readers")
    await expect(his.get_by_text("For readers")).to_be_visible()
    await expect(his.get_by_text("You may read this session")).to_be_visible()
    await expect(writing(his)).to_have_count(0)
    await session.share(noor, "editor")
    await expect(writing(his)).to_be_visible()


async def test_removed_person_stops_following(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    hers, his, session = await both(open_page, mia, noor, client_of(mia))
    await expect(hers.get_by_role("list", name="Following now")).to_be_visible()
    await session.remove(noor)
    await expect(his.get_by_text("You do not take part in this session any more.")).to_be_visible()
    await expect(writing(his)).to_have_count(0)
    await say(hers, "Among us")
    await expect(hers.get_by_text("Among us")).to_be_visible()
    await expect(his.get_by_text("Among us")).to_have_count(0)


async def test_deleted_session_says_so(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    his = await open_page(noor, session.page)
    await expect(writing(his)).to_be_visible()
    await session.delete()
    await expect(his.get_by_text("The session was deleted.")).to_be_visible()


async def test_draft_is_kept_by_session(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(mia, session.page)
    await writing(page).fill("Half a thou")
    await page.reload()
    await expect(writing(page)).to_have_value("Half a thou")
    await writing(page).press("Shift+Enter")
    await writing(page).press_sequentially("ght")
    await expect(writing(page)).to_have_value("Half a thou\nght")


async def test_session_of_two_people_is_accessible(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    hers, his, _ = await both(open_page, mia, noor, client_of(mia))
    await say(his, "Shall we ship on Friday?")
    await expect(hers.get_by_text("Shall we ship")).to_be_visible()
    await say(hers, "Yes, if the tests are green.")
    await expect(hers.get_by_role("list", name="Seen by")).to_be_visible()
    await writing(his).press_sequentially("Gre")
    await expect(hers.get_by_text("is typing")).to_be_visible()
    await check_page(hers, "live-people")
