"""Every page with data in it: read by axe, walked by keyboard, and zoomed until a laptop shows 320 pixels."""

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import WIDE, Clients, Open, check_page
from tests.console.test_config_pages import create
from tests.console.test_messages import MESSAGES, session_with

pytestmark = pytest.mark.slow
PAGES = ["/", "/search?q=seat", "/sessions/{session}", "/configs", "/configs/{config}"]
PAGES += [
    f"/admin{path}"
    for path in ("", "/searches", "/applications", "/applications/dev-app", "/audit", "/queries", "/health")
]
STEPS = 150  # presses of Tab, of which no page needs as many

# the focused element, which is marked; null at the end of the page. An editor is focused inside, and shows it around
FOCUSED = """() => {
    let focused = document.activeElement;
    while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
    if (focused === document.body) return null;
    const shows = (one) => {
        const {outlineStyle, outlineWidth} = getComputedStyle(one);
        return outlineStyle !== "none" && outlineWidth !== "0px";
    };
    const around = focused.closest("li > *"); // a row shows the focus of its link
    const box = focused.getBoundingClientRect();
    const again = focused.dataset.walked !== undefined && focused !== window.former; // dates have several parts
    window.former = focused;
    focused.dataset.walked = "";
    return {
        html: focused.outerHTML.slice(0, 160), again,
        visible: [focused, document.activeElement, around].some((one) => one && shows(one)) || focused.type === "date",
        inside: box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight && box.width > 0,
    };
}"""
MISSED = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled && one.tabIndex >= 0)
    .filter((one) => one.dataset.walked === undefined && !one.closest("[inert]"))
    .filter((one) => !(one.type === "radio" && !one.checked)).map((one) => one.outerHTML.slice(0, 160))"""
SMALL = """() => [...document.querySelectorAll("button, select, summary, input")]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.closest(".visually-hidden"))
    .filter((one) => one.getBoundingClientRect().height < 23.5 || one.getBoundingClientRect().width < 23.5)
    .map((one) => one.outerHTML.slice(0, 160))"""


@pytest.fixture
async def addresses(client_of: Clients, mia: str, noor: str) -> dict[str, str]:
    """A session with messages of many kinds and a second person, and a config, by their names in addresses."""
    client = client_of(mia)
    session = await session_with(client, MESSAGES, "A seat at the window")
    await client.post(f"/sessions/{session}/participants", json={"user_id": noor, "role": "viewer"})
    await client.patch(f"/sessions/{session}", json={"tags": {"team": "travel"}})
    return {"session": session, "config": await create(client)}


async def opened(open_page: Open, user: str, path: str) -> Page:
    """Opens a page, and waits until it shows what it loads."""
    page = await open_page(user, path)
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    await page.wait_for_load_state("networkidle")
    await expect(page.get_by_text("Loading…")).to_have_count(0)
    return page


@pytest.mark.parametrize("path", PAGES)
async def test_page_has_no_violations(open_page: Open, mia: str, addresses: dict[str, str], path: str) -> None:
    page = await opened(open_page, mia, path.format(**addresses))
    await check_page(page, "page" + path.partition("?")[0].translate(str.maketrans("/", "-", "{}")))
    assert await page.evaluate(SMALL) == []
    for width in (640, 320):  # 200 and 400 % of 1280
        await page.set_viewport_size({"width": width, "height": 400})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_walked_by_keyboard(open_page: Open, mia: str, addresses: dict[str, str], path: str) -> None:
    page = await opened(open_page, mia, path.format(**addresses))
    await page.evaluate("document.querySelector('button').focus()")  # the way to the content, which is the first
    await page.evaluate(FOCUSED)
    for _ in range(STEPS):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        if focused is None or focused["again"]:
            break
        assert focused["visible"] and focused["inside"], focused  # noqa: PT018
    else:
        pytest.fail(f"after {STEPS} steps the end of the page was not reached: {focused}")
    assert await page.evaluate(MISSED) == []


async def test_dialog_keeps_the_focus_and_gives_it_back(open_page: Open, mia: str) -> None:
    page = await open_page(mia, viewport=WIDE)
    menu = page.get_by_role("button", name="You:")
    await menu.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Work as")).to_be_focused()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    for _ in range(8):
        await page.keyboard.press("Tab")
        inside = await page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
        assert inside
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(menu).to_be_focused()
