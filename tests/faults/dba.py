"""Other sessions in the database: they take connections, lock, cancel and terminate. Each runs in a thread."""

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg

from tests.faults.history import Call, now
from tests.faults.load import Load
from tests.support.clusters import Cluster

SERVICE = "usename = 'amplifier_service'"  # the sessions of the service, in pg_stat_activity
_WORDS = re.compile("file|space|cancel|terminat|clients|slots|transaction|recovery|relation|column|lock|asyncpg")
_PAUSE = 0.02  # seconds between two attempts


async def refused(load: Load, kind: str, limit: float = 60.0) -> None:
    """Waits until a call of this kind, sent from now on, gets 503. Fails if it gets 500."""
    since, statuses = now(), set[int]()
    async with asyncio.timeout(limit):
        while 503 not in statuses:
            assert 500 not in statuses
            await asyncio.sleep(_PAUSE)
            latest = [one for one in load.history.records[-200:] if isinstance(one, Call)]
            statuses = {one.status for one in latest if one.kind == kind and one.start > since}


async def reads(load: Load) -> None:
    """Reads sessions and streams through each process. Fails unless that succeeds."""
    for process in range(len(load.caller.targets)):
        await load.caller.ask(process, "owner", "GET", "/sessions")
    await load.steady(kinds=("follow",))


async def left(cluster: Cluster, limit: float = 10.0) -> None:
    """Waits until the service has no session there. It may look in to see that the server is read-only."""
    async with asyncio.timeout(limit):
        while await asyncio.to_thread(cluster.run, f"select pid from pg_stat_activity where {SERVICE}"):
            await asyncio.sleep(_PAUSE)


def hides_postgres(load: Load) -> bool:
    """Returns whether no answer contains words of PostgreSQL's errors."""
    return not [one for one in load.history.records if isinstance(one, Call) and _WORDS.search(one.error)]


def write_wal(cluster: Cluster) -> None:
    """Writes WAL until that fails, as a bulk load does."""
    with contextlib.suppress(psycopg.Error), session(cluster) as writer:
        while True:
            writer.execute("select pg_logical_emit_message(false, 'test', repeat('x', 1000000))")


@contextlib.asynccontextmanager
async def meanwhile(work: Callable[[threading.Event], None]) -> AsyncIterator[None]:
    """Runs `work` in a thread until the context ends, when its argument is set."""
    ending = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(work, ending))
    try:
        yield
    finally:
        ending.set()
        await task


@contextlib.contextmanager
def session(cluster: Cluster, role: str | None = None) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Yields a session without limits, of the owner by default."""
    with contextlib.closing(
        psycopg.connect(cluster.address(role) if role else cluster.dsn, autocommit=True, connect_timeout=5)
    ) as connection:
        yield connection


def taking_connections(cluster: Cluster, role: str) -> Callable[[threading.Event], None]:
    """Returns work that takes every connection that becomes free, and ends the service's own."""

    def work(ending: threading.Event) -> None:
        taken: list[psycopg.Connection[tuple[object, ...]]] = []
        with session(cluster) as dba:
            try:
                while not ending.is_set():
                    with contextlib.suppress(psycopg.OperationalError):
                        while not ending.is_set():
                            taken.append(psycopg.connect(cluster.address(role), connect_timeout=5))
                    dba.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {SERVICE}")
                    ending.wait(_PAUSE)
            finally:
                for one in taken:
                    one.close()

    return work


def disturbing(cluster: Cluster, seed: int) -> Callable[[threading.Event], None]:
    """Returns work that cancels statements of the service at random, and from time to time ends a backend."""
    chance = random.Random(seed)
    running = f"select pid from pg_stat_activity where {SERVICE} and state <> 'idle'"
    all_of_them = f"select pid from pg_stat_activity where {SERVICE}"

    def work(ending: threading.Event) -> None:
        with session(cluster) as dba:
            while not ending.wait(_PAUSE):
                ends = chance.random() < 0.1
                pids = [row[0] for row in dba.execute(all_of_them if ends else running).fetchall()]
                if pids:
                    act = "pg_terminate_backend" if ends else "pg_cancel_backend"
                    dba.execute(f"select {act}(%s)", (chance.choice(pids),))

    return work
