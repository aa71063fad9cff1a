"""The one test of the console in `make test`: the built page opens and shows the sessions of its user."""

from playwright.async_api import expect

from tests.conftest import settings_for
from tests.console.conftest import Open
from tests.support.live import live

LIMIT = 200_000  # bytes of compressed script that the first view may load
LOADED = """performance.getEntriesByType("resource").filter(({name}) => name.endsWith(".js"))
    .reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0)"""


async def test_console_opens_with_the_sessions_of_its_user(open_at: Open, dsn: str, mia: str) -> None:
    async with live(settings_for(dsn, auth_required=False)) as service:
        client = service.client({"X-User-ID": mia})
        assert (await client.post("/sessions", json={"title": "Tulips"})).status_code == 201
        page = await open_at(service.url, mia)
        await expect(page.get_by_role("link", name="Tulips")).to_be_visible()
        await expect(page.get_by_role("button", name=f"You: {mia}")).to_be_visible()
        loaded = await page.evaluate(LOADED)
        print(f"the first view loads {loaded / 1000:.0f} kB of compressed script")
        assert 1000 < loaded < LIMIT
