"""Questions of an agent to the people in its session."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving
from tests.support.agents import Agent, agent, model, settings, waiting
from tests.support.live import LIMIT
from tests.support.llm import Call, Reply, Stub


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def asking(client: httpx.AsyncClient, stub: Stub, module: str = "hooks-asking", **config: Any) -> Agent:
    """An agent that asks before it runs a tool."""
    hooks = [{"module": module, "config": config}]
    here = await agent(client, model(stub), tools=[{"module": "tool-some"}], hooks=hooks)
    stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
    return here


async def question(here: Agent) -> dict[str, Any]:
    """The question, when there is one."""
    async with asyncio.timeout(LIMIT):
        while not (found := (await here.client.get(f"{here.path}/approvals")).json()["items"]):
            await asyncio.sleep(0.01)
    return dict(found[0])


async def decide(here: Agent, approval_id: str, decision: str, status: int = 200) -> Any:
    answer = await here.client.post(f"{here.path}/approvals/{approval_id}", json={"decision": decision})
    assert answer.status_code == status, answer.text
    return answer.json()


async def outcome(here: Agent) -> str:
    """Returns the outcome of the call."""
    [content] = [message["content"] for message in await here.transcript() if message["role"] == "tool"]
    return str(content)


@pytest.mark.parametrize("module", ["hooks-asking", "hooks-providing"])
@pytest.mark.parametrize("decision", ["allow", "Deny"])
async def test_answer(alice: httpx.AsyncClient, stub: Stub, module: str, decision: str) -> None:
    here = await asking(alice, stub, module)
    async with waiting(here.say("go")):
        asked = await question(here)
        assert "say" in asked["prompt"]
        decided = await decide(here, asked["approval_id"], decision)
    granted = decision == "allow"
    assert (decided["granted"], decided["decision"]) == (granted, "Allow" if granted else "Deny")
    assert ("done" in await outcome(here)) == granted
    assert (await alice.get(f"{here.path}/approvals")).json()["items"] == []
    events = (await alice.get(f"{here.path}/transcript")).json()["last_seq"]
    assert events > 6


async def test_options_by_name_and_no_others(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub, approval_options=["Once", "Always", "Never mind", "Deny it"])
    async with waiting(here.say("go")):
        asked = await question(here)
        assert asked["options"] == ["Once", "Always", "Never mind", "Deny it"]
        assert "Once, Always" in (await decide(here, asked["approval_id"], "perhaps", 422))["detail"]
        assert await decide(here, asked["approval_id"], "always") == {
            "approval_id": asked["approval_id"],
            "run_id": asked["run_id"],
            "granted": True,
            "decision": "Always",
        }
        await decide(here, asked["approval_id"], "deny", 404)  # answered already
    assert await outcome(here) == "done"


async def test_participants_with_send_may_answer(alice: httpx.AsyncClient, bob: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub)
    theirs = Agent(bob, here.session_id)
    async with waiting(here.say("go")):
        asked = await question(here)
        assert_problem(await bob.get(f"{here.path}/approvals"), 404, "Session not found")
        await decide(theirs, asked["approval_id"], "allow", 404)
        await alice.post(f"{here.path}/participants", json={"user_id": "bob", "role": "viewer"})
        assert await question(theirs) == asked
        await decide(theirs, asked["approval_id"], "allow", 403)
        await alice.patch(f"{here.path}/participants/bob", json={"role": "editor"})
        await decide(theirs, asked["approval_id"], "allow")
    assert await outcome(here) == "done"


async def test_of_many_answers_one_counts(alice: httpx.AsyncClient, stub: Stub) -> None:
    here = await asking(alice, stub)
    async with waiting(here.say("go")):
        asked = await question(here)
        path = f"{here.path}/approvals/{asked['approval_id']}"
        sent = [alice.post(path, json={"decision": word}) for word in ["allow", "deny"] * 4]
        answers = await asyncio.gather(*sent)
    [counted] = [answer.json() for answer in answers if answer.status_code == 200]
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 7
    assert ("done" in await outcome(here)) == counted["granted"]


@pytest.mark.parametrize("default", ["allow", "deny"])
async def test_unanswered_question_is_denied(alice: httpx.AsyncClient, stub: Stub, default: str) -> None:
    """The default of the hook does not count."""
    here = await asking(alice, stub, approval_timeout=0.3, approval_default=default)
    async with waiting(here.say("go")):
        asked = await question(here)
    assert "Denied" in await outcome(here)
    await decide(here, asked["approval_id"], "allow", 404)
