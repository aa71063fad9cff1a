"""Many agents at once, and processes that are killed and suspended: turns are complete, messages exact."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from tests.api.test_message_streams import DELTA, answer
from tests.runtime.test_agent_processes import LEASE, running
from tests.runtime.test_agent_processes import stub as stub
from tests.support.agents import Agent, agent, model
from tests.support.llm import Call, Reply, Stub
from tests.support.service import Service, free_port
from tests.support.soak import client

pytestmark = pytest.mark.slow

Sql = Callable[..., list[Any]]
SESSIONS, TURNS = 100, 5
KILLS = int(os.environ.get("AGENT_KILLS", "3"))
STOPS = max(2, KILLS // 2)
LIMIT = 180.0  # seconds; ten times what it takes on two idle cores


async def test_hundred_sessions_complete_five_turns(alone: None, dsn: str, stub: Stub) -> None:
    stub.keep_bodies = False
    stub.when("use", Reply(calls=[Call("say", {"text": "x"})]), Reply("used", pieces=2))
    with running(stub, dsn, count=1, DATABASE_ACQUIRE_TIMEOUT="30") as [service]:
        async with client(service) as api, asyncio.timeout(LIMIT):
            agents = await sessions(api, stub, SESSIONS)
            async with stalls(service) as worst:
                await asyncio.gather(*(converse(number, here) for number, here in enumerate(agents)))
            for number, here in enumerate(agents):
                await assert_conversed(number, here)
        assert "Traceback" not in service.output
    print(f"{SESSIONS * TURNS} turns, an answer to GET / took at most {max(worst):.3f} s of {len(worst)}")


async def converse(number: int, here: Agent) -> None:
    """Sends the messages that `assert_conversed` expects. Every other session uses streams."""
    for turn in range(TURNS):
        text, expected = spoken(number, turn)
        if number % 2:
            assert (await here.say(text))["response"] == expected
        else:
            async with answer(here, text) as stream:
                events = await stream.rest()
            deltas = [event["data"] for event in events if event["type"] == DELTA]
            assert "".join(delta["text"] for delta in deltas if delta["block_type"] == "text") == expected
            assert events[-2:] == [{"type": "response", "content": expected, "finish_reason": "stop"}, {"type": "done"}]


async def assert_conversed(number: int, here: Agent) -> None:
    """Asserts that the transcript has exactly these turns, in order, and that their runs counted the calls."""
    call = [("assistant", ""), ("tool", "x")]
    turns = [spoken(number, turn) for turn in range(TURNS)]
    assert await here.said() == [
        message
        for text, response in turns
        for message in [("user", text), *(call if response == "used" else []), ("assistant", response)]
    ]
    for run, (_, response) in zip(await here.runs(), turns, strict=True):
        calls = 1 + (response == "used")
        assert (run["status"], run["response"]) == ("completed", response)
        counted = {name: run["usage"][name] for name in ("model_calls", "input_tokens", "output_tokens")}
        assert counted == {"model_calls": calls, "input_tokens": 10 * calls, "output_tokens": 5 * calls}
        assert run["usage"].get("tool_calls", 0) == calls - 1


def spoken(number: int, turn: int) -> tuple[str, str]:
    """Returns the message and the expected answer of a turn."""
    text = f"{number} says {turn}"
    return ("use it", "used") if turn == 2 else (text, f"You said: {text}")


@contextlib.asynccontextmanager
async def stalls(service: Service) -> AsyncIterator[list[float]]:
    """Yields the list of response times, in seconds, of a route that needs no database."""
    took: list[float] = []

    async def look() -> None:
        async with client(service) as api:
            while True:
                started = time.perf_counter()
                assert (await api.get("/")).status_code == 200
                took.append(time.perf_counter() - started)
                await asyncio.sleep(0.01)

    looking = asyncio.create_task(look())
    try:
        yield took
        assert not looking.done(), looking.exception()
    finally:
        looking.cancel()


async def sessions(api: httpx.AsyncClient, stub: Stub, count: int) -> list[Agent]:
    """Creates `count` sessions of one config with tools."""
    first = await agent(api, model(stub), tools=[{"module": "tool-some"}])
    config_id = (await api.get(first.path)).json()["config_id"]
    made = [await api.post("/sessions", json={"config_id": config_id}) for _ in range(count - 1)]
    return [first, *(Agent(api, one.json()["session_id"]) for one in made)]


class Sent(NamedTuple):
    """The messages sent to a session: all texts, those that the service accepted, and the answers."""

    texts: list[str]
    accepted: set[str]
    answers: dict[str, str]


async def test_repeatedly_killed_process_loses_no_message(alone: None, dsn: str, stub: Stub, sql: Sql) -> None:
    """Kills hit answers, tools and queued runs. Each accepted message is in the transcript once, and its run ends."""
    stub.keep_bodies = False
    stub.when("slow", Reply("One two three four", pieces=8, pause=0.05))
    stub.when("tool", Reply(calls=[Call("hang")]), Reply("Well."))
    dice, port = random.Random(KILLS), str(free_port())
    sent: dict[str, Sent] = {}
    amid = {"running": 0, "queued": 0}
    for kill in range(KILLS):
        with running(stub, dsn, count=1, SERVICE_PORT=port, RUN_TOOL_TIMEOUT="0.7") as [service]:
            async with client(service) as api:
                sent = sent or {one.session_id: Sent([], set(), {}) for one in await sessions(api, stub, 8)}
                talks = [talk(Agent(api, one), sent[one], f"{kill}.{n}", dice) for one in sent for n in range(3)]
                talking = [asyncio.create_task(one) for one in talks]
                await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(dice.uniform(0, 1.5))  # the moment of the kill
                service.process.kill()
                await asyncio.to_thread(service.process.wait, 10)
                await asyncio.gather(*talking)
        for status in amid:
            amid[status] += sql("select count(*) from runs where status = %s", status)[0][0]
    assert all(amid.values()), amid
    with running(stub, dsn, count=1, SERVICE_PORT=port, RUN_TOOL_TIMEOUT="0.1") as [service]:
        await assert_ended(sql, "process_id is not null", LEASE + 10)
        await assert_ended(sql, "true", LIMIT)
        async with client(service) as api:
            counts = [await assert_kept(Agent(api, session_id), one) for session_id, one in sent.items()]
    print(
        f"{KILLS} kills amid {amid}; {sum(counts)} messages, {sum(len(one.answers) for one in sent.values())} answered"
    )


async def test_repeatedly_suspended_process_loses_no_message(alone: None, dsn: str, stub: Stub, sql: Sql) -> None:
    """A process is suspended beyond its lease: another one ends its runs, and the first writes nothing more."""
    stub.keep_bodies = False
    stub.when("slow", Reply("One two three four", pieces=8, pause=0.05))
    stub.when("tool", Reply(calls=[Call("hang")]), Reply("Well."))
    dice, taken = random.Random(STOPS), 0
    with running(stub, dsn, RUN_TOOL_TIMEOUT="0.7") as [one, other]:
        async with client(one) as first, client(other) as second, asyncio.timeout(LIMIT * STOPS / 2):
            sent = {here.session_id: Sent([], set(), {}) for here in await sessions(first, stub, 6)}
            stop = 0
            while stop < STOPS or not taken:  # between its runs it has none to lose
                stop += 1
                talks = [
                    talk(Agent(api, session_id), sent[session_id], f"{stop}.{n}.{api is first}", dice)
                    for session_id in sent
                    for n in range(2)
                    for api in (first, second)
                ]
                talking = [asyncio.create_task(one) for one in talks]
                await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(dice.uniform(0, 0.5))  # the moment of the stop
                one.process.send_signal(signal.SIGSTOP)
                taken += await until_taken(sql)
                one.process.send_signal(signal.SIGCONT)
                await asyncio.gather(*talking)
            counts = [await assert_kept(Agent(second, session_id), one) for session_id, one in sent.items()]
        for process in (one, other):
            assert "Traceback" not in process.output, process.output
    print(f"{stop} stops, {taken} runs taken over; {sum(counts)} messages")


async def until_taken(sql: Sql) -> int:
    """Waits until another process has ended the runs whose leases expired. Returns their number."""
    stopped = sql("select clock_timestamp()")[0][0]
    going = [run_id for (run_id,) in sql("select run_id from runs where status = 'running'")]
    query = "select count(*) from runs where run_id = any(%s) and status = 'running' and lease_expires_at < %s"
    expired = stopped + timedelta(seconds=LEASE)
    while sql("select clock_timestamp()")[0][0] < expired or sql(query, going, expired) != [(0,)]:
        await asyncio.sleep(0.05)
    query = "select count(*) from runs where run_id = any(%s) and error ->> 'type' = 'interrupted'"
    return int(sql(query, going)[0][0])


async def talk(here: Agent, sent: Sent, name: str, dice: random.Random) -> None:
    """Sends a unique message and notes the answer, until the process dies."""
    text = f"{dice.choice(['slow', 'tool', 'quick'])} {name}"
    sent.texts.append(text)
    with contextlib.suppress(httpx.TransportError):
        if dice.random() < 0.5:
            said = await here.client.post(f"{here.path}/messages", json={"message": text})
            assert said.status_code in (200, 429, 503), said.text
            if said.status_code != 429:
                sent.accepted.add(text)
            if said.status_code == 200:
                sent.answers[text] = said.json()["response"]
        else:
            async with answer(here, text) as stream:
                await stream.next("connected")
                sent.accepted.add(text)
                end = await stream.next("response", "error")
                if end is not None and end["type"] == "response":
                    sent.answers[text] = end["content"]


async def assert_ended(sql: Sql, which: str, seconds: float) -> None:
    """Waits until none of these runs is queued or running. Raises TimeoutError after these seconds."""
    before = sql(f"select run_id from runs where status in ('queued', 'running') and {which}")
    query = "select count(*) from runs where status in ('queued', 'running') and run_id = any(%s)"
    async with asyncio.timeout(seconds):
        while sql(query, [run_id for (run_id,) in before]) != [(0,)]:
            await asyncio.sleep(0.1)


async def assert_kept(here: Agent, sent: Sent) -> int:
    """Asserts that each accepted message is stored once and answered as sent. Returns the number of messages."""
    assert (await here.say("the last"))["response"] == "You said: the last"
    transcript, runs = await here.said(), await here.runs()
    users = [content for role, content in transcript if role == "user"]
    assert len(users) == len(set(users)), "nothing is there twice"
    assert sent.accepted <= set(users) <= {*sent.texts, "the last"}
    assert sorted(users) == sorted(run["message"]["content"] for run in runs), "every run began"
    assert {run["status"] for run in runs} <= {"completed", "failed"}
    assert {(run["error"] or {}).get("type") for run in runs} <= {None, "interrupted"}
    for text, response in sent.answers.items():
        [run] = [run for run in runs if run["message"]["content"] == text]
        assert (run["status"], run["response"]) == ("completed", response)
    return len(users)
