"""The database connection breaks at each message of a turn: transcripts stay exact, and every run ends."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import private_folder, serving
from tests.support.agents import agent, model, settings
from tests.support.cutting import Lost, cutting
from tests.support.llm import Call, Reply, Stub

pytestmark = pytest.mark.slow

POINTS = 12  # messages to PostgreSQL in such a turn


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_broken_connection_neither_loses_nor_repeats_messages(
    dsn: str, stub: Stub, installed: None, lost: Lost
) -> None:
    stub.when("use", Reply(calls=[Call("say", {"text": "x"})]), Reply("used"))
    with private_folder() as folder:
        async with cutting(dsn, Path(folder)) as cutter:
            quick = settings(cutter.dsn, stub, run_lease=1, database_pool_min_size=2)
            async with serving(quick) as api:
                here = await agent(await api.as_user("alice"), model(stub), tools=[{"module": "tool-some"}])
                answered, unanswered, cuts = [], [], 0
                for point in range(1, POINTS + 1):
                    text = f"use {point}"
                    cutter.arm(point, lost)
                    answer = await here.client.post(f"{here.path}/messages", json={"message": text})
                    cuts += cutter.disarm()
                    (answered if answer.status_code == 200 else unanswered).append(text)
                    assert answer.status_code in (200, 503), answer.text
                    await over(here)
                assert cuts > POINTS * 0.7, "most moments were tried"
                said = [content for role, content in await here.said() if role == "user"]
                assert len(said) == len(set(said)), "nothing is there twice"
                assert set(answered) <= set(said) <= {*answered, *unanswered}
                assert len(answered) > 2, "turns go on"
                for text, run in zip(said, [run for run in await here.runs() if run["started_at"]], strict=True):
                    assert run["message"]["content"] == text
                whole = [message for message in await here.transcript() if message.get("tool_calls")]
                assert len(whole) >= len(answered)
                assert (await here.say("Well"))["response"] == "You said: Well"


async def over(here: Any) -> None:
    """Waits until all runs have ended."""
    async with asyncio.timeout(20):
        while True:
            answer: httpx.Response = await here.client.get(f"{here.path}/runs")
            if answer.status_code == 200 and all(run["finished_at"] for run in answer.json()["items"]):
                return
            await asyncio.sleep(0.05)
