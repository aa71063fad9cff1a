"""Measures searches beside appends, and the first search after a start, after `vacuum` and before `analyze`."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from amplifier.settings import Settings
from amplifier.web.search import turns
from benchmarks.figures import at_most, percentile
from benchmarks.search_appends import RATE, Appends
from benchmarks.search_corpus import Corpus
from benchmarks.search_generator import users
from benchmarks.search_queries import ARGUMENTS, PERSONS, connected, terms

SEARCHES, SECONDS, APPEND_MS = 50, 30, 10.0
MIXED = ("rare", "middling", "two common")
FIRST = ("rare", "most common")


async def mixed(corpus: Corpus) -> None:
    """Appends and searches at a pace, in a copy. Late ones count as slow, not as fewer."""
    with corpus.copy("mixed") as dsn:
        async with connected(dsn) as queries, connected(dsn) as others:
            appends, searches = Appends(queries, corpus), _Searches(others, corpus)
            async with appends.going_on(RATE):
                await searches.go_on()
    print(f"\n{'ms':34}{'p50':>8}{'p95':>8}{'p99':>8}{'number':>9}{'failed':>8}")
    for name, times, failures in (
        (f"appends, {RATE} a second", appends.milliseconds, appends.failures),
        (f"searches, {SEARCHES} a second", searches.milliseconds, searches.failures),
    ):
        cells = "".join(f"{percentile(times, percent):>8.1f}" for percent in (50, 95, 99))
        limit = f"   {at_most(percentile(times, 95), APPEND_MS)}" if times is appends.milliseconds else ""
        print(f"{name:34}{cells}{len(times):>9,}{len(failures):>8}{limit}")


class _Searches:
    def __init__(self, queries: Any, corpus: Corpus) -> None:
        self.milliseconds: list[float] = []
        self.failures: list[BaseException] = []
        self._queries = queries
        self._pairs = _pairs(corpus)
        self._turns = turns(Settings().database_pool_max_size)  # as the service has them

    async def go_on(self) -> None:
        """Searches at the pace for SECONDS."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as searches:
            for number in range(SEARCHES * SECONDS):
                due = started + number / SEARCHES
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                searches.create_task(self._search(due, *next(self._pairs)))

    async def _search(self, due: float, user: str, q: str) -> None:
        await self._turns.take(None)
        try:
            await self._queries.search.list_messages(**ARGUMENTS, actor_id=user, q=q)
        except Exception as error:
            self.failures.append(error)
        finally:
            self._turns.give_back(None)
        self.milliseconds.append((time.perf_counter() - due) * 1000)


def _pairs(corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Yields users of all sizes in turn, each with a word of a kind."""
    chance, kinds = random.Random(SEARCHES), terms(corpus)
    while True:
        for size in PERSONS:
            yield chance.choice(users(size)), chance.choice(kinds[chance.choice(MIXED)])


async def first(corpus: Corpus) -> None:
    """Searches once on a new connection: as it is, after `vacuum`, and without statistics; then once more."""
    print(f"\n{'ms, in a copy':34}{'sessions':>10}{'first':>9}{'second':>9}")
    with corpus.copy("first") as dsn:
        for state, statement in (
            ("after the start", "select"),
            ("after `vacuum`", "vacuum messages"),
            ("before the first `analyze`", "delete from pg_statistic where starelid = 'messages'::regclass"),
        ):
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute(statement.encode())
            for kind in FIRST:
                for size in PERSONS:
                    times = await _first_and_second(dsn, users(size)[-1], terms(corpus)[kind][0])
                    print(f"{f'{kind}, {state}':34}{size:>10,}{times[0]:>9.1f}{times[1]:>9.1f}", flush=True)


async def _first_and_second(dsn: str, user: str, q: str) -> list[float]:
    times = []
    async with connected(dsn) as queries:
        for _ in range(2):
            started = time.perf_counter()
            await queries.search.list_messages(**ARGUMENTS, actor_id=user, q=q)
            times.append((time.perf_counter() - started) * 1000)
    return times
