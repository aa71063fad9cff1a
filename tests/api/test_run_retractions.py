"""Messages of agents are taken back: what the next turn reads, what runs show, and while a run goes on."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.api.test_retractions import join, retract, retracted, seqs
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.agents import Agent, agent, echo, model, settings, waiting
from tests.support.live import live
from tests.support.llm import Call, Gate, Reply, Stub
from tests.support.old_sessions import places

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str, stub: Stub, installed: None) -> AsyncIterator[Api]:
    """The application, whose agents may ask the stub."""
    async with serving(settings(dsn, stub)) as api:
        yield api


async def numbers(here: Agent) -> dict[str, list[int]]:
    """Returns the numbers of the messages by role."""
    found: dict[str, list[int]] = {}
    for entry in (await here.client.get(f"{here.path}/transcript")).json()["messages"]:
        found.setdefault(entry["message"]["role"], []).append(entry["seq"])
    return found


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("gone", ["call", "result", "question"])
async def test_agent_goes_on_after_gap(alice: httpx.AsyncClient, stub: Stub, kind: str, gone: str) -> None:
    """The stub refuses what the provider would."""
    here = await agent(alice, model(stub, kind), tools=[{"module": "tool-some"}])
    stub.when("use it", Reply(calls=[Call("say", {"text": "used"})]), Reply("Well."))
    await here.say("use it")
    found = await numbers(here)
    seq = {"call": found["assistant"][0], "result": found["tool"][0], "question": found["user"][0]}[gone]
    assert seqs(await retracted(alice, here.session_id, seqs=[seq])) == [seq]
    await here.say("and now?")
    sent = str(stub.requests[-1].body["messages"])
    assert ("and now?" in sent, "use it" in sent) == (True, gone != "question")


async def test_runs_do_not_show_what_was_taken_back(alice: httpx.AsyncClient, sql: Sql) -> None:
    here = await agent(alice, echo())
    for text in ("first sayings", "second sayings", "first sayings"):
        await here.say(text)
    before = await here.runs()
    found = await numbers(here)
    await retracted(alice, here.session_id, seqs=[found["user"][0], found["assistant"][1]])
    first, second, third = await here.runs()
    assert first == before[0] | {"message": {}}
    assert second == before[1] | {"response": None}
    assert third == before[2]
    await retracted(alice, here.session_id, after_seq=0, erase=True)
    await retracted(alice, here.session_id, seqs=[seq for each in found.values() for seq in each], erase=True)
    assert places(sql, "sayings") == []


async def test_nothing_is_taken_back_while_agent_works(alice: httpx.AsyncClient, stub: Stub) -> None:
    here, gate = await agent(alice, model(stub)), Gate()
    stub.when("slowly", Reply("There.", gate=gate))
    async with waiting(here.say("slowly")):
        await here.run("running")
        refused = assert_problem(await retract(alice, here.session_id, last=1), 409)
        assert refused["detail"] == "The agent is at work: wait until its turns are over, or cancel them"
        gate.let(100)
    assert len((await retracted(alice, here.session_id, last=1))["retracted"]) == 1


async def test_sender_takes_back_own_turn(api: Api, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    """Answers of the agent are the sender's, too."""
    here = await agent(alice, echo())
    await join(alice, here.session_id, "bob", "viewer", send=True)
    await Agent(bob, here.session_id).say("Hello")
    assert len((await retracted(bob, here.session_id, last=2))["retracted"]) == 2


async def test_followers_in_another_process_are_told(dsn: str) -> None:
    async with live(settings_for(dsn)) as one, live(settings_for(dsn)) as other:
        alice = await one.as_user("alice")
        here = await agent(alice, echo())
        elsewhere = other.client(dict(alice.headers))
        await alice.post(f"{here.path}/transcript", json={"messages": [{"role": "user", "content": "Hello"}]})
        async with other.stream(elsewhere, f"{here.path}/events?after=0") as stream:
            assert (await stream.next("message.created")) is not None
            await retracted(alice, here.session_id, last=1)
            event = await stream.next("message.retracted")
        assert event is not None
        assert (event.id, event.data["seqs"], event.data["actor_user_id"]) == (2, [1], "alice")
        async with other.stream(elsewhere, f"{here.path}/events?after=0") as stream:
            again = await stream.next("message.created", "message.retracted")
        assert again is not None
        assert (again.type, again.data) == ("message.retracted", event.data)
