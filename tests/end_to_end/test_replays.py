"""Transcripts of real agents are appended as a client does, up to a cut, and continue with every included provider.

`tests/runtime/test_replays.py` tries more cuts without the service.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import serving
from tests.support.agents import agent, echo, model, settings
from tests.support.llm import Call, Reply, Stub
from tests.support.recordings import Message, conversations, recordings

PROMPT = "Now sum up, in seven words."
AT_ONCE = 4  # sessions


class Cut(NamedTuple):
    """A transcript up to a message, to be continued."""

    name: str
    messages: list[Message]


@pytest.fixture
async def client(dsn: str, stub: Stub, installed: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service without authentication: a token would expire meanwhile."""
    async with serving(settings(dsn, stub, auth_required=False, database_acquire_timeout=60)) as api:
        yield api.client()


async def faults(client: httpx.AsyncClient, provider: dict[str, Any], cuts: list[Cut]) -> list[str]:
    """Continues each cut in a session of its own. Returns what went wrong."""
    config_id = (await client.get((await agent(client, provider)).path)).json()["config_id"]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(cut: Cut) -> str | None:
        async with gate:
            return await fault(client, config_id, cut.messages)

    found = zip(cuts, await asyncio.gather(*map(one, cuts)), strict=True)
    return [f"{cut.name}: {fault}" for cut, fault in found if fault is not None]


async def fault(client: httpx.AsyncClient, config_id: str, messages: list[Message]) -> str | None:
    session = await client.post("/sessions", json={"config_id": config_id})
    if session.status_code != 201:
        return f"session: {session.status_code} {session.text}"
    path = f"/sessions/{session.json()['session_id']}"
    appended = await client.post(f"{path}/transcript", json={"messages": messages})
    if appended.status_code != 201:
        return f"append: {appended.status_code} {appended.text}"
    answer = await client.post(f"{path}/messages", json={"message": PROMPT})
    if answer.status_code != 200:
        return f"turn: {answer.status_code} {answer.text}"
    said = answer.json()["response"]
    return None if said == f"You said: {PROMPT}" else f"answer: {said[:200]}"


def providers(stub: Stub) -> list[dict[str, Any]]:
    return [echo(), model(stub), model(stub, "anthropic")]


@pytest.mark.slow
async def test_whole_transcripts_continue(client: httpx.AsyncClient, stub: Stub) -> None:
    cuts = [Cut(*one) for one in recordings() if one.messages]
    cuts += [Cut(*one) for one in [*conversations()][:5]]
    for provider in providers(stub):
        assert await faults(client, provider, cuts) == []
    assert len(stub.requests) == 2 * len(cuts)


@pytest.mark.slow
async def test_agent_with_tools_works_on(client: httpx.AsyncClient, stub: Stub) -> None:
    """The answers of a turn with calls are part of the next turn, after the messages of other formats."""
    stub.when("seven words", Reply(calls=[Call("say", {"text": "x"}), Call("say", {"text": "y"})]), Reply("Seven."))
    for api in ("openai", "anthropic"):
        for _, messages in recordings():
            here = await agent(client, model(stub, api), tools=[{"module": "tool-some"}])
            await client.post(f"{here.path}/transcript", json={"messages": messages})
            assert (await here.say(PROMPT))["response"] == "Seven."
            assert (await here.say("Hm"))["response"] == "You said: Hm"


@pytest.mark.slow
async def test_transcripts_continue_from_every_message(client: httpx.AsyncClient, stub: Stub) -> None:
    cuts = [Cut(f"{name}[:{end}]", given[:end]) for name, given in recordings() for end in range(1, len(given) + 1)]
    for name, given in conversations():
        cuts += [Cut(f"{name}[:{end}]", given[:end]) for end in range(1, len(given) + 1, 25)]
    stub.keep_bodies = False
    for provider in providers(stub):
        assert await faults(client, provider, cuts) == []
