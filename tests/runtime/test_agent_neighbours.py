"""Users with agents of their own reach neither agents nor secrets of each other."""

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from tests.api.test_message_streams import DELTA, answer
from tests.conftest import assert_problem
from tests.runtime.test_agent_tenants import ALLOWED_NAME, ALLOWED_VALUE, FILE_NAME, FILE_VALUE, World
from tests.runtime.test_agent_tenants import world as world
from tests.support.agents import Agent, agent, echo, model, waiting
from tests.support.llm import Call, Gate, Reply
from tests.support.streams import open_stream

pytestmark = pytest.mark.slow

ASKING: dict[str, Any] = {"tools": [{"module": "tool-some"}], "hooks": [{"module": "hooks-asking"}]}


async def test_viewers_and_strangers_cannot_control_run(world: World) -> None:
    """Strangers get 404 and viewers get 403. Viewers can read the question and follow the run."""
    async with world.client("mia") as mia, world.client("vera") as vera, world.client("mallory") as mallory:
        here = await agent(mia, model(world.stub), **ASKING)
        await mia.post(f"{here.path}/participants", json={"user_id": "vera", "role": "viewer"})
        world.stub.when("go", Reply(calls=[Call("say", {"text": "done"})]), Reply("Well."))
        async with answer(here, "go") as stream:
            await stream.next("approval.required")
            [asked] = (await mia.get(f"{here.path}/approvals")).json()["items"]
            for other, status in ((mallory, 404), (vera, 403)):
                await assert_kept_out(Agent(other, here.session_id), asked, status)
            assert (await vera.get(f"{here.path}/approvals")).json()["items"] == [asked]
            async with answer(Agent(vera, here.session_id), "x", {"Last-Event-ID": stream.last_id}) as joined:
                await joined.next("connected")
                assert (await allow(here, asked)).json()["granted"]
                assert (await stream.rest())[-1] == (await joined.rest())[-1] == {"type": "done"}
        assert ("tool", "done") in await here.said()
        assert len(await here.runs()) == 1


async def assert_kept_out(here: Agent, asked: Any, status: int) -> None:
    """Asserts that this client cannot change the run, nor find it from a session of its own."""
    path, message = here.path, {"message": "Hi"}
    run = f"{asked['run_id']}:1"
    refused = [
        await here.client.post(f"{path}/messages", json=message),
        await here.client.post(f"{path}/messages", json={**message, "on_busy": "interrupt"}),
        await here.client.post(f"{path}/stream", json=message),
        await here.client.post(f"{path}/cancel"),
        await here.client.post(f"{path}/cancel", params={"run_id": asked["run_id"]}),
        await allow(here, asked),
    ]
    if status == 404:
        refused += [
            await here.client.post(f"{path}/stream", json=message, headers={"Last-Event-ID": run}),
            *[await here.client.get(f"{path}{part}") for part in ("", "/runs", "/approvals", "/events", "/transcript")],
            await here.client.get(f"{path}/runs/{asked['run_id']}"),
        ]
    for found in refused:
        assert_problem(found, status)
    own = await agent(here.client, echo())
    for stolen in (
        await here.client.get(f"{own.path}/runs/{asked['run_id']}"),
        await here.client.post(f"{own.path}/stream", json=message, headers={"Last-Event-ID": run}),
        await here.client.post(f"{own.path}/cancel", params={"run_id": asked["run_id"]}),
        await allow(own, asked),
    ):
        assert_problem(stolen, 404)


async def allow(here: Agent, asked: Any) -> httpx.Response:
    return await here.client.post(f"{here.path}/approvals/{asked['approval_id']}", json={"decision": "allow"})


