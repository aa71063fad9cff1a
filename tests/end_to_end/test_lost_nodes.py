"""A node that dies, and a host that is cut off and comes back: the others take over and are not disturbed."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_presence import present
from tests.api.test_streams import share
from tests.conftest import assert_problem
from tests.end_to_end.test_nodes import FOR_EVER, new_session, nodes_or_skip
from tests.support.live import LIMIT
from tests.support.llm import Reply
from tests.support.nodes import Nodes, following
from tests.support.polling import until as until_async
from tests.support.soak import until
from tests.support.streams import Audience

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
GONE = 30.0  # seconds after which the database has closed the connections of a host that is cut off
RECOVERY = 5.0  # seconds from the return of a host until its nodes serve
READY = "import urllib.request as r; r.urlopen('{url}/health/ready', timeout=5)"


@pytest.fixture(scope="module")
def four() -> Iterator[Nodes]:
    """Four processes, on two hosts."""
    with nodes_or_skip() as found:
        yield found


async def test_run_of_killed_node_is_taken_over(four: Nodes) -> None:
    """Another one ends the run and executes the queued message. The sender asks there again and gets the outcome."""
    four.stub.when("at its death", Reply("One two", stall_after=1))
    async with four.clients("anna") as anna:
        with four.another(four.hosts[1]) as dying:
            async with four.client(dying.url, "anna") as client:
                await until_async(lambda: executes_runs(four, client), LIMIT)
                there, *_ = await four.agents([client])
                here = there._replace(client=anna[0])
                asked = [
                    {"json": {"message": text}, "headers": {"Idempotency-Key": text.replace(" ", "-")}}
                    for text in ("at its death", "next")
                ]
                lost = [asyncio.create_task(client.post(f"{there.path}/messages", **asked[0]))]
                await until(lambda: any(seen.asked == "at its death" and seen.sent for seen in four.stub.requests))
                lost.append(asyncio.create_task(client.post(f"{there.path}/messages", **asked[1])))
                await here.run("queued")
                dying.process.kill()
                await asyncio.to_thread(dying.process.wait, LIMIT)
                for error in await asyncio.gather(*lost, return_exceptions=True):
                    assert isinstance(error, httpx.TransportError)
        assert (await here.run("completed"))["response"] == "You said: next"
        first, second = [await anna[3].post(f"{here.path}/messages", **again) for again in asked]
        assert_problem(first, 503)
        assert second.json()["response"] == "You said: next"
        assert [(run["error"] or {}).get("type") for run in await here.runs()] == ["interrupted", None]
        said = await here.said()
        assert [content for role, content in said if role == "user"] == ["at its death", "next"]


async def test_host_that_is_cut_off_disturbs_nobody_and_returns(four: Nodes) -> None:
    """Its run is taken over, its followers leave, its connections are closed. Its streams then go on without a gap."""
    four.stub.when("far away", Reply("One two", stall_after=1))
    async with four.clients("anna") as anna, four.clients("bert") as bert, contextlib.AsyncExitStack() as stack:
        *_, there, _ = await four.agents(anna)
        here = there._replace(client=anna[0])
        session_id = await new_session(anna[0])
        await share(anna[0], session_id, "bert")
        followed, audience = f"/sessions/{session_id}/events", Audience()
        for url in four.urls:
            audience.add(session_id, followed, lambda url=url: url, lambda _: FOR_EVER, four.headers("anna"))
        async with asyncio.timeout(4 * LIMIT), asyncio.TaskGroup() as group:
            readers = [group.create_task(one) for one in audience.follow()]
            await stack.enter_async_context(following(bert[2], followed))
            await until_async(lambda: shows(anna[0], session_id, ["anna", "bert"]))
            lost = asyncio.create_task(there.client.post(f"{there.path}/messages", json={"message": "far away"}))
            await until(lambda: any(seen.asked == "far away" and seen.sent for seen in four.stub.requests))
            async with writing(anna[:2], session_id) as written:
                with four.hosts[1].unplugged():
                    assert (await here.say("near"))["response"] == "You said: near"
                    for number in (2, 3):  # without a database they take no requests
                        await until_async(lambda number=number: refuses(four, number), LIMIT)
                    await until_async(lambda: shows(anna[0], session_id, ["anna"]), LIMIT)
                    await until(lambda: not connections(four), GONE)
                    assert [client.is_closed for client in anna] == [False] * 4
                async with asyncio.timeout(RECOVERY):
                    for number in (2, 3):
                        while await refuses(four, number):
                            await asyncio.sleep(0.05)
            answer = await anna[2].get(f"/sessions/{session_id}")
            assert answer.status_code == 200, answer.text
            audience.ends[session_id] = answer.json()["last_seq"] + 1
            assert await appended(anna[3], session_id) == audience.ends[session_id]
            await asyncio.gather(*readers)
        audience.check()
        assert len(written) > 50
        with contextlib.suppress(httpx.TransportError):
            assert_problem(await lost, 503)
        assert [(run["error"] or {}).get("type") for run in await here.runs()] == ["interrupted", None]
        assert (await there.say("back"))["response"] == "You said: back"


async def executes_runs(four: Nodes, client: httpx.AsyncClient) -> bool:
    """Sends a message. Returns whether the node that took it executed it, as it does when its modules are imported."""
    [trial] = await four.agents([client])
    await trial.say("a trial")
    statement = "select process_id from runs where session_id = %s"
    newest = "select process_id from processes order by started_at desc limit 1"
    return four.database.run(statement, trial.session_id) == four.database.run(newest)


@contextlib.asynccontextmanager
async def writing(clients: list[httpx.AsyncClient], session_id: str) -> AsyncIterator[list[int]]:
    """Appends to a session through each client as long as the context lasts. No request may fail, or wait for long."""
    done, written = asyncio.Event(), list[int]()

    async def write(client: httpx.AsyncClient) -> None:
        while not done.is_set():
            written.append(await appended(client, session_id))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(write(client))
        try:
            yield written
        finally:
            done.set()


async def appended(client: httpx.AsyncClient, session_id: str) -> int:
    """Appends a message and returns its number."""
    answer = await client.post(
        f"/sessions/{session_id}/transcript", json={"messages": [{"role": "user", "content": "x"}]}
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()["last_seq"])


async def shows(client: httpx.AsyncClient, session_id: str, users: list[str]) -> bool:
    return await present(client, session_id) == users


async def refuses(four: Nodes, number: int) -> bool:
    """Returns whether a node tells clients on its own host that it is not ready."""
    command = [*four.hosts[number // 2].command, sys.executable, "-c", READY.format(url=four.urls[number])]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=LIMIT)
    return done.returncode != 0


def connections(four: Nodes) -> list[Any]:
    """Returns the connections that the database has with the second host."""
    statement = "select application_name, state, query from pg_stat_activity where client_addr = %s::inet"
    return four.database.run(statement, four.hosts[1].address)
