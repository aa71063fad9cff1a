"""Measures the time of searches: in the database, through the service, and of `ilike` on the same messages."""

import contextlib
import http.client
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import jwt
import psycopg

from amplifier import paths
from amplifier.database.pool import Connection, Database
from amplifier.queries.registry import Queries
from amplifier.settings import Settings
from amplifier.web.authentication import generate_key
from amplifier.web.search import MOST_RANKED, START
from benchmarks import requests
from benchmarks.figures import at_least, at_most, percentile
from benchmarks.search_corpus import Corpus
from benchmarks.search_generator import EVERYONE, users

RUNS, WARM = 60, 5
PERSONS = (10, 500, 2000)  # sessions
MODES = ("force_generic_plan", "force_custom_plan")
LIMITS = {"rare": (10, 10, 10), "most common": (None, 50, 100)}  # ms, of the 95th percentile
MORE_THROUGH_HTTP, FASTER_THAN_ILIKE = 3, 100
APPLICATION = "bench"
ARGUMENTS: dict[str, Any] = {
    "session_id": None,
    "config_id": None,
    "tags": b"{}",
    "message_role": None,
    "author_user_id": None,
    "tool": None,
    "since": None,
    "until": START.searched_at,
    "by_rank": True,
    "after_rank": START.rank,
    "after_created_at": START.moment,
    "after_session_id": START.session_id,
    "after_seq": START.seq,
    "most_ranked": MOST_RANKED,
    "limit": 21,  # the service asks for one more than it returns
    "context": 0,
}
_ILIKE = """
select m.session_id, m.seq, m.created_at
from session_participants as p
inner join messages as m on m.session_id = p.session_id
where p.user_id = $1 and m.message ->> 'content' ilike $2
order by m.created_at desc
limit 20
"""
_ILIKE_WITHOUT_ACCESS = """
select session_id, seq, created_at
from messages
where message ->> 'content' ilike $2 and $1 <> ''
order by created_at desc
limit 20
"""
_COUNT = "select count(*) from session_participants join messages using (session_id) where user_id = $1"

Call = Callable[[str, str], Awaitable[float]]


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Queries]:
    """Yields the service's queries on a pool of their own."""
    database = Database(Settings(), dsn)
    await database.connect()
    try:
        yield Queries(database, paths.folder("queries"))
    finally:
        await database.close()


async def sql(corpus: Corpus) -> None:
    """Measures the query with the service's arguments, with both kinds of plans."""
    kinds = terms(corpus)
    async with connected(corpus.dsn) as queries, queries.database.connection() as connection:
        for mode in MODES:
            await connection.execute(f"set plan_cache_mode = {mode}")
            print(f"\n{mode}, ms".ljust(27) + "".join(f"{f'{size:,} sessions':>18}" for size in PERSONS))
            print(f"{'':26}" + f"{'p50':>10}{'p95':>8}" * len(PERSONS))
            for kind, words in kinds.items():
                call = _on_database(queries, connection)
                times = [(await _in_turns((call,), words, size))[0] for size in PERSONS]
                print(_row(kind, times), flush=True)


def _row(kind: str, times: list[list[float]]) -> str:
    limits = LIMITS.get(kind, (None,) * len(times))
    cells = "".join(f"{percentile(cell, 50):>10.1f}{percentile(cell, 95):>8.1f}" for cell in times)
    demanded = (
        at_most(percentile(cell, 95), limit) for cell, limit in zip(times, limits, strict=True) if limit is not None
    )
    return f"{kind:26}{cells}   {', '.join(demanded)}"


async def http_beside_sql(corpus: Corpus) -> None:
    """Measures each search in turns in the database and through the service, on one connection of a client."""
    kinds, (environ, headers_of) = terms(corpus), await authorised(corpus.dsn)
    with (
        requests._server(None, environ) as port,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as c,
    ):
        async with connected(corpus.dsn) as queries, queries.database.connection() as connection:
            await connection.execute("set plan_cache_mode = force_generic_plan")
            print(f"\n{'ms':26}{'sessions':>9}{'SQL p50':>9}{'HTTP':>8}{'SQL p95':>9}{'HTTP':>8}{'more':>8}")
            for (kind, words), size in itertools.product(kinds.items(), PERSONS):
                calls = _on_database(queries, connection), _through_service(c, headers_of)
                times = await _in_turns(calls, words, size)
                half, most = ([percentile(column, percent) for column in times] for percent in (50, 95))
                more = most[1] - most[0]
                print(
                    f"{kind:26}{size:>9,}{half[0]:>9.1f}{half[1]:>8.1f}{most[0]:>9.1f}{most[1]:>8.1f}{more:>8.1f}"
                    f"   {at_most(more, MORE_THROUGH_HTTP)}",
                    flush=True,
                )


