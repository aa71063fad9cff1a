"""The list of messages follows the session: what comes, changes, moves and goes while it is open."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open
from tests.console.test_messages import session_with
from tests.console.test_transcript import message, numbered, scroll_to

pytestmark = pytest.mark.slow

ClientOf = Callable[[str], httpx.AsyncClient]


async def append(client: httpx.AsyncClient, session: str, messages: list[Any], **options: Any) -> None:
    added = await client.post(f"/sessions/{session}/transcript", json={"messages": messages, **options})
    assert added.status_code == 201, added.text


def is_near(now: tuple[str | None, int], before: tuple[str | None, int]) -> bool:
    """Returns whether the view did not move, but for a pixel of rounding."""
    return now[0] == before[0] and abs(now[1] - before[1]) <= 1


async def top(page: Page) -> tuple[str | None, int]:
    """Returns the first message in view and its distance from the top of the list."""
    found = await page.evaluate(
        """() => {
          const edge = document.querySelector('[aria-label=Messages]').getBoundingClientRect().top;
          const all = [...document.querySelectorAll('article')];
          const first = all.find((one) => one.getBoundingClientRect().top >= edge);
          return [first.getAttribute('aria-label'), Math.round(first.getBoundingClientRect().top - edge)];
        }"""
    )
    return found[0], found[1]


async def test_new_messages_come_into_view_at_the_end(open_page: Open, mia: str, client_of: ClientOf) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(60))
    page = await open_page(mia, f"/sessions/{session}")
    await expect(message(page, 60)).to_be_in_viewport()
    for number in (61, 62, 63):
        await append(client, session, [{"role": "assistant", "content": f"message number {number}\n\nmore\n\nmore"}])
        await expect(message(page, number)).to_be_in_viewport()


async def test_new_messages_do_not_move_who_reads_older_ones(open_page: Open, mia: str, client_of: ClientOf) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(150))
    page = await open_page(mia, f"/sessions/{session}")
    await expect(message(page, 150)).to_be_in_viewport()
    await scroll_to(page, 1, "0")
    place = await top(page)
    await append(client, session, [{"role": "user", "content": f"message number {number}"} for number in (151, 152)])
    await page.get_by_role("button", name="2 new messages").wait_for()
    assert is_near(await top(page), place)
    await page.get_by_role("button", name="2 new messages").click()
    await expect(message(page, 152)).to_be_in_viewport()
    await expect(page.get_by_role("button", name="new messages")).to_have_count(0)


async def test_older_messages_do_not_move_the_view(open_page: Open, mia: str, client_of: ClientOf) -> None:
    texts = [f"message number {number}\n\n" + "a longer text\n\n" * (number % 7) for number in range(1, 241)]
    session = await session_with(client_of(mia), [{"role": "user", "content": text} for text in texts])
    page = await open_page(mia, f"/sessions/{session}")
    await expect(message(page, 240)).to_be_in_viewport()
    # the first page begins at 141; the one before it is requested, and comes while somebody looks at 141
    held: list[Any] = []
    await page.route("**/transcript?*before=141*", lambda route: held.append(route))
    await scroll_to(page, 141, "0")
    await page.get_by_role("region", name="Messages").evaluate("(list) => { list.scrollTop = 0 }")
    await expect(message(page, 141)).to_be_in_viewport()
    place = await top(page)
    assert held
    await held[0].continue_()
    await expect(page.get_by_role("link", name="Link to message 140", exact=True)).to_be_attached()
    assert is_near(await top(page), place)


async def test_changes_by_others_are_shown(open_page: Open, mia: str, client_of: ClientOf) -> None:
    client = client_of(mia)
    session = await session_with(client, numbered(2))
    await append(client, session, [{"role": "user", "content": "first text"}], keys=["k"])
    page = await open_page(mia, f"/sessions/{session}")
    await expect(page.get_by_text("first text")).to_be_visible()
    await append(client, session, [{"role": "user", "content": "second text"}], keys=["k"], on_conflict="replace")
    await expect(page.get_by_text("second text")).to_be_visible()
    await client.post(f"/sessions/{session}/transcript/retract", json={"seqs": [1]})
    await expect(page.get_by_text("message number 1")).to_have_count(0)
    await client.patch(f"/sessions/{session}", json={"title": "Another title"})
    await expect(page.get_by_role("heading", name="Another title", level=1)).to_be_visible()


async def test_repaired_transcript_is_shown_in_its_new_order(open_page: Open, mia: str, client_of: ClientOf) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "book", "arguments": "{}"}}
    messages = [
        {"role": "assistant", "content": "I book it", "tool_calls": [call]},
        {"role": "user", "content": "And now?"},
    ]
    client = client_of(mia)
    session = await session_with(client, messages)
    page = await open_page(mia, f"/sessions/{session}")
    await expect(page.get_by_text("No result")).to_be_visible()
    repaired = await client.post(f"/sessions/{session}/repair")
    assert repaired.status_code == 200, repaired.text
    await expect(page.get_by_text("No result")).to_have_count(0)
    await expect(page.get_by_role("article").last).to_contain_text("And now?")
    await expect(page.get_by_role("article")).to_have_count(2)
