"""Agents in several processes on one database: turns in order, cancelled and followed from any process."""

import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_message_streams import DELTA, answer, text_of
from tests.conftest import assert_problem
from tests.support import llm
from tests.support.agents import ALLOWED, MODULES, Agent, agent, model, waiting
from tests.support.live import LIMIT
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.service import Service
from tests.support.soak import LISTENING, OURS, client, services, until
from tests.support.streams import Event, Events, open_stream

pytestmark = pytest.mark.slow

LEASE = 2  # seconds


@pytest.fixture
def stub() -> Iterator[Stub]:
    """Yields a stub in a thread, beside the event loop of the test."""
    with llm.in_thread() as stub:
        yield stub


@contextlib.contextmanager
def running(stub: Stub, dsn: str, count: int = 2, **environ: str) -> Iterator[list[Service]]:
    """Yields `count` processes whose agents may call the stub."""
    modules = ALLOWED.replace("provider-anthropic,", "")  # importing its SDK takes as long as everything else
    changes = {"RUNTIME_MODULES": modules, "RUNTIME_BASE_URLS": stub.url, "PYTHONPATH": str(MODULES)}
    with services(count, dsn, **changes, RUN_LEASE=str(LEASE), **environ) as found:
        yield found


@contextlib.asynccontextmanager
async def both(one: Service, other: Service, *providers: Any, **sections: Any) -> AsyncIterator[tuple[Agent, Agent]]:
    """Yields a session as seen through each of two processes."""
    async with client(one) as first, client(other) as second:
        here = await agent(first, *providers, **sections)
        yield here, Agent(second, here.session_id)


def whole_turns(said: list[tuple[str, Any]]) -> list[tuple[str, str | None]]:
    """Returns the turns of a transcript, each of one question and one answer, or None where a run failed."""
    turns: list[tuple[str, str | None]] = []
    for role, content in said:
        if role == "user":
            turns.append((content, None))
        else:
            assert (role, turns[-1][1]) == ("assistant", None)
            turns[-1] = (turns[-1][0], content)
    return turns


async def test_eight_concurrent_messages_become_eight_turns(dsn: str, stub: Stub) -> None:
    """Two processes execute the turns in some order. Each request gets its own response, followers get all events."""
    texts = [f"message {n}" for n in range(8)]
    with running(stub, dsn) as [one, other]:
        async with both(one, other, model(stub)) as (here, there), contextlib.AsyncExitStack() as stack:
            path = f"{here.path}/events"
            streams = [await stack.enter_async_context(open_stream(process.url, path)) for process in (one, other)]
            answers = await asyncio.gather(*((here, there)[n % 2].say(text) for n, text in enumerate(texts)))
            assert [found["response"] for found in answers] == [f"You said: {text}" for text in texts]
            turns = whole_turns(await here.said())
            assert Counter(turns) == Counter((text, f"You said: {text}") for text in texts)
            runs = await there.runs()
            assert {run["status"] for run in runs} == {"completed"}
            seen = [await logged(stream, {"run.completed": 8}) for stream in streams]
            assert seen[0] == seen[1]
            assert [identifier for identifier, _, _ in seen[0]] == list(range(1, len(seen[0]) + 1))
            for kind in ("run.started", "run.completed"):
                ids = [json.loads(data)["run_id"] for _, type, data in seen[0] if type == kind]
                assert sorted(ids) == sorted(run["run_id"] for run in runs)
            messages = [
                json.loads(data)["message"]["content"] for _, type, data in seen[0] if type == "message.created"
            ]
            assert messages == [text for turn in turns for text in turn]


async def logged(stream: Events, until: dict[str, int]) -> list[Event]:
    """Returns the events with an id, up to the last one of the wanted number of each type."""
    events, counts = [], Counter[str]()
    async with asyncio.timeout(LIMIT):
        while any(counts[type] < count for type, count in until.items()):
            events.append(await stream.logged())
            counts[events[-1].type] += 1
    return events


async def test_run_is_followed_joined_and_cancelled_in_another_process(dsn: str, stub: Stub) -> None:
    with running(stub, dsn) as [one, other]:
        async with both(one, other, model(stub), tools=[{"module": "tool-some"}]) as (here, there):
            gate = Gate()
            stub.when("weather", Reply(calls=[Call("say", {"text": "rain"})]), Reply("It rains.", gate=gate))
            async with open_stream(other.url, f"{here.path}/events") as stream, answer(here, "weather") as told:
                await told.next("tool:post")
                while (event := await anext(stream)).type != "tool:post":
                    pass
                async with answer(there, "weather", {"Last-Event-ID": told.last_id}) as joined:
                    await joined.next("connected")
                    gate.let()
                    while (event := await anext(stream)).type != DELTA or b"It " not in event.data:
                        pass
                    assert (await joined.next(DELTA))["data"]["text"] == "It "
                    gate.open()
                    events, elsewhere = await told.rest(), await joined.rest()
                while (event := await anext(stream)).type != "run.completed":
                    pass
            assert text_of(events).endswith("It rains.")
            assert (
                events[-2:]
                == elsewhere[-2:]
                == [{"type": "response", "content": "It rains.", "finish_reason": "stop"}, {"type": "done"}]
            )

            stub.when("long", Reply("One two", stall_after=1))
            async with waiting(here.say("long", 409)):
                await until(lambda: stub.requests[-1].asked == "long" and stub.requests[-1].sent)
                await there.cancel()
                await until(lambda: stub.requests[-1].disconnected, LEASE / 2)
            assert (await there.say("on"))["response"] == "You said: on"


