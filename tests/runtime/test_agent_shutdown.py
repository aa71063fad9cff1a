"""A service that stops gives its runs a grace period and then interrupts them; queued runs are executed later."""

import asyncio
import signal
import time
from typing import Any

import pytest

from tests.api.test_message_streams import answer
from tests.conftest import assert_problem
from tests.runtime.test_agent_processes import running, whole_turns
from tests.runtime.test_agent_processes import stub as stub
from tests.support.agents import Agent, agent, model, waiting
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.service import free_port
from tests.support.soak import client, until

pytestmark = pytest.mark.slow

GRACE = 3  # seconds


async def test_run_that_ends_within_grace_completes(dsn: str, stub: Stub) -> None:
    gate = Gate()
    stub.when("count", Reply("one two", gate=gate))
    with running(stub, dsn, count=1, SHUTDOWN_GRACE=str(GRACE)) as [service]:
        async with client(service) as api, client(service) as other:
            here, there = await agent(api, model(stub)), await agent(other, model(stub))
            async with waiting(here.say("count")) as whole, answer(there, "count") as stream:
                await stream.next("connected")
                await until(lambda: len(stub.requests) == 2)
                service.process.send_signal(signal.SIGTERM)
                gate.open()
                assert (await stream.rest())[-1] == {"type": "done"}
            assert whole.result()["response"] == "one two"
        assert service.process.wait(GRACE + 2) == 0
        assert "Traceback" not in service.output, service.output


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_run_that_exceeds_grace_is_interrupted(dsn: str, stub: Stub, workers: str) -> None:
    """The stream ends with an error, the turn is closed, and the queued run is executed after the restart."""
    port = str(free_port())
    stub.when("long", Reply("One two", stall_after=1))
    settings = {"SHUTDOWN_GRACE": str(GRACE), "SERVICE_PORT": port, "SERVICE_WORKERS": workers}
    with running(stub, dsn, count=1, **settings) as [service]:
        async with client(service) as api:
            here = await agent(api, model(stub))
            async with answer(here, "long") as stream:
                await until(lambda: stub.requests and stub.requests[0].sent)
                waits = asyncio.create_task(api.post(f"{here.path}/messages", json={"message": "later"}))
                await here.run("queued")
                started = time.monotonic()
                service.process.send_signal(signal.SIGTERM)
                events = await stream.rest()
            assert events[-1]["type"] == "error"
            assert "was stopped" in events[-1]["message"]
            assert service.process.wait(GRACE + 2) == 0
            assert time.monotonic() - started < GRACE + 2
            await asyncio.gather(waits, return_exceptions=True)
        assert "Traceback" not in service.output, service.output
    with running(stub, dsn, count=1, SERVICE_PORT=port) as [service]:
        async with client(service) as api:
            again = Agent(api, here.session_id)
            assert (await again.run("completed"))["response"] == "You said: later"
            assert [(run["status"], (run["error"] or {}).get("type")) for run in await again.runs()] == [
                ("failed", "interrupted"),
                ("completed", None),
            ]
            assert [question for question, _ in whole_turns(await again.said())] == ["long", "later"]


async def test_run_without_client_completes_within_grace(dsn: str, stub: Stub) -> None:
    gate = Gate()
    stub.when("count", Reply("one two", gate=gate))
    with running(stub, dsn, count=1, SHUTDOWN_GRACE=str(GRACE)) as [service]:
        async with client(service) as api:
            here = await agent(api, model(stub))
            async with answer(here, "count") as stream:
                await stream.next("connected")
            await until(lambda: stub.requests)
        service.process.send_signal(signal.SIGTERM)
        gate.open()
        assert service.process.wait(GRACE + 2) == 0
    with running(stub, dsn, count=1) as [service]:
        async with client(service) as api:
            assert await Agent(api, here.session_id).said() == [("user", "count"), ("assistant", "one two")]


async def test_open_approval_is_closed_on_shutdown(dsn: str, stub: Stub) -> None:
    """The call gets a result, the turn is closed, and the question is not listed any more."""
    stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
    sections: dict[str, Any] = {"tools": [{"module": "tool-some"}], "hooks": [{"module": "hooks-asking"}]}
    with running(stub, dsn, SHUTDOWN_GRACE=str(GRACE)) as [one, other]:
        async with client(one) as api, client(other) as apart:
            here = await agent(api, model(stub), **sections)
            there = Agent(apart, here.session_id)
            async with answer(here, "go") as stream:
                await stream.next("approval.required")
                started = time.monotonic()
                one.process.send_signal(signal.SIGTERM)
                assert (await stream.rest())[-1]["type"] == "error"
            assert one.process.wait(GRACE + 2) == 0
            assert time.monotonic() - started < GRACE + 2
            assert "Traceback" not in one.output, one.output
            assert [role for role, _ in await there.said()] == ["user", "assistant", "tool"]
            assert (await there.runs())[0]["error"]["type"] == "interrupted"
            assert (await apart.get(f"{there.path}/approvals")).json()["items"] == []
            assert (await there.say("on"))["response"] == "You said: on"


async def test_queued_runs_continue_in_another_process(dsn: str, stub: Stub) -> None:
    """Queued runs begin when the run before them has ended. A stream in the other process receives the answer."""
    stub.when("long", Reply("One two", stall_after=1))
    with running(stub, dsn, SHUTDOWN_GRACE=str(GRACE)) as [one, other]:
        async with client(one) as api, client(other) as apart:
            here = await agent(api, model(stub))
            there = Agent(apart, here.session_id)
            async with answer(here, "long") as stream:
                await until(lambda: stub.requests and stub.requests[0].sent)
                waits = asyncio.create_task(here.client.post(f"{here.path}/messages", json={"message": "second"}))
                await there.run("queued")
                async with answer(there, "third") as elsewhere:
                    one.process.send_signal(signal.SIGTERM)
                    assert (await stream.rest())[-1]["type"] == "error"
                    assert (await elsewhere.rest())[-1] == {"type": "done"}
            assert_problem(await waits, 503)
            assert one.process.wait(GRACE + 2) == 0
            assert "Traceback" not in one.output, one.output
            turns = whole_turns(await there.said())
            assert [question for question, _ in turns] == ["long", "second", "third"]
            assert [run["status"] for run in await there.runs()] == ["failed", "completed", "completed"]
            assert turns[0][1] == "One"
