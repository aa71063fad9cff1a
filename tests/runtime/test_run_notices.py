"""Notices of other processes renew leases only if they are about a session in which this process executes a run."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.test_streams import add
from tests.support.agents import agent, model, settings, waiting
from tests.support.live import Live, live, until
from tests.support.llm import Gate, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Live]:
    """The application, whose agents may ask the stub. It renews leases for no other reason than notices."""
    async with live(settings(dsn, stub, run_lease=3600)) as api:
        yield api


def renewals(api: Live) -> int:
    return int(api.app.state.queries.runs.renew.usage.calls)


async def test_notices_about_other_sessions_renew_no_lease(
    api: Live, dsn: str, alice: httpx.AsyncClient, session_id: str, stub: Stub
) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("long", Reply("One two", gate=gate))
    async with live(settings(dsn, stub)) as second:
        second.keys = api.keys
        elsewhere = await second.as_user("alice")
        async with api.stream(alice, f"/sessions/{session_id}/events") as stream, waiting(here.say("long")):
            await until(lambda: stub.requests)
            before = renewals(api)
            for number in range(20):
                await add(elsewhere, session_id, str(number))
                assert (await stream.next("message.created")) is not None  # so the notice has arrived
            assert renewals(api) == before
            await elsewhere.patch(here.path, json={"title": "about the run's session"})
            await until(lambda: renewals(api) > before)
            gate.open()
        [run] = await here.runs()
        assert run["status"] == "completed"
        async with api.stream(alice, f"/sessions/{session_id}/events") as stream:
            before = renewals(api)
            await elsewhere.patch(here.path, json={"title": "after the run"})
            await add(elsewhere, session_id, "the last")
            await stream.next("message.created")
            assert renewals(api) == before