async def test_approval_is_decided_in_another_process(dsn: str, stub: Stub) -> None:
    sections = {"tools": [{"module": "tool-some"}], "hooks": [{"module": "hooks-asking"}]}
    with running(stub, dsn) as [one, other]:
        async with both(one, other, model(stub), **sections) as (here, there):
            stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
            async with waiting(here.say("go")):
                while not (asked := (await there.client.get(f"{here.path}/approvals")).json()["items"]):
                    await asyncio.sleep(0.01)
                path = f"{here.path}/approvals/{asked[0]['approval_id']}"
                assert (await there.client.post(path, json={"decision": "allow"})).json()["granted"]
            assert ("tool", "done") in await here.said()


@pytest.mark.parametrize("lost_at", ["sender", "receiver"])
async def test_cancellation_and_decision_need_no_notification(
    dsn: str, stub: Stub, sql: Callable[..., list[Any]], lost_at: str
) -> None:
    """The renewal of the lease finds the cancellation; the approval system polls for decisions."""
    sections = {"tools": [{"module": "tool-some"}], "hooks": [{"module": "hooks-asking"}]}
    with running(stub, dsn, NOTIFY_DELAY="3600" if lost_at == "sender" else "0.01") as [one, other]:
        async with both(one, other, model(stub), **sections) as (here, there), deaf(sql, lost_at == "receiver"):
            stub.when("long", Reply("One two", stall_after=1))
            stub.when("ask", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
            async with waiting(here.say("long", 409)):
                await until(lambda: stub.requests and stub.requests[0].sent)
                await there.cancel()
                await until(lambda: stub.requests[0].disconnected, LEASE)
            async with waiting(here.say("ask")):
                while not (asked := (await there.client.get(f"{here.path}/approvals")).json()["items"]):
                    await asyncio.sleep(0.01)
                path = f"{here.path}/approvals/{asked[0]['approval_id']}"
                assert (await there.client.post(path, json={"decision": "allow"})).json()["granted"]


@contextlib.asynccontextmanager
async def deaf(sql: Callable[..., list[Any]], wanted: bool) -> AsyncIterator[None]:
    """Terminates the listening connections again and again while the context lasts."""

    async def deafen() -> None:
        while wanted:
            await asyncio.to_thread(sql, f"select pg_terminate_backend(pid) {OURS} and {LISTENING}")
            await asyncio.sleep(0.01)

    deafening = asyncio.create_task(deafen())
    try:
        yield
        assert deafening.done() != wanted
    finally:
        deafening.cancel()


async def test_suspended_process_writes_nothing_after_its_lease(dsn: str, stub: Stub) -> None:
    """Another process ends its run when the lease has expired, and executes the queued one."""
    with running(stub, dsn) as [one, other]:
        async with both(one, other, model(stub)) as (here, there):
            gate = Gate()
            stub.when("first", Reply("Too late", gate=gate))
            async with waiting(here.client.post(f"{here.path}/messages", json={"message": "first"})) as first:
                await until(lambda: stub.requests)
                async with waiting(there.say("second")) as second:
                    await there.run("queued")
                    one.process.send_signal(signal.SIGSTOP)
                assert second.result()["response"] == "You said: second"
                gate.open()
                one.process.send_signal(signal.SIGCONT)
            assert_problem(first.result(), 503)
            lost, done = await there.runs()
            assert (lost["status"], lost["error"]["type"], done["status"]) == ("failed", "interrupted", "completed")
            assert whole_turns(await there.said()) == [
                ("first", None),
                ("second", "You said: second"),
            ]
            assert (await here.say("third"))["response"] == "You said: third"


async def test_killed_process_loses_no_message(dsn: str, stub: Stub) -> None:
    """The other process ends the running run and executes the queued one.

    A request repeated with its idempotency key gets the outcome, and the message is stored once.
    """
    with running(stub, dsn) as [one, other]:
        async with both(one, other, model(stub)) as (here, there):
            stub.when("first", Reply("One two", stall_after=1))
            asked = [{"json": {"message": text}, "headers": {"Idempotency-Key": text}} for text in ("first", "second")]
            lost = [asyncio.create_task(here.client.post(f"{here.path}/messages", **asked[0]))]
            await until(lambda: stub.requests)
            lost.append(asyncio.create_task(here.client.post(f"{here.path}/messages", **asked[1])))
            await there.run("queued")
            one.process.kill()
            for error in await asyncio.gather(*lost, return_exceptions=True):
                assert isinstance(error, httpx.TransportError)
            assert (await there.run("completed"))["response"] == "You said: second"
            first, second = [await there.client.post(f"{here.path}/messages", **again) for again in asked]
            assert_problem(first, 503)
            assert second.json()["response"] == "You said: second"
            turns = [("first", None), ("second", "You said: second")]
            assert whole_turns(await there.said()) == turns
            assert [(run["error"] or {}).get("type") for run in await there.runs()] == ["interrupted", None]
