"""Measures the search by meaning: recall against exact search, its time, and what it costs an append.

`python -m benchmarks.meaning` makes messages with vectors that have clusters, as those of texts have: each session is
about three of 500 topics. With `--home` the database stays there for the next run.
"""

import argparse
import asyncio
import contextlib
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.queries.query import Query, read
from amplifier.schema import migrate
from amplifier.settings import Settings

_USERS = (10, 500, 2000, 5000, 20000)  # sessions that each takes part in
_TOPICS, _TOPICS_OF_SESSION = 500, 3
_NOISE = 0.6  # length of what a message adds to its topic, whose length is 1
_BEST = 10
_SEED = """
insert into applications (app_id, app_name, api_key_hash, api_key_prefix) values ('a', 'a', repeat('0', 64), 'p');

insert into sessions (session_id, owner_user_id, created_by_app_id, last_seq, message_count, messages_total)
select 's' || n, 'u', 'a', {messages}, {messages}, {messages} from generate_series(1, {sessions}) as n;

insert into messages (session_id, seq, message, author_user_id, author_app_id, search, search_revision)
select
    's' || n, k, jsonb_build_object('role', 'user', 'content', 'message ' || k || ' of ' || n), 'u', 'a', '',
    search_revision('english')
from generate_series(1, {sessions}) as n
cross join generate_series(1, {messages}) as k;
"""
_APPEND = """
insert into messages (session_id, seq, message, author_user_id, author_app_id)
values ($1, $2, '{"role": "user", "content": "a message of some words, as people write them"}', 'u', 'a')
"""


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser("python -m benchmarks.meaning", description="The search by meaning.")
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--messages", type=int, default=10, help="of a session")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--home", type=Path, help="a folder for the database, to be used again")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp"))
        dsn = stack.enter_context(embedded.running(options.home or Path(folder), "amplifier-api"))
        if not _is_filled(dsn):
            _fill(dsn, options)
        asyncio.run(_measure(dsn, options))


