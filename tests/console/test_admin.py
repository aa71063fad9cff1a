"""The pages for admin applications: usage, searches, applications and keys, audit log, queries, health."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Open, check_page
from tests.support.databases import execute

pytestmark = pytest.mark.slow

ClientOf = Callable[[str], httpx.AsyncClient]
# in the year 2025, where no other test has rows
ROWS = """
insert into sessions (session_id, owner_user_id, created_by_app_id) values ('used', 'mia', 'app')
on conflict do nothing;
insert into runs (
    session_id, run_id, status, message, user_id, app_id, queued_at, started_at, finished_at, usage, timing
)
select
    'used', 'used-' || n, case when n % 5 = 0 then 'failed' else 'completed' end, '{"role": "user"}', 'omar-' || n % 3,
    'app', '2025-03-01T12:00Z'::timestamptz + n * interval '10 hours', now(), now(),
    jsonb_build_object('model_calls', 2, 'input_tokens', 900, 'output_tokens', 100, 'total_tokens', 1000, 'models',
        jsonb_build_object('model-' || n % 2, '{"model_calls": 2, "seconds": 1.5, "total_tokens": 1000}'::jsonb)),
    '{"model": 1.5}'
from generate_series(1, 50) as n
on conflict do nothing;
insert into searches (user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)
select 'omar-1', 'app', date '2025-03-01' + n, 'messages', 10, 3, 0, 0.5 from generate_series(1, 20) as n
on conflict do nothing
"""
MARCH = "from=2025-03-01&to=2025-03-31"


@pytest.fixture
def rows(console_dsn: str) -> None:
    """Runs and searches of March 2025."""
    execute(console_dsn, ROWS)


async def heading(page: Page, name: str) -> None:
    await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


async def test_usage_is_shown_over_time_and_by_user(open_page: Open, mia: str, rows: None) -> None:
    page = await open_page(mia, f"/admin?{MARCH}")
    await heading(page, "Usage")
    await expect(page.get_by_label("In this period")).to_contain_text("50,000")
    await expect(page.get_by_role("img", name="Tokens by day")).to_be_visible()
    await expect(page.get_by_role("row", name="2025-03-02")).to_contain_text("2,000")
    await check_page(page, "admin-usage")
    await page.get_by_role("combobox", name="In the chart").select_option("Runs")
    await expect(page.get_by_role("img", name="Runs by day, failed ones in red")).to_be_visible()
    await page.get_by_role("combobox", name="By", exact=True).select_option("User")
    await expect(page.get_by_role("row", name="omar-1")).to_contain_text("17,000")
    await page.get_by_role("combobox", name="By", exact=True).select_option("Model")
    await expect(page.get_by_role("row", name="model-0")).to_contain_text("25")
    assert "by=model" in page.url
    await page.get_by_role("combobox", name="Period").select_option("Last 7 days")
    await expect(page.get_by_role("row", name="model-0")).to_have_count(0)


async def test_searches_are_shown_without_words(open_page: Open, mia: str, rows: None) -> None:
    page = await open_page(mia, f"/admin/searches?{MARCH}")
    await heading(page, "Searches")
    await expect(page.get_by_role("img", name="200 searches by day")).to_be_visible()
    await expect(page.get_by_role("row", name="2025-03-02")).to_contain_text("3 (30 %)")
    await check_page(page, "admin-searches")
    await page.get_by_role("combobox", name="By", exact=True).select_option("Kind")
    await expect(page.get_by_role("row", name="For messages")).to_contain_text("50 ms")


async def test_application_is_registered_changed_and_deleted(open_page: Open, mia: str) -> None:
    app = mia.replace("mia", "app")
    page = await open_page(mia, "/admin/applications")
    await page.get_by_role("button", name="Register an application").click()
    await page.get_by_label("Id", exact=False).first.fill(app)
    await page.get_by_label("Name", exact=True).fill("Travel desk")
    await page.get_by_role("button", name="Register", exact=True).click()
    dialog = page.get_by_role("dialog", name="The new key")
    await expect(dialog).to_contain_text(re.compile(r"app_[0-9a-f]{16}"))
    await dialog.get_by_role("button", name="I have copied it").click()
    await page.get_by_role("link", name=app).click()
    await heading(page, "Travel desk")
    await page.get_by_label("Key managers").fill("omar, noor")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status").get_by_text("Saved")).to_be_visible()
    await expect(page.get_by_label("Key managers")).to_have_value("omar noor")
    await check_page(page, "admin-application")
    await page.get_by_role("button", name="Delete the application").click()
    confirm = page.get_by_role("dialog")
    await confirm.get_by_label("Type").fill("another")
    await confirm.get_by_role("button", name="Delete", exact=True).click()
    await expect(confirm).to_be_visible()
    await confirm.get_by_label("Type").fill(app)
    await confirm.get_by_role("button", name="Delete", exact=True).click()
    await heading(page, "Applications")
    await expect(page.get_by_role("link", name=app)).to_have_count(0)


async def test_keys_are_added_replaced_and_removed(open_page: Open, client_of: ClientOf, mia: str) -> None:
    app = mia.replace("mia", "app")
    await client_of(mia).post("/applications", json={"app_id": app, "app_name": "Travel desk"})
    page = await open_page(mia, f"/admin/applications/{app}")
    keys = page.get_by_role("region", name="Keys", exact=True)
    await expect(keys.get_by_role("row")).to_have_count(2)
    await page.get_by_role("button", name="Add a key").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("second")
    await page.get_by_role("dialog").get_by_label("Ends").select_option("In 30 days")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_role("button", name="I have copied it").click()
    await expect(keys.get_by_role("row").filter(has_text="Remove")).to_contain_text("in 30 days")
    await page.get_by_role("button", name="Remove second").click()
    await page.get_by_role("button", name="Remove", exact=True).click()
    await expect(keys.get_by_role("row")).to_have_count(2)
    former = await keys.locator("tbody code").inner_text()
    await page.get_by_role("button", name="Replace the default key").click()
    await page.get_by_role("button", name="Replace", exact=True).click()
    await page.get_by_role("button", name="I have copied it").click()
    await expect(keys.locator("tbody code")).not_to_have_text(former)


async def test_audit_log_is_filtered(open_page: Open, client_of: ClientOf, mia: str, noor: str) -> None:
    for user in (mia, noor):
        await client_of(user).post("/sessions", json={"title": "Flights"})
    page = await open_page(mia, "/admin/audit")
    await page.get_by_label("User id").fill(noor)
    await page.get_by_role("button", name="Filter").click()
    rows = page.get_by_role("table").get_by_role("row")
    await expect(rows).to_have_count(2)
    await expect(rows.last).to_contain_text("create_session")
    await rows.last.locator("summary").click()
    await expect(rows.last).to_contain_text('"request_id"')
    await check_page(page, "admin-audit")
    await page.get_by_label("Action").fill("delete_session")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_text("Nothing was changed")).to_be_visible()


async def test_queries_and_processes_of_the_service(open_page: Open, mia: str) -> None:
    page = await open_page(mia, "/admin/queries?name=users.")
    await expect(page.get_by_role("row", name="users.get")).to_contain_text("users.sql:")
    await check_page(page, "admin-queries")
    await page.get_by_role("link", name="Health").click()
    await expect(page.get_by_role("group", name="Health")).to_contain_text("Healthy")
    await expect(page.get_by_role("row", name="(answers you)")).to_contain_text("Alive")
    await check_page(page, "admin-health")


async def test_others_are_told_what_is_missing(open_page: Open, mia: str) -> None:
    page = await open_page(mia)
    shown = {"user_id": mia, "app_id": "travel-desk", "is_admin": False}

    async def as_other(route: object) -> None:
        answer = await route.fetch()  # type: ignore[attr-defined]
        await route.fulfill(json=(await answer.json()) | shown)  # type: ignore[attr-defined]

    await page.route("**/users/me", as_other)
    await page.goto(page.url.rstrip("/") + "/admin")
    await expect(page.get_by_text("which is none")).to_contain_text("travel-desk")
    await expect(page.get_by_role("link", name="Administration")).to_have_count(0)
    await check_page(page, "admin-not")
