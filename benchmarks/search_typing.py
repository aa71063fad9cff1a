"""Measures searches while somebody types: beginnings of words, by messages, by sessions and by facets."""

import random
import statistics
import time
from typing import Any

import psycopg

from amplifier.database.pool import Connection
from amplifier.web.search import MOST_RANKED, START
from benchmarks.search_corpus import Corpus
from benchmarks.search_generator import EVERYONE, users
from benchmarks.search_queries import ARGUMENTS, connected

LETTERS = (2, 3, 5)
PERSONS = (10, 500, 2000)  # sessions, and all of them
RUNS, RUNS_OF_EVERYONE, WARM = 12, 4, 2
_WORDS = """
select word from bench.words where messages between %s and %s and length(word) >= 5 order by md5(word) limit 60
"""
_SESSIONS: dict[str, Any] = {
    **dict.fromkeys(("status", "config_id", "participant", "created_after", "created_before")),
    **dict.fromkeys(("updated_after", "updated_before")),
    "owned": False,
    "tags": b"{}",
    "is_filtered": False,
    "until": START.searched_at,
    "after_rank": START.rank,
    "after_matched_at": START.moment,
    "after_session_id": START.session_id,
    "most_ranked": MOST_RANKED,
    "limit": 4,
    "offset": 0,
}


async def typing(corpus: Corpus) -> None:
    """Prints the median and the longest time of each search, for users of different numbers of sessions."""
    share = corpus.messages / 1_000_000
    with psycopg.connect(corpus.dsn) as owner:
        words = [row[0] for row in owner.execute(_WORDS, (3500 * share, 4500 * share))]
    kinds = {f"{count} letters": [f"{word[:count]}*" for word in words] for count in LETTERS} | {"the word": words}
    print(
        f"\n{'ms':12}{'sessions':>10}"
        + "".join(f"{name:>14}{'max':>9}" for name in ("messages", "by session", "facets"))
    )
    async with connected(corpus.dsn) as queries, queries.database.connection() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan; set statement_timeout = '30s'")
        facets = ARGUMENTS | {"most_counted": MOST_RANKED, "most_values": 20}
        calls: list[tuple[Any, dict[str, Any]]] = [
            (queries.search.list_messages, ARGUMENTS),
            (queries.search.list_sessions, _SESSIONS),
            (queries.search_facets.count, facets),
        ]
        for kind, typed in kinds.items():
            for size in (*PERSONS, None):
                times = [await _times(connection, query, given, typed, size) for query, given in calls]
                cells = "".join(f"{statistics.median(column):>14.1f}{max(column):>9.1f}" for column in times)
                print(f"{kind:12}{f'{size:,}' if size else 'all':>10}{cells}", flush=True)


async def _times(
    connection: Connection, query: Any, given: dict[str, Any], typed: list[str], size: int | None
) -> list[float]:
    """Returns the milliseconds of a query's calls, the same for each query."""
    drawn, times = random.Random(7), []
    people, runs = ([EVERYONE], RUNS_OF_EVERYONE) if size is None else (users(size), RUNS)
    for _ in range(WARM + runs):
        arguments = given | {"actor_id": drawn.choice(people), "q": drawn.choice(typed)}
        started = time.perf_counter()
        await connection.fetch(query.statement, *(arguments[name] for name in query.parameters), timeout=60)
        times.append((time.perf_counter() - started) * 1000)
    return times[WARM:]
