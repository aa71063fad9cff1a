"""Live events through real processes and failures: every follower gets each event once and in order."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.live import notifications
from amplifier.postgres import embedded
from amplifier.schema import migrate
from tests.conftest import private_folder
from tests.support.databases import execute
from tests.support.soak import LISTENING, OURS, append, client, events, new_sessions, services, until
from tests.support.streams import Audience, open_stream

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
Sql = Callable[..., list[Any]]
FOR_EVER = 3600.0  # seconds that a follower stays that does not leave before the test ends
LIMIT = 90.0  # seconds; alone on two cores the longest takes a fifth of that


async def test_every_reader_receives_each_event_once_in_order(dsn: str, sql: Sql) -> None:
    random_ = random.Random(8)
    goal, killed = 4000, 0

    async def write(api: httpx.AsyncClient, session_id: str) -> int:
        """Appends to the session, concurrently with others, until it has enough events."""
        last_seq = number = 0
        while last_seq < goal:
            messages = [{"role": "user", "content": "x"}] * random_.randint(1, 20)
            answer = await api.post(f"/sessions/{session_id}/transcript", json={"messages": messages})
            assert answer.status_code in (201, 503), answer.text
            last_seq = answer.json().get("last_seq", last_seq)
            number += 1
            if number % 10 == 0:  # its event is a number, too
                await api.patch(f"/sessions/{session_id}", json={"title": str(number)})
        return last_seq

    async def deafen() -> None:
        """Breaks all listening connections every second."""
        nonlocal killed
        while True:
            await asyncio.sleep(1)
            killed += len(sql(f"select pg_terminate_backend(pid) {OURS} and {LISTENING}"))

    with services(2, dsn) as processes:
        async with client(processes[0]) as one, client(processes[1]) as other:
            audience, session_ids = Audience(), await new_sessions(one, 5)
            for number in range(50):
                audience.add(
                    session_ids[number % 5],
                    events(session_ids[number % 5]),
                    lambda: random_.choice(processes).url,
                    # the last followers must get the rest without a new connection
                    lambda seen: FOR_EVER if seen > goal * 0.8 else random_.choice([0.2, 2.0]) * random_.random(),
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
                    deafening = group.create_task(deafen())
                    readers = [group.create_task(one) for one in audience.follow()]
                    await asyncio.gather(
                        *(write(api, session_id) for api in (one, other) for session_id in session_ids)
                    )
                    for session_id in session_ids:
                        session = (await other.get(f"/sessions/{session_id}")).json()
                        audience.ends[session_id] = session["last_seq"] + 1
                        await append(one, session_id, session["last_seq"], 1)
                    await asyncio.gather(*readers)
                    deafening.cancel()
            audience.check()
            assert sum(follower.opened for _, follower in audience.followers) > 100
            assert killed >= 4


async def test_streams_survive_restarts_of_postgresql() -> None:
    random_ = random.Random(9)
    stop = asyncio.Event()

    async def write(session_id: str) -> int:
        last_seq = 0
        while not stop.is_set():
            last_seq = await append(random_.choice(apis), session_id, last_seq, random_.randint(1, 5))
        return last_seq

    async def all_have_more() -> None:
        """Waits until every follower has got new events."""
        known = [len(follower.ids) for _, follower in audience.followers]
        await until(lambda: all(len(one.ids) > n + 20 for n, (_, one) in zip(known, audience.followers, strict=True)))

    async def end_by_hand(session_id: str, last_seq: int) -> None:
        """Inserts the last message by hand, without an announcement, after all followers have read the others."""
        await until(lambda: all(one.ids[-1] == last_seq for of, one in audience.followers if of == session_id))
        audience.ends[session_id] = last_seq + 1
        columns = "session_id, message, author_user_id, author_app_id"
        values = f"""'{session_id}', '{{"role": "user"}}', 'dba', 'psql'"""
        execute(dsn, f"insert into messages ({columns}) values ({values})")

    with private_folder() as home, contextlib.ExitStack() as server:
        migrate.migrate(dsn := server.enter_context(embedded.running(home, "amplifier-api")))
        with services(2, dsn) as processes:
            async with client(processes[0]) as one, client(processes[1]) as other:
                apis, audience, session_ids = (one, other), Audience(), await new_sessions(one, 4)
                for session_id in session_ids:
                    for process in processes:
                        audience.add(session_id, events(session_id), lambda url=process.url: url, lambda _: FOR_EVER)  # type: ignore[misc]
                        audience.add(
                            session_id,
                            events(session_id),
                            lambda: random_.choice(processes).url,
                            lambda _: random_.random(),
                        )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
                        for coroutine in audience.follow():
                            group.create_task(coroutine)
                        writers = [group.create_task(write(session_id)) for session_id in session_ids]
                        for how in (signal.SIGINT, signal.SIGQUIT):  # in order, and as a crash
                            await all_have_more()
                            os.kill(int((home / "data/postmaster.pid").read_text().split()[0]), how)
                            server.close()
                            server.enter_context(embedded.running(home, "amplifier-api"))
                        stop.set()  # the writers' last repetitions: few connections listen again by now
                        for session_id, writer in zip(session_ids, writers, strict=True):
                            await end_by_hand(session_id, await writer)
                audience.check()
                assert {follower.opened for _, follower in audience.followers[::2]} == {1}, "streams outlive restarts"


async def test_process_killed_between_commit_and_notify_loses_no_event(dsn: str) -> None:
    with (
        services(1, dsn, NOTIFY_DELAY="3600") as [dying],
        services(1, dsn) as [living],
        psycopg.connect(dsn, autocommit=True) as listening,
    ):
        async with client(dying) as api, contextlib.AsyncExitStack() as stack:
            session_ids = await new_sessions(api, 3)
            listening.execute("listen amplifier")
            streams = []
            for session_id in session_ids * 2:
                await append(api, session_id, 0, 1)  # once is enough
                stream = await stack.enter_async_context(open_stream(living.url, f"{events(session_id)}?after=0"))
                assert (await stream.logged()).id == 1
                streams.append(stream)
            await asyncio.gather(*(append(api, session_id, 1, 600) for session_id in session_ids))
            os.kill(dying.process.pid, signal.SIGKILL)
            async with asyncio.timeout(5):
                for stream in streams:
                    assert [(await stream.logged()).id for _ in range(600)] == list(range(2, 602))
            told = [notifications.read(notice.payload) for notice in listening.notifies(timeout=0)]
            assert not [one for one in told if one and (one.changed or one.everything)], "nobody was told"
            async with client(living) as alive:
                await append(alive, session_ids[0], 601, 1)
            assert (await streams[0].logged()).id == 602, "nothing came twice"
