"""A user who is erased while an agent answers them, and while a message of theirs waits, comes back in no row."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.user_erasure import Erasure
from tests.conftest import Api, serving
from tests.support.agents import agent, model, settings
from tests.support.live import until
from tests.support.llm import Gate, Reply, Stub
from tests.support.old_sessions import places


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def test_runs_of_erased_user_end_without_the_id(
    api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub, sql: Callable[..., list[Any]], dsn: str
) -> None:
    def erase() -> Erasure:
        with connected(dsn) as connection:
            erasure = Erasure(connection, "bob", "legal-hold")
            erasure.apply(lambda *_: None)
            return erasure

    here, gate = await agent(alice, model(stub)), Gate()
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
    stub.when("first", Reply("1", gate=gate))
    path = f"{here.path}/messages"
    first = asyncio.create_task(bob.post(path, json={"message": "first"}))
    await until(lambda: stub.requests)
    second = asyncio.create_task(bob.post(path, json={"message": "second"}))
    await here.run("queued")
    await api.app.state.activity.flush()
    erasure = await asyncio.to_thread(erase)
    assert places(sql, "bob") == []
    gate.open()
    answers = await asyncio.gather(first, second)
    assert {answer.status_code for answer in answers} <= {404, 409}
    await here.run("failed")
    assert [(run["status"], run["user_id"]) for run in await here.runs()] == [("failed", erasure.pseudonym)] * 2
    assert [role for role, _ in await here.said()] == ["user", "assistant"]
    assert places(sql, "bob") == []
    assert (await here.say("and now"))["response"] == "You said: and now"
