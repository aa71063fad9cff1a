"""Sessions that several people have open, and what they do there."""

import re
from typing import Any, NamedTuple

import httpx
from playwright.async_api import Locator, Page, expect

from tests.support.agents import agent


class Shared(NamedTuple):
    """A session, and a client of its owner."""

    client: httpx.AsyncClient
    session_id: str

    @property
    def path(self) -> str:
        return f"/sessions/{self.session_id}"

    @property
    def page(self) -> str:
        """The address of its page in the console."""
        return self.path

    async def call(self, method: str, rest: str = "", **given: Any) -> Any:
        """Sends a request of the owner and returns the answer."""
        answer = await self.client.request(method, self.path + rest, **given)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def get(self) -> Any:
        return await self.call("GET")

    async def share(self, user_id: str, role: str) -> None:
        await self.call("POST", "/participants", json={"user_id": user_id, "role": role})

    async def remove(self, user_id: str) -> None:
        await self.call("DELETE", f"/participants/{user_id}")

    async def delete(self) -> None:
        await self.call("DELETE")

    async def participants(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.call("GET", "/participants"))["items"]
        return found

    async def append(self, *texts: str) -> None:
        messages = [{"role": "user", "content": text} for text in texts]
        await self.call("POST", "/transcript", json={"messages": messages})

    async def texts(self) -> list[Any]:
        """Returns what was said, in order."""
        messages = await self.call("GET", "/transcript?view=plain&limit=1000")
        return [one["content"] for one in messages]


async def shared(
    client: httpx.AsyncClient, other: str, role: str = "editor", *providers: Any, **sections: Any
) -> Shared:
    """Creates a session with a title, with an agent if there are providers, and lets the other take part."""
    if providers:
        session = Shared(*await agent(client, *providers, **sections))
        await client.patch(session.path, json={"title": "A session of two"})
    else:
        made = await client.post("/sessions", json={"title": "A session of two"})
        session = Shared(client, made.json()["session_id"])
    await session.share(other, role)
    return session


async def meet(*pages: Page) -> None:
    """Waits until pages of several people follow: only then does each receive events that are never replayed."""
    for page in pages:
        await expect(page.get_by_role("list", name="Following now")).to_be_visible()


def writing(page: Page) -> Locator:
    """The text area of the next message."""
    return page.get_by_role("textbox", name="Message")


async def say(page: Page, text: str) -> None:
    """Writes a message and sends it by Enter."""
    await writing(page).fill(text)
    await writing(page).press("Enter")


def message(page: Page, text: str) -> Locator:
    """Messages of the transcript that contain a text. Those on their way have no number."""
    return page.get_by_role("article", name=re.compile(r"message \d")).filter(has_text=text)