@pytest.mark.parametrize("api", ["openai", "anthropic"])
async def test_secrets_are_sent_to_their_provider_only(world: World, dsn: str, api: str) -> None:
    """No event, stored or ephemeral, and no table contains them, even if models and tools repeat them."""
    loud = f"{ALLOWED_VALUE} and {FILE_VALUE}"
    calls = [Call("say", {"text": ALLOWED_VALUE}), Call("fail", {"text": loud}), Call("no-tool", {"text": FILE_VALUE})]
    world.stub.when("go", Reply(deltas=[loud], calls=calls), Reply(deltas=["Well. ", "x" * 490 + loud]))
    world.stub.when("break", Reply(status=500, error=loud))
    world.stub.when("stop", Reply(deltas=[loud, "x"], stall_after=1))
    headers = {"X-Secret-Token": f"${{{FILE_NAME}}}"}
    async with world.client("mia") as mia:
        here = await agent(
            mia, model(world.stub, api, api_key=f"${{{ALLOWED_NAME}}}", default_headers=headers), **ASKING
        )
        async with open_stream(world.service.url, f"{here.path}/events", dict(mia.headers)) as events:
            shown: list[Any] = [[], []]
            async with answer(here, "go") as stream:
                for _ in calls[:2]:
                    await stream.next("approval.required")
                for asked in (await mia.get(f"{here.path}/approvals")).json()["items"]:
                    shown[0].append((await allow(here, asked)).text)
                shown[0] += await stream.rest()
            async with answer(here, "stop") as stream:
                await stream.next("llm:stream_block_delta")
                shown[0] += [await here.cancel(), *await stream.rest()]
            shown[0].append(await here.say("break", 502))
            async with asyncio.timeout(10):
                while not shown[1] or shown[1][-1].type != "run.failed":
                    shown[1].append(await anext(events))
        request = world.stub.requests[-1]
        assert request.header("X-Secret-Token") == FILE_VALUE
        assert ALLOWED_VALUE in f"{request.header('authorization')} {request.header('x-api-key')}"
        followed = "".join(json.loads(event.data)["text"] for event in shown[1] if event.type == DELTA)
        assert "x" * 490 + "***" in followed
        world.assert_kept(shown, followed, await here.runs(), await here.transcript(), rows(dsn))


async def test_references_in_messages_are_not_expanded(world: World, dsn: str) -> None:
    """References in messages, their context, titles and the transcript are plain texts."""
    reference = f"${{{ALLOWED_NAME}}} ${{DATABASE_URL}}"
    async with world.client("mia") as mia:
        here = await agent(mia, model(world.stub, api_key=f"${{{ALLOWED_NAME}}}"))
        said = [{"role": "user", "content": reference}, {"role": "assistant", "content": reference}]
        await mia.post(f"{here.path}/transcript", json={"messages": said})
        answered = await here.say(reference, context={"api_key": reference, "model": reference})
        assert reference in answered["response"]
        assert world.stub.requests[-1].raw.decode().count(f"${{{ALLOWED_NAME}}}") == 5
        world.assert_kept(answered, await here.runs(), await here.transcript(), rows(dsn))
        assert ALLOWED_VALUE not in world.stub.requests[-1].raw.decode()


async def test_providers_cannot_redirect_service(world: World) -> None:
    """No status of a redirect and no target is followed."""
    gate = Gate()
    world.stub.when("slow", Reply("One two", gate=gate))
    for status in (301, 302, 303, 307, 308):
        for target in (world.forbidden.openai_url, f"{world.service.url}/health", "file:///etc/passwd"):
            world.stub.queue(Reply(status=status, headers={"location": f"{target}/chat/completions"}))
    async with world.client("mia") as mia:
        here = await agent(mia, model(world.stub, max_retries=2))
        async with waiting(here.say("slow")):
            count = len(world.stub.requests)
            other = await agent(mia, model(world.stub, max_retries=2))
            for _ in range(15):
                refused = await mia.post(f"{other.path}/messages", json={"message": "Hi"})
                assert refused.status_code in (400, 502), refused.text
                assert "root:" not in refused.text
            gate.open()
        assert len(world.stub.requests) - count >= 15
        world.assert_kept(await here.runs(), await other.runs())


def rows(dsn: str) -> list[str]:
    """Returns all rows of the database as text."""
    query = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    with psycopg.connect(dsn) as connection:
        tables = [sql.Identifier(name) for (name,) in connection.execute(query)]
        found = [connection.execute(sql.SQL("select t::text from {} as t").format(table)) for table in tables]
        return [text for cursor in found for (text,) in cursor]
