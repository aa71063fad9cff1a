"""Transcripts of real agents in every format are readable: each word is in the page, and nothing fails."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from amplifier.transcripts.parts import Call, Part, Refusal, Result, Text, Thinking
from amplifier.transcripts.reader import read
from tests.console.conftest import Open
from tests.console.test_messages import session_with
from tests.support.recordings import conversations, recordings

pytestmark = pytest.mark.slow

ClientOf = Callable[[str], httpx.AsyncClient]
SIZE = 120  # messages of a session
WRAPPING = {"success", "true", "false", "output", "error", "null"}  # around results of Amplifier's tools
LONGEST = 5000  # characters of a text that is shown whole
COLLECT = """
async () => {
  const list = document.querySelector('[aria-label=Messages]');
  const next = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 10)));
  const texts = {};
  for (let step = 0; step < 600; step++) {
    await next();
    for (const one of list.querySelectorAll('details')) one.open = true;
    await next();
    for (const one of list.querySelectorAll('article'))
      texts[one.getAttribute('aria-label')] = one.lastElementChild.textContent;
    if (list.scrollTop + list.clientHeight >= list.scrollHeight - 2) break;
    list.scrollTop += list.clientHeight * 0.8;
  }
  return texts;
}
"""


def batches() -> list[list[Any]]:
    """Returns the messages of all recordings and of ten conversations, so many at a time."""
    found = [message for recording in recordings() for message in recording.messages]
    found += [message for recording in list(conversations())[:10] for message in recording.messages]
    return [found[start : start + SIZE] for start in range(0, len(found), SIZE)]


def texts(parts: list[Part]) -> Iterator[str]:
    """Yields what is said, thought, called and returned."""
    for part in parts:
        if isinstance(part, Text | Thinking | Refusal):
            yield part.text[:LONGEST]
        elif isinstance(part, Call):
            yield part.name
        elif isinstance(part, Result):
            yield from texts(part.content)


def words(text: str) -> set[str]:
    plain = re.sub(r"\x1b\[[0-9;]*m|&[a-z]+;|\\.|https?:\S+|data:\S+|^\[\S+\]:.*$", " ", text, flags=re.MULTILINE)
    return set(re.findall(r"[^\W_]{2,}", plain)) - WRAPPING


@pytest.mark.parametrize("number", range(len(batches())))
async def test_each_word_is_in_the_page(open_page: Open, mia: str, client_of: ClientOf, number: int) -> None:
    messages = batches()[number]
    session = await session_with(client_of(mia), messages)
    page = await open_page(mia, f"/sessions/{session}?seq=1")
    await expect(page.get_by_role("article").first).to_be_visible()
    shown: dict[str, str] = await page.evaluate(COLLECT)
    assert [name for name, text in shown.items() if not text.strip()] == []
    page_text = "\n".join(shown.values())
    for message in messages:
        said = words(" ".join(texts(read(message).parts)))
        assert [word for word in said if word not in page_text] == [], message
