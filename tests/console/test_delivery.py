"""The page as browsers receive it: from which addresses, and under its policy."""

import pytest
from playwright.async_api import Browser

from tests.console.conftest import Open
from tests.support.service import Service, running_service

pytestmark = pytest.mark.slow

REFUSED = """() => new Promise((resolve) => {
    addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
    %s
})"""
# each is what a hole in the page would let somebody do
ATTEMPTS = {
    "require-trusted-types-for": "try { document.body.innerHTML = '<b>x</b>' } catch {}",
    "script-src-elem": "document.head.append(Object.assign(document.createElement('link'), {rel: 'modulepreload', href: 'https://x.example/'}))",
    "style-src-attr": "document.body.setAttribute('style', 'color: red')",
    "connect-src": "fetch('https://evil.example/').catch(() => 0)",
    "img-src": "new Image().src = 'https://evil.example/x.png'",
    "frame-src": "document.body.append(Object.assign(document.createElement('iframe'), {src: '/docs'}))",
    "form-action": "const form = document.createElement('form'); document.body.append(form); form.submit()",
}


async def test_page_works_below_a_prefix(open_page: Open, console_dsn: str, mia: str) -> None:
    with running_service({"DATABASE_URL": console_dsn, "ROOT_PATH": "/amplifier"}) as service:
        page = await open_page(mia, "/configs", origin=f"{service.url}/amplifier")
        await page.get_by_role("heading", level=1, name="Configs").wait_for()
        await page.get_by_role("link", name="Sessions").click()
        await page.get_by_role("heading", level=1, name="Sessions").wait_for()
        assert page.url == f"{service.url}/amplifier/console/"


@pytest.mark.parametrize("directive", ATTEMPTS)
async def test_policy_refuses_what_a_hole_would_allow(browser: Browser, service: Service, directive: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{service.url}/console/none-of-the-pages")
    await page.get_by_role("heading", level=1).wait_for()
    assert await page.evaluate(REFUSED % ATTEMPTS[directive]) == directive
    await page.close()
