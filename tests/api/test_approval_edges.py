"""Questions of an agent that nobody can answer in the ordinary way: the run ends, the database is away, two at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier.runtime import approvals
from tests.api.test_approvals import asking, decide, outcome, question
from tests.conftest import Api, private_folder, serving
from tests.support.agents import Agent, settings, waiting
from tests.support.cutting import cutting
from tests.support.live import until
from tests.support.llm import Call, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def test_two_questions_at_once(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub)
    stub.when("both", Reply(calls=[Call("say", {"text": "first"}), Call("say", {"text": "second"})]), Reply("Well."))
    async with waiting(here.say("both")):
        while len(found := (await alice.get(f"{here.path}/approvals")).json()["items"]) < 2:
            await asyncio.sleep(0.01)
        await decide(here, found[0]["approval_id"], "deny")
        await decide(here, found[1]["approval_id"], "allow")
    contents = [message["content"] for message in await here.transcript() if message["role"] == "tool"]
    assert sorted("Denied" in content for content in contents) == [False, True]


async def test_question_that_is_no_text_for_a_database(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub, show_text=True)
    stub.when("odd", Reply(calls=[Call("say", {"text": "a NUL: \0"})]), Reply("Well."))
    async with waiting(here.say("odd")):
        asked = await question(here)
        assert asked["prompt"] == "Run a NUL: ?"
        await decide(here, asked["approval_id"], "allow")
    assert "a NUL:" in await outcome(here)


async def test_decision_that_is_none(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub)
    async with waiting(here.say("go")):
        asked = await question(here)
        path = f"{here.path}/approvals/{asked['approval_id']}"
        for bad in ({}, {"decision": ""}, {"decision": 1}, {"decision": "x" * 201}, {"decision": "a\0"}, []):
            assert (await alice.post(path, json=bad)).status_code == 422
        await decide(here, "none", "allow", 404)
        await decide(here, asked["approval_id"], "ALLOW")
    assert await outcome(here) == "done"


async def test_events_of_a_question(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub, sql: Callable[..., list[Any]]
) -> None:
    here = await asking(alice, stub)
    await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "editor"})
    async with waiting(here.say("go")):
        asked = await question(here)
        await decide(Agent(bob, here.session_id), asked["approval_id"], "deny")
    log = sql("select type, data, actor_user_id from session_events where type like 'approval.%' order by seq")
    about = {"approval_id": asked["approval_id"], "run_id": asked["run_id"]}
    required = about | {name: asked[name] for name in ("prompt", "options")} | {"expires_at": log[0][1]["expires_at"]}
    assert log == [
        ("approval.required", required, "alice"),
        ("approval.denied", about | {"decision": "Deny"}, "bob"),
    ]


async def test_run_ends_while_it_asks(dsn: str, stub: Stub, installed: None) -> None:
    async with serving(settings(dsn, stub, run_timeout=0.7)) as api:
        here = await asking(await api.as_user("alice"), stub)
        async with waiting(here.say("go", 504)):
            asked = await question(here)
        assert (await here.client.get(f"{here.path}/approvals")).json()["items"] == []
        await decide(here, asked["approval_id"], "allow", 404)
        assert [role for role, _ in await here.said()] == ["user", "assistant", "tool"]


async def test_service_limits_how_long_it_asks(dsn: str, stub: Stub, installed: None) -> None:
    async with serving(settings(dsn, stub, run_approval_timeout=0.2)) as api:
        here = await asking(await api.as_user("alice"), stub, approval_timeout=300, approval_default="allow")
        await here.say("go")
        assert "Denied" in await outcome(here)


@pytest.mark.slow
async def test_connection_breaks_while_it_asks(
    dsn: str, stub: Stub, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question keeps waiting for its answer, at whichever statement the connection breaks."""
    monkeypatch.setattr(approvals, "_MAX_POLL", 0.02)
    with private_folder() as folder:
        async with cutting(dsn, Path(folder)) as cutter, serving(settings(cutter.dsn, stub)) as api:
            here = await asking(await api.as_user("alice"), stub)
            async with waiting(here.say("go")):
                asked = await question(here)
                for _ in range(5):
                    cutter.arm(1, "request")
                    await until(lambda: cutter.disarm() or cutter.arm(1, "request"))
                while (await here.client.get(f"{here.path}/approvals")).status_code != 200:
                    await asyncio.sleep(0.02)
                await decide(here, asked["approval_id"], "allow")
            assert await outcome(here) == "done"
