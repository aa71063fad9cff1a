"""The agent in a session of two people: its answer word by word, stopped, queued, interrupted and asked again."""

from typing import Any, NamedTuple

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.conftest import Clients, Open, check_page
from tests.console.live import Shared, meet, message, say, shared, writing
from tests.support.agents import agent, model
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.service import Service

pytestmark = pytest.mark.slow


class Two(NamedTuple):
    """A session with an agent, open in two browsers."""

    session: Shared
    hers: Page
    his: Page

    @property
    def pages(self) -> tuple[Page, Page]:
        return self.hers, self.his


@pytest.fixture(scope="module", autouse=True)
async def imported(service: Service, models: Stub) -> None:
    """Lets the service import the SDK of its provider, which takes longer than a step of a test."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        await (await agent(client, model(models))).say("Are you there?")


@pytest.fixture
async def two(open_page: Open, client_of: Clients, stub: Stub, mia: str, noor: str) -> Two:
    """A session with an agent that the stub answers, of mia and noor."""
    session = await shared(client_of(mia), noor, "editor", model(stub))
    two = Two(session, await open_page(mia, session.page), await open_page(noor, session.page))
    await meet(*two.pages)
    return two


def growing(page: Page) -> Locator:
    """The answer in progress."""
    return page.get_by_role("region", name="Answer in progress")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def test_answer_grows_word_by_word_for_both(two: Two, stub: Stub) -> None:
    gate = Gate()
    stub.when("count", Reply(deltas=["one ", "two ", "three"], gate=gate))
    await say(two.hers, "Please count")
    gate.let()
    for page in two.pages:
        await expect(growing(page)).to_contain_text("one")
    gate.let()
    for page in two.pages:
        await expect(growing(page)).to_contain_text("one two")
    await check_page(two.hers, "live-answer")
    gate.open()
    for page in two.pages:
        await expect(growing(page)).to_have_count(0)
        await expect(message(page, "one two three")).to_have_count(1)
    await expect(two.his.get_by_role("status").filter(has_text="The agent: one two three")).to_have_count(1)


async def test_stopped_answer_stays_as_far_as_it_came(two: Two, stub: Stub) -> None:
    gate = Gate()
    stub.when("count", Reply(deltas=["one ", "two ", "three"], gate=gate))
    await say(two.hers, "Please count")
    gate.let()
    await expect(growing(two.his)).to_contain_text("one")
    await button(two.his, "Stop the agent").click()
    for page in two.pages:
        await expect(growing(page)).to_have_count(0)
        await expect(button(page, "Stop the agent")).to_have_count(0)
    assert await two.session.texts() == ["Please count", "one "]


async def test_message_waits_and_is_taken_back_by_the_other(two: Two, stub: Stub) -> None:
    gate = Gate()
    stub.when("first", Reply("answer one", gate=gate))
    await say(two.hers, "The first")
    await expect(growing(two.hers)).to_be_visible()
    await writing(two.hers).fill("The second")
    await button(two.hers, "Send next").click()
    for page in two.pages:
        await expect(page.get_by_role("list", name="Messages that wait")).to_contain_text("The second")
    await check_page(two.hers, "live-queue")
    await button(two.his, "Take back").click()
    for page in two.pages:
        await expect(page.get_by_role("list", name="Messages that wait")).to_have_count(0)
    await expect(growing(two.hers)).to_be_visible()
    gate.open()
    await expect(message(two.his, "answer one")).to_be_visible()
    assert await two.session.texts() == ["The first", "answer one"]


async def test_interruption_answers_the_newer_message(two: Two, stub: Stub) -> None:
    gate = Gate()
    stub.when("first", Reply("answer one", gate=gate))
    stub.when("second", Reply("answer two"))
    await say(two.hers, "The first")
    await expect(growing(two.his)).to_be_visible()
    await writing(two.his).fill("The second")
    await button(two.his, "Interrupt and send").click()
    for page in two.pages:
        await expect(message(page, "answer two")).to_be_visible()
    assert (await two.session.texts())[-2:] == ["The second", "answer two"]


async def test_failed_run_says_why_and_is_sent_again(two: Two, stub: Stub) -> None:
    stub.queue(Reply(status=401, error="the key is wrong"), Reply("Now it works"))
    await say(two.hers, "Try it")
    for page in two.pages:
        await expect(page.get_by_role("alert")).to_contain_text("The agent could not answer")
    await check_page(two.hers, "live-failed")
    await button(two.his, "Send again").click()
    for page in two.pages:
        await expect(message(page, "Now it works")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_count(0)


async def test_people_talk_while_the_agent_is_not_asked(two: Two) -> None:
    await two.hers.get_by_role("combobox", name="Send to").select_option("people")
    await say(two.hers, "Only for us")
    await expect(two.his.get_by_text("Only for us")).to_be_visible()
    assert (await two.session.call("GET", "/runs"))["items"] == []


async def test_page_that_is_opened_during_an_answer_shows_the_rest(
    two: Two, stub: Stub, open_page: Open, mia: str
) -> None:
    gate = Gate()
    stub.when("count", Reply(deltas=["one ", "two ", "three"], gate=gate))
    await say(two.hers, "Please count")
    gate.let()
    await expect(growing(two.hers)).to_contain_text("one")
    late = await open_page(mia, two.session.page)
    await expect(growing(late)).to_be_visible()
    gate.let()
    await expect(growing(late)).to_contain_text("two")
    gate.open()
    await expect(message(late, "one two three")).to_have_count(1)
    await expect(growing(late)).to_have_count(0)


def asking(stub: Stub, **config: Any) -> dict[str, Any]:
    """The sections of a config whose agent asks before it calls the tool `say`."""
    stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("All is well."))
    return {"tools": [{"module": "tool-some"}], "hooks": [{"module": "hooks-asking", "config": config}]}


async def test_other_person_answers_the_agent(
    open_page: Open, client_of: Clients, stub: Stub, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor, "editor", model(stub), **asking(stub))
    viewer = "viewer-" + mia
    await session.share(viewer, "viewer")
    hers, his = await open_page(mia, session.page), await open_page(noor, session.page)
    theirs = await open_page(viewer, session.page)
    await say(hers, "go")
    for page in (hers, his, theirs):
        await expect(page.get_by_role("group", name="The agent asks")).to_contain_text("Run say?")
    await expect(theirs.get_by_text("It waits for a participant")).to_be_visible()
    await expect(button(theirs, "Allow")).to_have_count(0)
    await check_page(his, "live-approval")
    await button(his, "Allow").click()
    for page in (hers, his, theirs):
        await expect(page.get_by_role("group", name="The agent asks")).to_have_count(0)
        await expect(message(page, "All is well.")).to_be_visible()


async def test_question_without_an_answer_vanishes(
    open_page: Open, client_of: Clients, stub: Stub, mia: str, noor: str
) -> None:
    session = await shared(client_of(mia), noor, "editor", model(stub), **asking(stub, approval_timeout=2))
    page = await open_page(mia, session.page)
    await say(page, "go")
    question = page.get_by_role("group", name="The agent asks")
    await expect(question).to_contain_text("counts as denied at")
    await expect(question).to_have_count(0)
    await expect(message(page, "All is well.")).to_be_visible()
