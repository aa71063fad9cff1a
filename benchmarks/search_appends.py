"""Measures the cost of search for appends, also while the index grows and while all messages are indexed again."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psycopg

from amplifier.errors import Unavailable
from amplifier.queries.registry import Queries
from benchmarks import requests
from benchmarks.figures import at_most, percentile
from benchmarks.search_corpus import Corpus
from benchmarks.search_generator import EVERYONE, recent_sessions
from benchmarks.search_queries import APPLICATION, authorised, connected
from benchmarks.search_words import texts

ROUNDS, SECONDS = 11, 3
RATE, GROWING = 500, 90  # appends a second, seconds
REINDEX_RATE, BEFORE = 50, 20
WITH_INDEX, INDEX_TO_TEXT = 1.5, 0.6
_BYTES = "select sum(octet_length(message ->> 'content')), pg_relation_size('messages_search_idx') from messages"
_STALE = "select count(*) from {} where search_revision is distinct from search_revision(%s)"


class Appends:
    """Appends of one message each to active sessions, at a pace. Late ones count as slow, not as fewer."""

    def __init__(self, queries: Queries, corpus: Corpus) -> None:
        self.milliseconds: list[float] = []
        self.failures: list[Exception] = []
        self._is_over = False
        self._queries = queries
        self._sessions = recent_sessions(corpus.messages)
        self._bodies = [msgspec.json.encode([message]) for message in _messages()]

    @contextlib.asynccontextmanager
    async def going_on(self, rate: int) -> AsyncIterator[None]:
        """Appends at the pace for as long as the context lasts."""
        task = asyncio.create_task(self._go_on(rate))
        try:
            yield
        finally:
            self._is_over = True
            await task

    async def _go_on(self, rate: int) -> None:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as appends:
            for number in itertools.count():
                if self._is_over:
                    break
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                appends.create_task(self._append(number, due))

    async def _append(self, number: int, due: float) -> None:
        try:
            row = await self._queries.messages.append(
                actor_id=EVERYONE,
                actor_app_id=APPLICATION,
                session_id=self._sessions[number % len(self._sessions)],
                messages=self._bodies[number % len(self._bodies)],
                expected_seq=None,
            )
            assert row is not None
        except (Unavailable, asyncpg.PostgresError, AssertionError) as error:
            self.failures.append(error)
        self.milliseconds.append((time.perf_counter() - due) * 1000)


async def append(corpus: Corpus) -> None:
    """Appends in turns to three copies of the corpus: unchanged, without the index, and also without the trigger."""
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-")))
        rates = {
            name: await _rate(stack, home, corpus, name, change)
            for name, change in (
                ("indexed", "select"),
                ("unindexed", "drop index messages_search_idx"),
                ("bare", "drop index messages_search_idx; alter table messages disable trigger messages_set_search"),
            )
        }
        rounds = [{name: rate() for name, rate in rates.items()} for _ in range(ROUNDS + 1)][1:]
    print(f"\n{'append, one client':34}{'a second':>10}{'beside':>10}{'times':>8}   spread")
    for title, ours, theirs, limit in (
        ("with / without the index", "indexed", "unindexed", WITH_INDEX),
        ("with / without index and trigger", "indexed", "bare", None),
    ):
        longer = sorted(each[theirs] / each[ours] for each in rounds)
        first, second = (statistics.median(each[name] for each in rounds) for name in (ours, theirs))
        ratio = statistics.median(longer)
        print(
            f"{title:34}{first:>10.0f}{second:>10.0f}{ratio:>8.2f}   {longer[0]:.2f}..{longer[-1]:.2f}"
            f"   {at_most(ratio, limit)}"
        )


async def growth(corpus: Corpus) -> None:
    """Appends at a pace while the index grows, and compares the beginning with the end."""
    with corpus.copy("growing") as dsn:
        async with connected(dsn) as queries:
            appends = Appends(queries, corpus)
            async with appends.going_on(RATE):
                await asyncio.sleep(GROWING)
    third = len(appends.milliseconds) // 3
    first, last = appends.milliseconds[:third], appends.milliseconds[-third:]
    print(f"\n{f'append, {RATE} a second, ms':34}{'p50':>8}{'p95':>8}{'p99':>8}{'appends':>9}{'failed':>8}")
    for name, times in ((f"first third of {GROWING} s", first), ("last third", last)):
        print(_line(name, times, len(appends.failures)))


async def size(corpus: Corpus) -> None:
    """Compares the size of the index with that of the text."""
    with psycopg.connect(corpus.dsn) as owner:
        text, index = owner.execute(_BYTES).fetchone() or (1, 0)
    print(
        f"\nindex {index / 2**20:.0f} MB, text {int(text) / 2**20:.0f} MB, ratio {index / float(text):.2f}   ", end=""
    )
    print(at_most(index / float(text), INDEX_TO_TEXT))


async def reindex(corpus: Corpus) -> None:
    """Runs `amplifier-api search reindex` to another language during appends."""
    with corpus.copy("reindexed") as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        sizes = [(owner.execute(_BYTES).fetchone() or (0, 0))[1]]
        async with connected(dsn) as queries:
            before, during = Appends(queries, corpus), Appends(queries, corpus)
            async with before.going_on(REINDEX_RATE):
                await asyncio.sleep(BEFORE)
            started = time.perf_counter()
            async with during.going_on(REINDEX_RATE):
                await _reindex(dsn, "german")
            seconds = time.perf_counter() - started
        sizes.append((owner.execute(_BYTES).fetchone() or (0, 0))[1])
        stale = [owner.execute(_STALE.format(table), ("german",)).fetchone() for table in ("sessions", "messages")]
    print(f"\n{f'append, {REINDEX_RATE} a second, ms':34}{'p50':>8}{'p95':>8}{'p99':>8}{'appends':>9}{'failed':>8}")
    print(_line("before", before.milliseconds, len(before.failures)))
    print(_line("during the reindexing", during.milliseconds, len(during.failures)))
    print(f"{corpus.messages:,} messages and {corpus.messages // 50:,} sessions in {seconds:.0f} s", end=", ")
    print(f"left stale: {sum(row[0] for row in stale if row)}", end=", ")
    print(f"index {sizes[0] / 2**20:.0f} MB before, {sizes[1] / 2**20:.0f} MB after")


async def _reindex(dsn: str, language: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "amplifier", "search", "reindex"),
        env={**os.environ, "DATABASE_URL": dsn, "SEARCH_LANGUAGE": language},
        stdout=subprocess.DEVNULL,
    )
    assert await process.wait() == 0


async def _rate(stack: contextlib.ExitStack, home: Path, corpus: Corpus, name: str, change: str) -> Callable[[], float]:
    """Returns the appends per second to a changed copy of the corpus, through a service of its own."""
    dsn = stack.enter_context(corpus.copy(name))
    environ, headers_of = await authorised(dsn)
    port = stack.enter_context(requests._server(None, environ))
    with psycopg.connect(dsn, autocommit=True) as owner:  # afterwards: without the trigger the service would not start
        owner.execute(change.encode())
    script = home / f"{name}.lua"
    script.write_text("\n".join(_script(headers_of(EVERYONE), recent_sessions(corpus.messages))))
    return lambda: _wrk(port, script)


def _script(headers: dict[str, str], sessions: list[str]) -> Iterator[str]:
    """Returns a wrk script that appends another message to another session in each request."""
    bodies = (f"[==[{json.dumps({'messages': [message]})}]==]" for message in _messages())
    yield f"local paths = {{{', '.join(json.dumps(f'/sessions/{session}/transcript') for session in sessions)}}}"
    yield f"local bodies = {{{', '.join(bodies)}}}"
    yield "local turn = 0"
    yield from (f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    yield "request = function() turn = turn + 1"
    yield '  return wrk.format("POST", paths[turn % #paths + 1], nil, bodies[turn % #bodies + 1]) end'


def _wrk(port: int, script: Path) -> float:
    """Returns the requests per second of one connection."""
    command = ["wrk", "-t1", "-c1", f"-d{SECONDS}s", "-s", str(script), f"http://127.0.0.1:{port}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"the server refused appends:\n{output}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]


def _messages() -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts(3000)]


def _line(name: str, times: list[float], failures: int) -> str:
    cells = "".join(f"{percentile(times, percent):>8.1f}" for percent in (50, 95, 99))
    return f"{name:34}{cells}{len(times):>9,}{failures:>8}"
