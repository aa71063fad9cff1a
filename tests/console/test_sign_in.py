"""Sign-in to the console: by an OpenID provider, by tokens that are pasted, and what is left in the browser."""

import time
from collections.abc import Iterator

import jwt
import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.console.conftest import Open, check_page
from tests.support.openid import Provider, openid_provider
from tests.support.service import Service, command, running_service

pytestmark = pytest.mark.slow
SECRET = "a secret of thirty-two characters and more"


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """A provider with its settings as they are at first."""
    running_provider.reset()
    return running_provider


@pytest.fixture(scope="module")
def guarded(console_dsn: str, running_provider: Provider) -> Iterator[Service]:
    """A service where people sign in at the provider."""
    with running_service({"DATABASE_URL": console_dsn, **running_provider.environ}) as service:
        yield service


async def answer_provider(page: Page, user: str) -> None:
    """Says a name to the provider."""
    await page.get_by_label("Name").fill(user)
    await page.get_by_role("button", name="Go on").click()


async def signed_in(open_page: Open, guarded: Service, provider: Provider, user: str, path: str = "/") -> Page:
    """Opens a page as somebody who signs in at the provider."""
    page = await open_page(user, path, guarded.url, hosts=(provider.url,))
    await page.get_by_role("button", name="Sign in with").click()
    await answer_provider(page, user)
    await expect(page.get_by_role("button", name=f"You: {user}")).to_be_visible()
    return page


async def stored(page: Page) -> list[str]:
    """Returns the names of what the page stored, without the user id that every test stores."""
    names = await page.evaluate("[...Object.keys(localStorage), ...Object.keys(sessionStorage)]")
    return sorted(set(names) - {"work-as"})


async def test_sign_in_returns_to_the_page(open_page: Open, guarded: Service, provider: Provider, mia: str) -> None:
    page = await open_page(mia, "/configs?sort=name#end", guarded.url, hosts=(provider.url,))
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await check_page(page, "sign-in")
    await page.get_by_role("button", name="Sign in with").click()
    await answer_provider(page, mia)
    await expect(page).to_have_title("Configs · Amplifier")
    await expect(page).to_have_url(f"{guarded.url}/console/configs?sort=name#end")
    assert await stored(page) == []
    assert provider.grants == ["authorization_code"]


async def test_reload_signs_in_silently(open_page: Open, guarded: Service, provider: Provider, mia: str) -> None:
    page = await signed_in(open_page, guarded, provider, mia, "/configs")
    await page.reload()
    await expect(page.get_by_role("button", name=f"You: {mia}")).to_be_visible()
    await expect(page).to_have_title("Configs · Amplifier")
    assert provider.grants == ["authorization_code"] * 2


async def test_tokens_are_renewed_silently(open_page: Open, guarded: Service, provider: Provider, mia: str) -> None:
    provider.life = 0  # the service accepts them for ten seconds more
    page = await signed_in(open_page, guarded, provider, mia)
    assert provider.grants[:2] == ["authorization_code", "refresh_token"]
    await expect(page).to_have_title("Sessions · Amplifier")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await stored(page) == []


async def test_sign_out_ends_the_session_of_the_provider(
    open_page: Open, guarded: Service, provider: Provider, mia: str, noor: str
) -> None:
    page = await signed_in(open_page, guarded, provider, mia, "/configs")
    await page.get_by_role("button", name="You:").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{guarded.url}/console/sign-in")
    await expect(page.get_by_role("navigation")).to_have_count(0)
    await page.reload()
    await page.get_by_role("button", name="Sign in with").click()
    await answer_provider(page, noor)
    await expect(page.get_by_role("button", name=f"You: {noor}")).to_be_visible()
    await expect(page).to_have_title("Sessions · Amplifier")


async def test_end_of_the_sign_in_keeps_the_page(
    open_page: Open, guarded: Service, provider: Provider, mia: str
) -> None:
    provider.life = 0
    page = await signed_in(open_page, guarded, provider, mia, "/invitations#inv_unknown")
    provider.forget()
    await page.get_by_role("button", name="Join the session").click()
    dialog = page.get_by_role("dialog", name="Sign in again")
    await expect(dialog).to_be_visible()
    await check_page(page, "sign-in-again")
    provider.life = 3600
    await again(page, dialog.get_by_role("button", name="Sign in with").click)
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("alert")).to_contain_text("sign in again")
    await page.get_by_role("button", name="Join the session").click()
    await expect(page.get_by_role("alert")).to_contain_text("nvitation")


async def again(page: Page, click: object) -> None:
    """Signs in again in the window that a click opens, which closes by itself."""
    context: BrowserContext = page.context
    async with context.expect_page() as opened:
        await click()  # type: ignore[operator]
    window = await opened.value
    if not window.is_closed():
        await window.wait_for_event("close")


@pytest.mark.parametrize("state", ["unknown", ""])
async def test_answer_without_a_sign_in_is_refused(
    open_page: Open, guarded: Service, provider: Provider, mia: str, state: str
) -> None:
    page = await open_page(mia, f"/callback?code=stolen&state={state}", guarded.url, hosts=(provider.url,))
    await expect(page.get_by_role("alert")).to_contain_text("state")
    await expect(page.get_by_role("button", name="Sign in with")).to_be_visible()
    assert provider.grants == []


async def test_refused_code_can_be_tried_again(open_page: Open, guarded: Service, provider: Provider, mia: str) -> None:
    page = await open_page(mia, "/configs", guarded.url, hosts=(provider.url,))
    await page.route(f"{provider.url}/token", lambda route: route.fulfill(status=400, json={"error": "invalid_grant"}))
    await page.get_by_role("button", name="Sign in with").click()
    await answer_provider(page, mia)
    await expect(page.get_by_role("alert")).to_contain_text("invalid_grant")
    await page.unroute(f"{provider.url}/token")
    await page.get_by_role("button", name="Sign in with").click()
    await expect(page.get_by_role("button", name=f"You: {mia}")).to_be_visible()


async def test_token_is_pasted(open_page: Open, guarded: Service, provider: Provider, mia: str) -> None:
    page = await open_page(mia, "/configs", guarded.url, hosts=(provider.url,))
    await page.get_by_text("Use a token instead").click()
    await page.get_by_label("Token").fill("nothing")
    await expect(page.get_by_text("This is not a token")).to_be_visible()
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("JWT")
    await page.get_by_label("Token").fill(f"Authorization: Bearer {provider.token(mia)}")
    await expect(page.get_by_text(f"For {mia}, until")).to_be_visible()
    await check_page(page, "sign-in-token")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page).to_have_title("Configs · Amplifier")
    await page.get_by_role("button", name=f"You: {mia}").click()
    await expect(page.get_by_text("Signed in until")).to_be_visible()
    assert await stored(page) == []
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_key_and_token_are_pasted(open_page: Open, console_dsn: str, mia: str) -> None:
    environ = {"DATABASE_URL": console_dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
    made = command(environ, "applications", "create", f"travel-{mia}")
    token = jwt.encode({"sub": mia, "exp": int(time.time()) + 3600}, SECRET, "HS256")
    with running_service(environ) as service:
        page = await open_page(mia, "/", service.url)
        await page.get_by_label("Application key").fill("wrong")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("key")
        await page.get_by_label("Application key").fill(made.stdout.strip())
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name=f"You: {mia}").click()
        await expect(page.get_by_text(f"Application travel-{mia}")).to_be_visible()
        await expect(page.get_by_role("link", name="Administration")).to_have_count(0)
        assert await stored(page) == []
