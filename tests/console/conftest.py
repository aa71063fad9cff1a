"""A service process and a browser for the tests of the console, one of each in a process of pytest.

Each test has users of its own, so that tests share the database. Whatever the policy of the page refuses, errors of its
scripts, and requests to other hosts fail the test.
"""

import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.conftest import with_database
from tests.support import llm
from tests.support.agents import ALLOWED, MODULES
from tests.support.databases import execute
from tests.support.paths import ROOT
from tests.support.service import Service, running_service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BUILT = ROOT / "amplifier/static/console/index.html"
AXE = ROOT / "console/node_modules/axe-core/axe.min.js"
SCREENSHOTS = ROOT / "build/console-screenshots"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LIMIT = 10_000  # milliseconds for any step in the browser

expect.set_options(timeout=LIMIT)

Open: TypeAlias = Callable[..., Awaitable[Page]]
Clients: TypeAlias = Callable[[str], httpx.AsyncClient]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests where there is no browser, or the console was not built."""
    missing = "there is no Chromium" if CHROMIUM is None else "run `make console`" if not BUILT.exists() else None
    for item in items:
        if missing and item.path.is_relative_to(ROOT / "tests/console"):
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="package")
def console_dsn(server: str, template: str) -> Iterator[str]:
    """The address of the database of all tests of the console in this process."""
    name = f"console_{uuid.uuid4().hex[:12]}"
    execute(server, f"create database {name} template {template}")
    yield with_database(server, name)
    execute(server, f"drop database {name} with (force)")


@pytest.fixture(scope="package")
def models() -> Iterator[llm.Stub]:
    """A server that answers as models do."""
    with llm.in_thread() as stub:
        yield stub


@pytest.fixture
def stub(models: llm.Stub) -> llm.Stub:
    """The same server, without rules of other tests."""
    models.reset()
    return models


def settings(dsn: str, models: llm.Stub, **changes: str) -> dict[str, str]:
    """Returns settings of a service whose agents may call the stub and use the modules of the tests."""
    runtime = {"RUNTIME_MODULES": ALLOWED, "RUNTIME_BASE_URLS": models.url, "PYTHONPATH": str(MODULES)}
    return {"DATABASE_URL": dsn, **runtime, **changes}


@pytest.fixture(scope="package")
def service(console_dsn: str, models: llm.Stub) -> Iterator[Service]:
    """A service without authentication, in which each request names its user."""
    with running_service(settings(console_dsn, models)) as service:
        yield service


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """A browser for all tests of this process."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest.fixture
def mia() -> str:
    """The id of a user whom no other test has."""
    return f"mia-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def noor() -> str:
    """The id of another user whom no other test has."""
    return f"noor-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def client_of(service: Service) -> AsyncIterator[Clients]:
    """Makes clients of the API by user, to arrange what a page shows."""
    made: list[httpx.AsyncClient] = []

    def client(user_id: str) -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(base_url=service.url, headers={"X-User-ID": user_id}))
        return made[-1]

    yield client
    for one in made:
        await one.aclose()


@pytest.fixture
async def open_at(browser: Browser) -> AsyncIterator[Open]:
    """Opens pages of any service: `await open_at(origin, user_id, "/sessions/...")`.

    `hosts` are origins besides the service's that the page may ask.
    """
    contexts, complaints = [], []

    def complain(text: str) -> None:
        if not text.startswith(("Failed to load resource", "WebSocket connection to")):  # an answer that is an error
            complaints.append(text)

    async def open_at(origin: str, user_id: str, path: str = "/", hosts: tuple[str, ...] = (), **options: Any) -> Page:
        context = await browser.new_context(**({"viewport": WIDE, "reduced_motion": "reduce"} | options))
        contexts.append(context)
        context.set_default_timeout(LIMIT)
        await context.add_init_script(f"sessionStorage.setItem('work-as', {user_id!r})")
        page = await context.new_page()
        page.on("console", lambda message: complain(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complain(error.stack or str(error)))
        page.on("request", lambda sent: sent.url.startswith((origin, *hosts, "data:", "blob:")) or complain(sent.url))
        await page.goto(f"{origin}/console{path}")
        return page

    yield open_at
    for context in contexts:
        await context.close()
    assert complaints == []


@pytest.fixture
def open_page(open_at: Open, service: Service) -> Open:
    """Opens pages: `await open_page(user_id, "/sessions/...")`, each in a browser context of its own."""

    async def open_page(
        user_id: str, path: str = "/", origin: str = service.url, hosts: tuple[str, ...] = (), **options: Any
    ) -> Page:
        return await open_at(origin, user_id, path, hosts, **options)

    return open_page


async def check_page(page: Page, name: str) -> None:
    """Fails if axe finds a violation of WCAG AA, light or dark, wide or narrow. Keeps a screenshot of each."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.evaluate(AXE.read_text())
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            await page.set_viewport_size(size)  # type: ignore[arg-type]
            await page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png")
            found = await page.evaluate("axe.run({resultTypes: ['violations']})")
            violations = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
            assert violations == [], (scheme, width)
            overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, f"{scheme} {width}: the page is {overflow} pixels too wide"
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    await page.set_viewport_size(WIDE)  # type: ignore[arg-type]
