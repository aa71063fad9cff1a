"""Messages on the page of a session: what is shown of each kind of part, and what waits for a click."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open, check_page

pytestmark = pytest.mark.slow

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ANSWER = """# Plan

| step | who |
|---|---|
| book | **mia** |

```python
def book(seat: str) -> None: ...
```

See [the rules](https://example.com/rules) <b>now</b>.
"""
CALL = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"seat": "12A"}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You book flights."},
    {"role": "user", "content": [{"type": "text", "text": "A seat, please"}, {"type": "image", "data": PIXEL}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "Aisle or window?"}], "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"success": false, "output": null, "error": "taken"}'},
    {"role": "assistant", "content": ANSWER},
]

ClientOf = Callable[[str], httpx.AsyncClient]


async def session_with(client: httpx.AsyncClient, messages: list[Any], title: str = "Flights") -> str:
    """Makes a session with these messages and returns its id."""
    made = await client.post("/sessions", json={"title": title})
    session: str = made.raise_for_status().json()["session_id"]
    body = json.dumps({"messages": messages})  # in ASCII, also halves of surrogate pairs
    headers = {"Content-Type": "application/json"}
    added = await client.post(f"/sessions/{session}/transcript", content=body, headers=headers)
    assert added.status_code == 201, added.text
    return session


@pytest.fixture
async def page(open_page: Open, client_of: ClientOf, mia: str) -> Page:
    """The page of a session with each kind of part."""
    session = await session_with(client_of(mia), MESSAGES)
    page = await open_page(mia, f"/sessions/{session}")
    await expect(page.get_by_role("heading", name="Flights", level=1)).to_be_visible()
    return page


async def test_messages_show_their_parts(page: Page, mia: str) -> None:
    await expect(page.get_by_role("article")).to_have_count(4)  # the result is in its call
    answer = page.get_by_role("article", name="Assistant, message 5")
    await expect(answer.get_by_role("heading", name="Plan")).to_be_visible()
    await expect(answer.get_by_role("cell", name="mia")).to_be_visible()
    await expect(answer.locator(".hljs-keyword")).to_have_text("def")
    await expect(answer).to_contain_text("<b>now</b>")
    await expect(page.get_by_role("article", name=f"{mia}, message 2")).to_contain_text("A seat, please")
    await check_page(page, "transcript")


async def test_tool_calls_open_with_arguments_and_results(page: Page) -> None:
    call = page.get_by_role("article", name="Assistant, message 3")
    await expect(call).to_contain_text("Error")
    await call.get_by_text("book").click()
    await expect(call.get_by_role("region", name="Arguments")).to_contain_text('"seat": "12A"')
    await expect(call.get_by_role("region", name="Result")).to_contain_text("taken")
    await call.get_by_text("Thinking").click()
    await expect(call.get_by_text("Aisle or window?").last).to_be_visible()
    await check_page(page, "transcript-tool")


async def test_links_open_after_a_question(page: Page) -> None:
    await page.get_by_role("link", name="the rules").click()
    dialog = page.get_by_role("dialog", name="Open this address?")
    await expect(dialog).to_contain_text("https://example.com/rules")
    link = dialog.get_by_role("link", name="Open in a new tab")
    assert [await link.get_attribute(name) for name in ("href", "rel", "target")] == [
        "https://example.com/rules",
        "noopener noreferrer",
        "_blank",
    ]
    await check_page(page, "transcript-link")


async def test_images_are_shown_after_a_click(page: Page) -> None:
    assert await page.locator("img").count() == 0
    await page.get_by_role("button", name="Show image").click()
    await expect(page.locator("img")).to_have_js_property("naturalWidth", 1)


async def test_messages_are_copied(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Actions for message 5").click()
    await page.get_by_role("button", name="Copy text").click()
    await expect(page.get_by_text("Copied the text")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == ANSWER


async def test_attachments_are_shown_or_saved_after_a_click(open_page: Open, client_of: ClientOf, mia: str) -> None:
    client = client_of(mia)
    session = (await client.post("/sessions", json={})).json()["session_id"]
    blocks: list[Any] = []
    for content, name in ((base64.b64decode(PIXEL), "pixel.png"), (b"<script>1</script>", "page.html")):
        path = f"/sessions/{session}/attachments?name={name}"
        sent = await client.post(path, content=content, headers={"Content-Type": "text/html"})
        assert sent.status_code == 201, sent.text
        source = {"type": "url", "url": sent.json()["attachment"]}
        blocks.append({"type": "image" if name.endswith("png") else "document", "title": name, "source": source})
    messages = [{"role": "user", "content": blocks}]
    added = await client.post(f"/sessions/{session}/transcript", json={"messages": messages})
    assert added.status_code == 201, added.text
    page = await open_page(mia, f"/sessions/{session}")
    await page.get_by_role("button", name="Show image").click()
    await expect(page.locator("img")).to_have_js_property("naturalWidth", 1)
    async with page.expect_download() as found:
        await page.get_by_role("button", name="Save file").click()
    assert (await found.value).suggested_filename == "page.html"


async def test_long_messages_are_shown_in_part(open_page: Open, client_of: ClientOf, mia: str) -> None:
    text = "begin " + "word " * 200_000 + "finish"
    page = await open_page(mia, f"/sessions/{await session_with(client_of(mia), [{'role': 'user', 'content': text}])}")
    message = page.get_by_role("article")
    await expect(message).to_contain_text("begin")
    assert len(await message.inner_text()) < 15_000
    await message.get_by_role("button", name="Show all (1.0 MB)").click()
    await expect(message).to_contain_text("finish")


async def test_names_in_messages_do_not_replace_their_authors(open_page: Open, client_of: ClientOf, mia: str) -> None:
    messages = [{"role": "user", "name": "noor", "content": "I agree"}]
    page = await open_page(mia, f"/sessions/{await session_with(client_of(mia), messages)}")
    message = page.get_by_role("article", name=f"{mia}, message 1")
    await expect(message.get_by_role("heading", name=mia)).to_be_visible()
    await expect(message.get_by_text("as noor")).to_be_visible()
