"""Files in the console: chosen, pasted and dropped, refused, and sent with a message."""

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.console.conftest import Clients, Open, check_page
from tests.console.live import message, say, shared, writing
from tests.support.agents import echo

pytestmark = pytest.mark.slow

SEATS = FilePayload(name="seats.csv", mimeType="text/csv", buffer=b"seat,price\n12A,40\n")
DROP = """([area, how]) => {
    const data = new DataTransfer();
    data.items.add(new File(["seat,price"], "dropped.csv", {type: "text/csv"}));
    const given = how === "drop" ? {dataTransfer: data} : {clipboardData: data};
    const event = how === "drop" ? new DragEvent("drop", {...given, bubbles: true, cancelable: true})
        : new ClipboardEvent("paste", {...given, bubbles: true, cancelable: true});
    area.dispatchEvent(event);
}"""


async def choose(page: Page, *files: FilePayload) -> None:
    """Chooses files by the button."""
    async with page.expect_file_chooser() as chosen:
        await page.get_by_role("button", name="Attach files").click()
    await (await chosen.value).set_files(list(files))


async def test_file_is_sent_with_a_message(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    hers, his = await open_page(mia, session.page), await open_page(noor, session.page)
    await choose(hers, SEATS)
    files = hers.get_by_role("list", name="Files of the message")
    await expect(files).to_contain_text("seats.csv")
    await expect(files).not_to_contain_text("%")
    await check_page(hers, "live-files")
    await say(hers, "Which seat is the cheapest?")
    await expect(files).to_have_count(0)
    await expect(message(his, "seats.csv")).to_contain_text("Which seat is the cheapest?")
    [text, file] = (await session.texts())[0]
    assert text == {"type": "text", "text": "Which seat is the cheapest?"}
    assert file["file"]["file_data"].startswith("amplifier:sha256/")


async def test_agent_gets_files_before_the_text(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor, "editor", echo())
    page = await open_page(mia, session.page)
    await choose(page, SEATS)
    await expect(page.get_by_role("list", name="Files of the message")).not_to_contain_text("%")
    await say(page, "Which seat?")
    await expect(message(page, "You said:")).to_be_visible()
    [[file], text, _] = await session.texts()
    assert (file["file"]["filename"], text) == ("seats.csv", "Which seat?")


@pytest.mark.parametrize("how", ["drop", "paste"])
async def test_file_is_dropped_and_pasted(open_page: Open, client_of: Clients, mia: str, noor: str, how: str) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(mia, session.page)
    await page.evaluate(DROP, [await writing(page).element_handle(), how])
    files = page.get_by_role("list", name="Files of the message")
    await expect(files).to_contain_text("dropped.csv")
    await files.get_by_role("button", name="Remove dropped.csv").click()
    await expect(files).to_have_count(0)


async def test_refused_file_says_why(open_page: Open, client_of: Clients, mia: str, noor: str) -> None:
    session = await shared(client_of(mia), noor)
    page = await open_page(mia, session.page)
    await expect(writing(page)).to_be_visible()
    await page.route("**/attachments*", lambda route: route.fulfill(status=409, json={"detail": "There is no room"}))
    await choose(page, SEATS)
    await expect(page.get_by_role("alert")).to_contain_text("There is no room")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
