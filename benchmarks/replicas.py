"""Measures appends beside searches on the primary, beside searches on a replica, and alone, in turns.

Primary and appends have one core, replica and searches another, as if they were two machines. Needs two cores.
"""

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.database.replica import Replica
from amplifier.queries.registry import Queries
from amplifier.secret import Secret
from amplifier.settings import Settings
from benchmarks.figures import percentile
from benchmarks.search_queries import ARGUMENTS
from tests.support.clusters import copied, make_template
from tests.support.replicas import replica

ROUNDS, SECONDS, WRITERS, SEARCHERS = 5, 3, 4, 4
MESSAGES, SESSIONS = 20_000, 20
ACTOR = {"actor_id": "bench"}
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
TITLES = {"none": "no searches", "primary": "searches on the primary", "replica": "searches on the replica"}


def main() -> None:
    """Prints the appends per second and their p95, and the ratios of the rounds."""
    if len(sys.argv) > 1:
        asyncio.run(_search(*sys.argv[1:]))
        return
    with _servers() as (primary, standby):
        rounds = asyncio.run(_rounds(primary, standby))
    print(f"\n{'':28}{'appends/s':>10}{'ratio':>8}{'p95 ms':>8}{'ratio':>8}{'searches/s':>12}")
    for name, title in TITLES.items():
        rates, slow, searches = zip(*(each[name] for each in rounds), strict=True)
        ratios = [[each[name][part] / each["none"][part] for each in rounds] for part in (0, 1)]
        medians = [statistics.median(column) for column in (rates, *ratios[:1], slow, *ratios[1:], searches)]
        print(f"{title:28}{medians[0]:>10.0f}{medians[1]:>8.2f}{medians[2]:>8.1f}{medians[3]:>8.2f}{medians[4]:>12.0f}")


@contextlib.contextmanager
def _servers() -> Iterator[tuple[str, str]]:
    """Yields the addresses of a primary on the first core and of its replica on the second one."""
    with tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp") as home:
        Path(home).chmod(0o755)
        template = make_template(Path(home) / "template")
        os.sched_setaffinity(0, {0})
        with copied(template, Path(home) / "one") as primary:
            primary.start()
            os.sched_setaffinity(0, {1})
            with replica(primary, Path(home) / "two", hot_standby_feedback="on") as standby:
                os.sched_setaffinity(0, {0})
                yield primary.service_dsn, standby.service_dsn


async def _rounds(primary: str, standby: str) -> list[dict[str, tuple[float, float, float]]]:
    async with _queries(primary) as queries:
        sessions = await _fill(queries)
        print(f"the question to the primary: {await _milliseconds(queries, standby):.2f} of a search on the primary")
        rounds = []
        for _ in range(ROUNDS + 1):
            found = {}
            for name in TITLES:
                async with _searching(name, primary, standby) as searches:
                    rate, slow = await _append(queries, sessions)
                found[name] = (rate, slow, searches[0] if searches else 0.0)
            rounds.append(found)
        return rounds[1:]


@contextlib.asynccontextmanager
async def _queries(dsn: str, read_dsn: str | None = None) -> AsyncIterator[Queries]:
    """Yields the queries, whose reads go to the replica where one is given."""
    url = None if read_dsn is None else Secret(read_dsn)
    settings = Settings(database_url=Secret(dsn), database_read_url=url, database_acquire_timeout=10)
    database = Database(settings, settings.dsn or "")
    await database.connect()
    async with contextlib.AsyncExitStack() as stack:
        if settings.read_dsn is not None:
            reader = Replica(settings, settings.read_dsn, database)
            await stack.enter_async_context(reader.watched())
            database.reads = reader
            while not reader.is_used:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield Queries(database, paths.folder("queries"))
    await database.close()


async def _fill(queries: Queries) -> list[str]:
    """Creates sessions with messages, and returns them."""
    await queries.configs.create(
        **ACTOR, config_id="bench", name="bench", description=None, config_json=b"{}", tags=b"{}"
    )
    sessions = [f"00000000-0000-4000-8000-{number:012}" for number in range(SESSIONS)]
    optional = {"external_id": None, "title": None, "tags": b"{}", "metadata": b"{}"}
    for session in sessions:
        await queries.sessions.create(**ACTOR, actor_app_id="bench", session_id=session, config_id="bench", **optional)
    for start in range(0, MESSAGES, 500):
        many = [_message(number) for number in range(start, start + 500)]
        await _append_one(queries, sessions[start // 500 % SESSIONS], many)
    return sessions


def _message(number: int) -> dict[str, str]:
    return {"role": "user", "content": " ".join(WORDS[number * step % len(WORDS)] for step in range(1, 30))}


async def _append_one(queries: Queries, session: str, messages: list[dict[str, str]]) -> None:
    row = await queries.messages.append(
        **ACTOR,
        actor_app_id="bench",
        session_id=session,
        messages=msgspec.json.encode(messages),
        expected_seq=None,
    )
    assert row is not None


async def _append(queries: Queries, sessions: list[str]) -> tuple[float, float]:
    """Returns the appends per second of all writers, and the 95th percentile of their milliseconds."""
    end, milliseconds = time.perf_counter() + SECONDS, []

    async def write(session: str) -> None:
        for number in itertools.count():
            began = time.perf_counter()
            if began > end:
                return
            await _append_one(queries, session, [_message(number)])
            milliseconds.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(write(session) for session in sessions[:WRITERS]))
    return len(milliseconds) / SECONDS, percentile(milliseconds, 95)


async def _search_once(queries: Queries) -> None:
    assert await queries.search.list_messages(**ARGUMENTS, **ACTOR, q="kappa lambda")


async def _milliseconds(queries: Queries, standby: str) -> float:
    """Returns the time of the question to the primary, as a part of that of a search there."""
    reader = Replica(Settings(), standby, queries.database)
    times: dict[str, list[float]] = {"ask": [], "search": []}
    for _ in range(50):
        for name, call in (("ask", reader._ask_primary), ("search", lambda: _search_once(queries))):
            began = time.perf_counter()
            await call()
            times[name].append(time.perf_counter() - began)
    return statistics.median(times["ask"]) / statistics.median(times["search"])


@contextlib.asynccontextmanager
async def _searching(where: str, primary: str, standby: str) -> AsyncIterator[list[float]]:
    """Searches in another process on the second core. Fills the list with the searches per second at the end."""
    searches: list[float] = []
    if where == "none":
        yield searches
        return
    command = [sys.executable, "-m", "benchmarks.replicas", primary, *([standby] if where == "replica" else [])]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()  # it has begun
    yield searches
    output, _ = await process.communicate(b"\n")
    told = json.loads(output)
    searches.append(told["searches"] / told["seconds"])


async def _search(primary: str, standby: str | None = None) -> None:
    """Searches until standard input ends, and prints how often."""
    os.sched_setaffinity(0, {1})
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    count = 0

    async def search(queries: Queries) -> None:
        nonlocal count
        while not ended.done():
            await _search_once(queries)
            count += 1

    async with _queries(primary, standby) as queries:
        print("begun", flush=True)
        began = time.perf_counter()
        await asyncio.gather(*(search(queries) for _ in range(SEARCHERS)))
        print(json.dumps({"searches": count, "seconds": time.perf_counter() - began}), flush=True)


if __name__ == "__main__":
    main()
