"""Pages of configs: the list, new configs, and one config by form and JSON."""

import json
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Clients, Open, check_page

pytestmark = pytest.mark.slow
OPENAI: dict[str, Any] = {
    "module": "provider-openai",
    "config": {"model": "gpt-5-mini", "api_key": "${OPENAI_API_KEY}"},
}


async def create(client: Any, name: str = "Travel desk", config: Any = None, **more: Any) -> str:
    """Creates a config by the API and returns its id."""
    body = {"name": name, "config_data": config or {"bundle": {"name": "travel"}, "providers": [OPENAI]}, **more}
    return str((await client.post("/configs", json=body)).json()["config_id"])


async def stored(client: Any, config_id: str, **query: str) -> dict[str, Any]:
    """Returns a config as the API shows it."""
    found: dict[str, Any] = (await client.get(f"/configs/{config_id}", params=query)).json()
    return found


async def replace(page: Page, former: str, text: str) -> None:
    """Replaces the line of the JSON that has `former`."""
    await page.get_by_label("Config as JSON").locator(".cm-line", has_text=former).click()
    await page.keyboard.press("Home")
    await page.keyboard.press("Shift+End")
    await page.keyboard.insert_text(text)


async def test_first_config_is_created_from_a_template(open_page: Open, client_of: Clients, mia: str) -> None:
    page = await open_page(mia, "/configs")
    await check_page(page, "configs-empty")
    await page.get_by_role("button", name="Create the first").click()
    await page.get_by_role("radio", name="OpenAI").check()
    await page.get_by_label("Name", exact=True).fill("Travel desk")
    await page.get_by_role("button", name="Create", exact=True).click()
    await expect(page.get_by_role("heading", name="Travel desk")).to_be_visible()
    await expect(page.get_by_label("Bundle")).to_have_value("travel-desk")
    created = (await client_of(mia).get("/configs")).json()["configs"]
    assert [(one["name"], one["version"]) for one in created] == [("Travel desk", 1)]


async def test_list_finds_by_name_and_tag(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    for number in range(120):
        await create(client, f"Agent {number:03}", tags={"team": "north" if number % 2 else "south"})
    page = await open_page(mia, "/configs")
    rows = page.get_by_role("region", name="Configs").get_by_role("link")
    await expect(rows.first).to_have_text("Agent 119")
    await page.get_by_role("button", name="team: north").first.click()
    await page.get_by_label("Find by name").fill("agent 00")
    await expect(rows).to_have_text([f"Agent 00{number}" for number in (9, 7, 5, 3, 1)])
    await page.reload()
    await expect(rows).to_have_count(5)
    await check_page(page, "configs")
    await page.get_by_role("button", name="Remove filter").click()
    await page.get_by_label("Find by name").fill("")
    await expect(rows.first).to_have_text("Agent 119")
    await page.get_by_role("region", name="Configs").focus()
    await page.keyboard.press("End")
    await expect(page.get_by_role("link", name="Agent 019")).to_be_attached()  # the first of the second page
    await page.keyboard.press("End")
    await expect(rows.last).to_have_text("Agent 000")


async def test_list_that_cannot_be_read_is_tried_again(open_page: Open, client_of: Clients, mia: str) -> None:
    await create(client_of(mia))
    page = await open_page(mia)
    await page.route("**/configs?*", lambda route: route.abort())
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Configs").click()
    await expect(page.get_by_role("alert")).to_contain_text("did not answer")
    await check_page(page, "configs-error")
    await page.unroute("**/configs?*")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("link", name="Travel desk")).to_be_visible()


async def test_long_lists_are_left_to_the_json(open_page: Open, client_of: Clients, mia: str) -> None:
    tools = [{"module": f"tool-{number}"} for number in range(300)]
    page = await open_page(
        mia, f"/configs/{await create(client_of(mia), config={'bundle': {'name': 'b'}, 'tools': tools})}"
    )
    await expect(page.get_by_text("280 more tools are in the JSON")).to_be_visible()
    await expect(page.get_by_role("button", name="Remove tool")).to_have_count(20)


async def test_form_and_json_are_in_step(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    page = await open_page(mia, f"/configs/{config_id}")
    code = page.get_by_label("Config as JSON")
    await page.get_by_label("Instructions").fill("Answer in verse.")
    await expect(code).to_contain_text('"system_prompt": "Answer in verse."')
    await replace(page, '"model"', '"model": "gpt-6",')
    await expect(page.get_by_label("Model", exact=True)).to_have_value("gpt-6")
    await page.get_by_label("Temperature").fill("0.5")
    await page.get_by_label("Most tokens").fill("9007199254740993")
    await check_page(page, "config")
    await page.keyboard.press("Control+s")
    await expect(page.get_by_text("Saved as version 2")).to_be_visible()
    config = (await stored(client, config_id))["config_data"]
    assert config["session"]["context"]["module"] == "context-simple"
    assert config["providers"][0]["config"] == OPENAI["config"] | {
        "model": "gpt-6",
        "temperature": 0.5,
        "max_tokens": 2**53 + 1,
    }


async def test_faults_of_json_are_shown_at_their_place(open_page: Open, client_of: Clients, mia: str) -> None:
    page = await open_page(mia, f"/configs/{await create(client_of(mia))}")
    await replace(page, '"model"', '"model": ,')
    faults = page.get_by_role("list", name="Faults")
    await expect(faults).to_contain_text("Line 9")
    await expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    await check_page(page, "config-fault")


async def test_refused_values_are_shown_at_their_place(open_page: Open, client_of: Clients, mia: str) -> None:
    client = client_of(mia)
    config_id = await create(client)
    page = await open_page(mia, f"/configs/{config_id}")
    model = "m" * 201
    await page.get_by_label("Model", exact=True).fill(model)
    await page.get_by_role("button", name="Save", exact=True).click()
    detail = "model must have at most 200 characters"
    await expect(page.get_by_label("Config", exact=True).get_by_text(detail)).to_be_visible()
    await expect(page.get_by_role("list", name="Faults").get_by_role("listitem")).to_have_text(f"Line 9 {detail}")
    await check_page(page, "config-refused")
    await replace(page, '"module"', '"nothing": 1,')
    await page.get_by_label("Model", exact=True).fill("gpt-6")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_label("Module")).to_be_visible()
    await expect(page.get_by_role("list", name="Faults")).to_contain_text("providers[0] missing 'module' field")
    assert (await stored(client, config_id))["version"] == 1
    assert json.dumps(model) not in (await client.get(f"/configs/{config_id}")).text
