"""Four processes on two hosts and one database: a request may go to any of them, and every other one knows of it."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_message_streams import DELTA
from tests.api.test_presence import present, shown
from tests.api.test_streams import add, share
from tests.conftest import CONFIG
from tests.queries.test_checks import edit
from tests.queries.test_reload import PING
from tests.support import hosts, nodes
from tests.support.agents import waiting
from tests.support.live import LIMIT, Event, Stream
from tests.support.llm import Gate, Reply
from tests.support.nodes import PER_MINUTE, Nodes, following
from tests.support.service import command
from tests.support.soak import until
from tests.support.streams import Audience

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
FOR_EVER = 3600.0


@contextlib.contextmanager
def nodes_or_skip() -> Iterator[Nodes]:
    """Runs four processes on two hosts. Skips the test where a machine can have none."""
    with contextlib.ExitStack() as stack:
        try:
            net = stack.enter_context(hosts.network(2))
        except hosts.Unavailable as error:
            pytest.skip(str(error))
        yield stack.enter_context(nodes.running(net))


@pytest.fixture(scope="module")
def four() -> Iterator[Nodes]:
    """Four processes, on two hosts."""
    with nodes_or_skip() as found:
        yield found


async def test_session_is_written_and_read_through_any_node(four: Nodes) -> None:
    """A change is seen everywhere as soon as it is answered, and a removed participant sees nothing from then on."""
    async with four.clients("anna") as anna, four.clients("bert") as bert:
        session_id = await new_session(anna[0])
        path = f"/sessions/{session_id}"
        await share(anna[0], session_id, "bert", "editor")
        for number in range(20):
            writer, readers = anna[number % 4], bert[number % 4 :] + bert[: number % 4]
            assert (await writer.patch(path, json={"title": str(number)})).status_code == 200
            await add(writer, session_id, f"text {number}")
            found = await asyncio.gather(*(reader.get(path) for reader in readers))
            assert [(one.json()["title"], one.json()["last_seq"]) for one in found] == [
                (str(number), 2 * number + 3)
            ] * 4
        for client in bert:
            await add(client, session_id, "mine")
        assert (await anna[3].delete(f"{path}/participants/bert")).status_code == 204
        for method, target, body in (
            ("GET", path, None),
            ("POST", f"{path}/transcript", {"messages": [{"role": "user"}]}),
        ):
            answers = await asyncio.gather(*(client.request(method, target, json=body) for client in bert))
            assert [answer.status_code for answer in answers] == [404] * 4


async def test_writers_and_followers_on_all_nodes_share_one_order(four: Nodes) -> None:
    """Four writers append to one session; eight followers each receive every number once, in order."""
    async with four.clients("anna") as anna:
        session_id = await new_session(anna[0])
        audience = Audience()
        for url in four.urls * 2:
            path = f"/sessions/{session_id}/events"
            audience.add(session_id, path, lambda url=url: url, lambda _: FOR_EVER, four.headers("anna"))
        async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
            readers = [group.create_task(one) for one in audience.follow()]
            await asyncio.gather(*(add_many(client, session_id, 50) for client in anna))
            audience.ends[session_id] = (await anna[1].get(f"/sessions/{session_id}")).json()["last_seq"] + 1
            await add(anna[2], session_id, "the last")
            await asyncio.gather(*readers)
        audience.check()
        assert audience.ends[session_id] == 201
        pages = await asyncio.gather(*(client.get(f"/sessions/{session_id}/transcript?limit=500") for client in anna))
        assert all(page.json() == pages[0].json() for page in pages)


async def test_message_queued_at_one_host_follows_run_of_the_other(four: Nodes) -> None:
    """It is cancelled through a third node, and followed through the fourth."""
    gate = Gate()
    four.stub.when("go on", Reply(deltas=["One", " two"], gate=gate))
    async with four.clients("anna") as anna:
        here, same_host, there, fourth = await four.agents(anna)
        async with following(fourth.client, f"{here.path}/events") as stream, waiting(here.say("go on", 409)):
            await until(lambda: any(seen.asked == "go on" for seen in four.stub.requests))
            async with waiting(there.say("next")) as answered:
                await there.run("queued")
                gate.let()
                assert (await received(stream, DELTA)).data["text"] == "One"
                await same_host.cancel()
            assert answered.result()["response"] == "You said: next"
            types = [(await received(stream)).type]
            while types[-1] != "run.completed":
                types.append((await received(stream)).type)
        assert Counter(types)["run.cancelled"] == Counter(types)["run.completed"] == 1, types
        assert [run["status"] for run in await fourth.runs()] == ["cancelled", "completed"]
        assert [role for role, _ in await fourth.said()] == ["user", "assistant", "user", "assistant"]


async def test_each_node_answers_the_messages_that_it_took(four: Nodes) -> None:
    """Eight messages for one session through four nodes become eight turns."""
    async with four.clients("anna") as anna:
        views = await four.agents(anna)
        texts = [f"message {number}" for number in range(8)]
        answers = await asyncio.gather(*(views[number % 4].say(text) for number, text in enumerate(texts)))
        assert [answer["response"] for answer in answers] == [f"You said: {text}" for text in texts]
        said = await views[3].said()
        turns = [(said[number][1], said[number + 1][1]) for number in range(0, 16, 2)]
        assert Counter(turns) == Counter((text, f"You said: {text}") for text in texts)


async def test_requests_of_a_user_count_together(four: Nodes) -> None:
    """A user gets the limit once and not four times, whichever nodes the requests reach."""
    async with four.clients("anna", "limited") as limited:
        loop = asyncio.get_running_loop()
        started = loop.time()
        granted = Counter[int]()
        for number in range(2 * PER_MINUTE):
            granted[(await limited[number % 4].get("/sessions")).status_code] += 1
        refilled = (loop.time() - started) * PER_MINUTE / 60
        assert set(granted) == {200, 429}
        assert PER_MINUTE * 6 / 10 <= granted[200] <= PER_MINUTE + refilled + 1, granted
        answers = [await client.get("/sessions") for client in limited]
        assert {answer.status_code for answer in answers} == {429}
        assert all(answer.headers["retry-after"] for answer in answers)
    async with four.clients("anna") as free:  # of another application
        assert [(await client.get("/sessions")).status_code for client in free] == [200] * 4


async def test_followers_are_present_for_all_nodes(four: Nodes) -> None:
    users = ["anna", "bert", "cleo", "dora"]
    async with contextlib.AsyncExitStack() as stack:
        people = [(await stack.enter_async_context(four.clients(user)))[number] for number, user in enumerate(users)]
        session_id = await new_session(people[0])
        for user in users[1:]:
            await share(people[0], session_id, user)
        path = f"/sessions/{session_id}/events"
        streams = [await stack.enter_async_context(following(client, path)) for client in people[:3]]
        async with following(people[3], path) as stream:
            await asyncio.wait_for(all_show([*streams, stream], users), LIMIT)
            assert [await present(client, session_id) for client in people] == [users] * 4
        await asyncio.wait_for(all_show(streams, users[:3]), LIMIT)


async def test_reload_reaches_all_nodes(four: Nodes) -> None:
    async with four.clients("anna", "operator") as clients:
        before = {(await client.get("/health/queries")).json()["hash"] for client in clients}
        edit(four.queries, *PING)
        done = await asyncio.to_thread(command, four.environ, "queries", "reload")
        assert done.returncode == 0, done.stdout + done.stderr
        served = re.findall(r"^\S+: serves (\w{12})$", done.stdout, re.MULTILINE)
        after = {(await client.get("/health/queries")).json()["hash"] for client in clients}
        assert (len(served), len(before), after) == (4, 1, set(served))
        assert after != before
        shown = (await clients[0].get("/health/processes")).json()["items"]
        assert len([one for one in shown if one["is_alive"]]) == 4


async def test_hints_reach_streams_of_all_nodes(four: Nodes) -> None:
    async with four.clients("emil") as emil, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(client, "/events")) for client in emil]
        for writer in emil:
            session_id = await new_session(writer)
            assert await hints(streams, session_id, "session.created") == [0] * 4
            await add(writer, session_id, "one", "two")
            assert await hints(streams, session_id, "message.created") == [2] * 4
            assert (await writer.delete(f"/sessions/{session_id}")).status_code == 200
            assert await hints(streams, session_id, "session.deleted") == [None] * 4


async def hints(streams: list[Stream], session_id: str, type: str) -> list[int | None]:
    """Waits on each stream for a hint of this type, and returns the numbers in them."""
    found = []
    for stream in streams:
        event = await received(stream, "hint")
        while (event.data["session_id"], event.data["type"]) != (session_id, type):
            event = await received(stream, "hint")
        found.append(event.data["last_seq"])
    return found


async def all_show(streams: list[Stream], users: list[str]) -> None:
    """Waits until each stream shows that these users follow the session."""
    for stream in streams:
        await shown(stream, *users)


async def received(stream: Stream, *types: str) -> Event:
    """Returns the next event of these types, by default one of the log."""
    event = await asyncio.wait_for(stream.next(*types), LIMIT)
    assert event is not None
    return event


async def new_session(client: Any) -> str:
    """Creates a config and a session of it."""
    config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
    return str((await client.post("/sessions", json={"config_id": config_id})).json()["session_id"])


async def add_many(client: Any, session_id: str, count: int) -> None:
    """Appends messages, one after the other."""
    for number in range(count):
        await add(client, session_id, str(number))
