"""Words of people and agents are hostile input: nothing in them runs, loads, navigates or stops the page."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open
from tests.console.test_messages import session_with
from tests.console.vectors import HTML, MARKDOWN, SLOW, VECTORS

pytestmark = pytest.mark.slow

ClientOf = Callable[[str], httpx.AsyncClient]
# a watch over what must not happen, and a way to see each message and press all that is in it
WATCH = """
window.ran = [];
for (const name of ['hostile', 'alert', 'confirm', 'prompt', 'open']) window[name] = () => window.ran.push(name);
addEventListener('beforeunload', () => window.ran.push('left the page'));
"""
PRESS = """
async () => {
  const list = document.querySelector('[aria-label=Messages]');
  const next = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20)));
  const pressed = new WeakSet();
  const seen = new Set();
  list.scrollTop = 0;
  for (let step = 0; step < 400; step++) {
    await next();
    for (const one of list.querySelectorAll('details')) one.open = true;
    await next();
    for (const one of list.querySelectorAll('article')) seen.add(one.getAttribute('aria-label'));
    for (const one of list.querySelectorAll('article :is([role=link], button:not([popovertarget]))')) {
      if (pressed.has(one)) continue;
      pressed.add(one);
      one.click();
      await next();
      for (const open of document.querySelectorAll('dialog[open] button[aria-label=Close]')) open.click();
    }
    if (list.scrollTop + list.clientHeight >= list.scrollHeight - 2) break;
    list.scrollTop += list.clientHeight * 0.8;
  }
  return seen.size;
}
"""


async def expect_harmless(page: Page, count: int) -> None:
    """Looks at each message and presses everything in it. Fails if anything ran, or the page is another one."""
    address = page.url
    await expect(page.get_by_role("article").first).to_be_visible()
    assert await page.evaluate(PRESS) == count
    assert await page.evaluate("window.ran") == []
    assert page.url == address
    assert len(page.context.pages) == 1
    foreign = "article :is(script, iframe, object, embed, form, style, link, meta, base, svg, math, video, audio)"
    assert await page.locator(foreign).count() == 0
    assert await page.evaluate("document.querySelectorAll('article a:not([href^=\"/console/sessions/\"])').length") == 0


async def opened(open_page: Open, user_id: str, session: str) -> Page:
    page = await open_page(user_id)
    await page.add_init_script(WATCH)
    await page.context.grant_permissions(["clipboard-write"])
    await page.goto(page.url.rstrip("/").split("/console")[0] + f"/console/sessions/{session}?seq=1")
    return page


@pytest.mark.parametrize("start", range(0, len(VECTORS), 45))
async def test_texts_run_and_load_nothing(open_page: Open, mia: str, client_of: ClientOf, start: int) -> None:
    messages = [{"role": "assistant", "content": text} for text in VECTORS[start : start + 45]]
    session = await session_with(client_of(mia), messages)
    await expect_harmless(await opened(open_page, mia, session), len(messages))


async def test_parts_of_tools_and_files_run_and_load_nothing(open_page: Open, mia: str, client_of: ClientOf) -> None:
    texts = [*HTML[:30], *MARKDOWN[:20]]
    messages: list[Any] = []
    for number, text in enumerate(texts):
        call = {"type": "tool_use", "id": f"c{number}", "name": text, "input": {text: text, "more": f"a\n{text}"}}
        thought = {"type": "thinking", "thinking": text}
        messages.append({"role": "assistant", "name": text, "content": [thought, call, {"type": text, "x": text}]})
        results = [{"type": "tool_result", "tool_use_id": f"c{number}", "content": text}]
        messages.append({"role": "user", "content": results})
        files = [{"type": "image", "url": text}, {"type": "file", "name": text, "text": text}]
        messages.append({"role": "user", "content": [*files, {"type": "image", "media_type": text, "data": text}]})
        messages.append({"type": text, "payload": {text: text}})
    client = client_of(mia)
    session = await session_with(client, messages[:100])
    await expect_harmless(await opened(open_page, mia, session), 75)
    session = await session_with(client, messages[100:])
    await expect_harmless(await opened(open_page, mia, session), 75)


async def test_titles_tags_and_names_run_and_load_nothing(open_page: Open, client_of: ClientOf) -> None:
    for text in (HTML[0], HTML[4], MARKDOWN[0], "__proto__"):
        client = client_of(text)
        session = await session_with(client, [{"role": "user", "content": text}], text)
        tagged = await client.patch(f"/sessions/{session}", json={"tags": {"mark": text}})
        assert tagged.status_code == 200, tagged.text
        page = await opened(open_page, text, session)
        await expect(page.get_by_role("heading", level=1)).to_have_text(text)
        await expect_harmless(page, 1)
        await page.goto(page.url.split("/sessions/")[0])
        await expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_visible()
        assert await page.evaluate("window.ran") == []


async def test_long_work_does_not_stop_the_page(open_page: Open, mia: str, client_of: ClientOf) -> None:
    messages = [{"role": "assistant", "content": text} for text in SLOW.values()]
    session = await session_with(client_of(mia), messages)
    page = await opened(open_page, mia, session)
    await expect(page.get_by_role("article").first).to_be_visible()
    for number in range(1, len(messages) + 1):
        await page.evaluate("(href) => history.pushState(null, '', href)", f"?seq={number}")
        began = time.monotonic()
        await expect(page.get_by_role("article", name=f"Assistant, message {number}", exact=True)).to_be_in_viewport()
        await page.evaluate("new Promise(requestAnimationFrame)")
        assert time.monotonic() - began < 10, list(SLOW)[number - 1]
    assert await page.evaluate("window.ran") == []
