"""Many agents at once, and a process that is killed again and again: every turn whole, no message twice, none lost."""

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.agents import Agent, agent, model
from tests.llm import Call, Reply, Stub
from tests.service import Service, free_port
from tests.soak import client
from tests.test_agent_processes import LEASE, running
from tests.test_agent_processes import stub as stub

SESSIONS, TURNS = 100, 5
KILLS = int(os.environ.get("AGENT_KILLS", "3"))


async def test_a_hundred_sessions_of_five_turns(alone: None, dsn: str, stub: Stub) -> None:
    stub.keep_bodies = False
    stub.when("use", Reply(calls=[Call("say", {"text": "x"})]), Reply("used", pieces=2))
    with running(stub, dsn, count=1, DATABASE_POOL_MAX_SIZE="10", DATABASE_ACQUIRE_TIMEOUT="30") as [service]:
        async with client(service) as api:
            first = await agent(api, model(stub), tools=[{"module": "tool-some"}])
            config_id = (await api.get(first.path)).json()["config_id"]
            agents = [first, *[await session_of(api, config_id) for _ in range(SESSIONS - 1)]]

            async def converse(number: int, here: Agent) -> None:
                for turn in range(TURNS):
                    text = "use it" if turn == 2 else f"{number} says {turn}"
                    expected = "used" if turn == 2 else f"You said: {text}"
                    assert (await here.say(text))["response"] == expected

            async with asyncio.timeout(180):
                await asyncio.gather(*(converse(number, here) for number, here in enumerate(agents)))
            for number, here in enumerate(agents):
                said = [content for role, content in await here.said() if role == "user"]
                assert said == [f"{number} says {turn}" if turn != 2 else "use it" for turn in range(TURNS)]
                runs = await here.runs()
                assert [run["status"] for run in runs] == ["completed"] * TURNS
                assert runs[2]["usage"]["model_calls"] == 2
        assert "Traceback" not in service.output


async def session_of(api: httpx.AsyncClient, config_id: str) -> Agent:
    made = await api.post("/sessions", json={"config_id": config_id})
    return Agent(api, made.json()["session_id"])


@pytest.mark.parametrize("seed", [1])
async def test_a_process_that_is_killed_again_and_again(
    alone: None, dsn: str, stub: Stub, sql: Callable[..., list[Any]], seed: int
) -> None:
    """Amid answers, tools and what waits. Whatever was accepted is in the transcript once, and has an end."""
    stub.keep_bodies = False
    stub.when("slow", Reply("One two three four", pieces=8, pause=0.05))
    stub.when("tool", Reply(calls=[Call("hang")]))
    dice, port = random.Random(seed), str(free_port())
    sent: dict[str, list[str]] = {}
    for kill in range(KILLS):
        with running(stub, dsn, count=1, SERVICE_PORT=port, RUN_TOOL_TIMEOUT="30") as [service]:
            async with client(service) as api:
                if not sent:
                    first = await agent(api, model(stub), tools=[{"module": "tool-some"}])
                    config_id = (await api.get(first.path)).json()["config_id"]
                    sent = {(await session_of(api, config_id)).session_id: [] for _ in range(10)}
                talking = [
                    asyncio.create_task(talk(Agent(api, session_id), texts, f"{kill}.{n}", dice))
                    for session_id, texts in sent.items()
                    for n in range(3)
                ]
                await asyncio.sleep(dice.uniform(0.3, 1.0))  # the moment of the kill
                service.process.kill()
                await asyncio.to_thread(service.process.wait, 10)
                await asyncio.gather(*talking, return_exceptions=True)
    with running(stub, dsn, count=1, SERVICE_PORT=port, RUN_TOOL_TIMEOUT="0.1", RUN_MODEL_TIMEOUT="5") as [service]:
        await assert_whole(service, sent, sql)


async def talk(here: Agent, texts: list[str], name: str, dice: random.Random) -> None:
    """Sends a message that nobody else sends."""
    text = f"{dice.choice(['slow', 'tool', 'quick'])} {name}"
    texts.append(text)
    await here.client.post(f"{here.path}/messages", json={"message": text})


async def assert_whole(service: Service, sent: dict[str, list[str]], sql: Callable[..., list[Any]]) -> None:
    """All runs have an end soon, all sessions go on, and nothing that was accepted is missing or there twice."""
    unfinished = "select count(*) from runs where status in ('queued', 'running')"
    async with asyncio.timeout(60):
        while sql(unfinished) != [(0,)]:
            await asyncio.sleep(0.1)
    stale = "select count(*) from runs where finished_at > lease_expires_at + interval '10 seconds'"
    assert sql(stale) == [(0,)]
    accepted = 0
    async with client(service) as api:
        for session_id, texts in sent.items():
            here = Agent(api, session_id)
            assert (await here.say("quick and last"))["response"] == "You said: quick and last"
            users = [content for role, content in await here.said() if role == "user"]
            runs = [run["message"]["content"] for run in await here.runs() if run["started_at"] is not None]
            assert sorted(users) == sorted(runs), "each message that was accepted is there once"
            assert set(users) <= {*texts, "quick and last"}
            assert len(set(users)) == len(users)
            accepted += len(users)
    assert accepted > len(sent) * 2, "there was something to lose"
    assert LEASE < 10