def _is_filled(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select to_regclass('embedding_models')").fetchone()
        return row is not None and row[0] is not None


def _fill(dsn: str, options: argparse.Namespace) -> None:
    """Makes sessions, users and vectors, then the index."""
    migrate.migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # no triggers
        connection.execute(_SEED.format(sessions=options.sessions, messages=options.messages).encode())
        for sessions in _USERS:
            chosen = random.Random(sessions).sample(range(1, options.sessions + 1), sessions)
            with connection.cursor().copy("copy session_participants (session_id, user_id, role) from stdin") as copy:
                for number in chosen:
                    copy.write_row((f"s{number}", f"user-{sessions}", "viewer"))
        connection.execute("reset session_replication_role")
        started = time.monotonic()
        connection.execute("select message_embeddings_enable('openai:bench', %s)", (options.dimensions,))
        connection.execute("drop index message_embeddings_embedding_idx")
        statement = "copy message_embeddings (session_id, seq, created_at, embedding) from stdin"
        with connection.cursor().copy(statement) as copy:
            for session_id, seq, vector in _vectors(options):
                copy.write_row((session_id, seq, "2026-01-01", "[" + ",".join(f"{one:.5f}" for one in vector) + "]"))
        copied = time.monotonic()
        connection.execute("set maintenance_work_mem = '512MB'; set max_parallel_maintenance_workers = 1")
        connection.execute(
            "create index message_embeddings_embedding_idx on message_embeddings"
            " using hnsw (embedding halfvec_cosine_ops)"
        )
        indexed = time.monotonic()
        connection.execute("vacuum analyze")
        size = (
            "select pg_size_pretty(pg_table_size('message_embeddings')),"
            " pg_size_pretty(pg_relation_size('message_embeddings_embedding_idx'))"
        )
        table, index = connection.execute(size.encode()).fetchone() or ("", "")
        print(
            f"vectors stored in {copied - started:.0f} s, indexed in {indexed - copied:.0f} s; {table}, index {index}"
        )


def _topics(dimensions: int) -> list[list[float]]:
    chance = random.Random(1)
    return [_unit([chance.gauss(0, 1) for _ in range(dimensions)]) for _ in range(_TOPICS)]


def _vectors(options: argparse.Namespace) -> Iterator[tuple[str, int, list[float]]]:
    topics, chance = _topics(options.dimensions), random.Random(2)
    for number in range(1, options.sessions + 1):
        mine = chance.sample(topics, _TOPICS_OF_SESSION)
        for seq in range(1, options.messages + 1):
            yield f"s{number}", seq, _near(chance.choice(mine), chance)


def _near(topic: list[float], chance: random.Random) -> list[float]:
    spread = _NOISE / math.sqrt(len(topic))
    return _unit([one + chance.gauss(0, spread) for one in topic])


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [one / length for one in vector]


async def _measure(dsn: str, options: argparse.Namespace) -> None:
    [parsed] = read(paths.folder("queries") / "meaning.sql")[0]
    query = Query(Database(Settings(), dsn), parsed)
    connection = await asyncpg.connect(dsn)
    await connection.execute("set plan_cache_mode = force_generic_plan; set jit = off")
    exact = await connection.prepare(
        "select n.session_id, n.seq from session_participants as p"
        " cross join lateral (select * from message_embeddings where session_id = p.session_id offset 0) as n"
        " where p.user_id = $1 order by n.embedding <=> $2::real[]::halfvec limit 10"
    )
    searched = await _prepared(connection, query)
    topics, chance = _topics(options.dimensions), random.Random(3)
    questions = [_near(chance.choice(topics), chance) for _ in range(options.questions)]
    print(f"{options.sessions:,} sessions of {options.messages} messages, {options.dimensions} dimensions")
    print(f"{'sessions of the user':24} {'recall at 10':>12} {'worst':>6} {'p50 ms':>8} {'p95 ms':>8} {'exact ms':>9}")
    for sessions in _USERS:
        recalls, times, exact_times = [], [], []
        for question in questions:
            started = time.perf_counter()
            wanted = {tuple(row) for row in await exact.fetch(f"user-{sessions}", question)}
            exact_times.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            rows = await searched(f"user-{sessions}", question)
            times.append((time.perf_counter() - started) * 1000)
            found = {(row["session_id"], row["seq"]) for row in rows}
            recalls.append(len(found & wanted) / len(wanted))
        p95 = statistics.quantiles(times, n=20)[-1]
        print(
            f"{sessions:<24} {statistics.mean(recalls):>12.3f} {min(recalls):>6.1f}"
            f" {statistics.median(times):>8.1f} {p95:>8.1f} {statistics.median(exact_times):>9.1f}"
        )
    await _appends(connection)
    await connection.close()


async def _prepared(connection: Any, query: Any) -> Any:
    statement = await connection.prepare(query.statement)

    async def run(user_id: str, question: list[float]) -> Any:
        given = dict.fromkeys(("session_id", "config_id", "message_role", "author_user_id", "tool", "since", "until"))
        given |= {"actor_id": user_id, "q": "message", "vector": question, "tags": "{}"}
        given |= {"most": 100, "offset": 0, "limit": _BEST, "context": 0}
        return await statement.fetch(*(given[name] for name in query.parameters))

    return run


async def _appends(connection: Any) -> None:
    """Compares the insert of a message with and without the trigger, in turns."""
    statement = await connection.prepare(_APPEND)
    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(20):
        is_on = turn % 2 == 0
        await connection.execute(
            f"alter table messages {'enable' if is_on else 'disable'} trigger messages_add_embeddings"
        )
        for number in range(200):
            started = time.perf_counter()
            await statement.fetch(f"s{1 + number}", 1_000_000 + turn)
            times[is_on].append((time.perf_counter() - started) * 1000)
    on, off = (statistics.median(times[is_on]) for is_on in (True, False))
    print(f"insert of a message: {off:.3f} ms, with the trigger {on:.3f} ms, ratio {on / off:.2f}")
    await connection.execute("delete from messages where seq >= 1000000")


if __name__ == "__main__":
    main()