async def ilike(corpus: Corpus) -> None:
    """Measures a rare term in the messages of a user, of a user in all sessions, and of all users."""
    words, user = terms(corpus)["rare"], users(2000)[0]
    async with connected(corpus.dsn) as queries, queries.database.connection() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan; set statement_timeout = '60s'")
        search = _on_database(queries, connection)
        print(f"\n{'rare term, median in ms':34}{'messages':>12}{'search':>9}{'ilike':>9}{'times':>9}")
        for name, person, statement in (
            ("2,000 sessions", user, _ILIKE),
            ("all sessions", EVERYONE, _ILIKE),
            ("2,000 sessions / whole table", user, _ILIKE_WITHOUT_ACCESS),
        ):
            scan = _scanning(connection, statement)
            pairs = [(await search(person, word), await scan(person, word)) for word in words[:13]][3:]
            found, scanned = (statistics.median(column) for column in zip(*pairs, strict=True))
            faster = statistics.median(b / a for a, b in pairs)
            readable = await connection.fetchval(_COUNT, EVERYONE if statement != _ILIKE else person)
            print(
                f"{name:34}{readable:>12,}{found:>9.1f}{scanned:>9.1f}{faster:>9.0f}"
                f"   {at_least(faster, FASTER_THAN_ILIKE)}",
                flush=True,
            )


def terms(corpus: Corpus) -> dict[str, list[str]]:
    """Returns the searched words by frequency. Several of a kind avoid that all searches read the same pages."""
    with psycopg.connect(corpus.dsn) as owner:

        def words(lowest: float, highest: float, order: str, most: int) -> list[str]:
            statement = f"select word from bench.words where messages between %s and %s order by {order} limit %s"
            return [row[0] for row in owner.execute(statement, (lowest, highest, most))]

        share = corpus.messages / 1_000_000
        middling = words(3500 * share, 4500 * share, "md5(word)", RUNS)
        common = words(0, corpus.messages, "messages desc", 6)
        pairs = list(itertools.permutations(common, 2))
        return {
            "rare": words(20 * max(1, share), 30 * max(1, share), "md5(word)", RUNS),
            "middling": middling,
            "most common": common[:3],
            "two common": [f"{first} {second}" for first, second in pairs],
            "phrase of two common": [f'"{first} {second}"' for first, second in pairs],
            "beginning (abc*)": [f"{word[:3]}*" for word in middling],
            "without (-word)": [f"-{word}" for word in common[:3]],
        }


async def authorised(dsn: str) -> tuple[dict[str, str], Callable[[str], dict[str, str]]]:
    """Returns the environment of a service with authentication, and a user's headers."""
    key = generate_key()
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("delete from applications")
    async with connected(dsn) as queries:
        await queries.applications.create(
            app_id=APPLICATION,
            app_name=APPLICATION,
            api_key_hash=key.hash,
            api_key_prefix=key.prefix,
            is_admin=False,
            settings=b"{}",
            key_managers=[],
            act_as=False,
        )

    def headers(user: str) -> dict[str, str]:
        token = jwt.encode({"sub": user, "exp": int(time.time()) // 36000 * 36000 + 72000}, requests.SECRET, "HS256")
        return {"X-API-Key": key.text, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    environ = {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": requests.SECRET}
    return environ, headers


def _on_database(queries: Queries, connection: Connection) -> Call:
    query: Any = queries.search.list_messages

    async def measure(user: str, q: str) -> float:
        given = ARGUMENTS | {"actor_id": user, "q": q}
        started = time.perf_counter()
        await connection.fetch(query.statement, *(given[name] for name in query.parameters))
        return (time.perf_counter() - started) * 1000

    return measure


def _scanning(connection: Connection, statement: str) -> Call:
    async def measure(user: str, q: str) -> float:
        started = time.perf_counter()
        await connection.fetch(statement, user, f"%{q}%")
        return (time.perf_counter() - started) * 1000

    return measure


def _through_service(client: http.client.HTTPConnection, headers_of: Callable[[str], dict[str, str]]) -> Call:
    async def measure(user: str, q: str) -> float:
        path, headers = f"/search?{urlencode({'q': q})}", headers_of(user)
        started = time.perf_counter()
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        body = response.read()
        assert response.status == 200, body
        return (time.perf_counter() - started) * 1000

    return measure


async def _in_turns(calls: tuple[Call, ...], words: list[str], size: int) -> list[list[float]]:
    """Returns the milliseconds of each call, with the same users and words. Each call is first equally often."""
    drawn, times = random.Random(size), [[0.0] * (RUNS + WARM) for _ in calls]
    people = users(size)
    for run in range(RUNS + WARM):
        user, word = drawn.choice(people), drawn.choice(words)
        for turn in range(len(calls)):
            number = (run + turn) % len(calls)
            times[number][run] = await calls[number](user, word)
    return [column[WARM:] for column in times]
