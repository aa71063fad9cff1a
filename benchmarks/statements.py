"""Measures statements in the database: lists of 10,000 sessions, and the cost of a lock and an index for appends."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from amplifier.settings import Settings
from amplifier.web.paging import LATEST

ROUNDS, SECONDS, WRITERS = 7, 2.0, 32
_SEED = """
insert into configs (config_id, name, config_json, user_id)
select 'config-' || n, 'bench', '{}', 'user-' || n from generate_series(1, 200) as n;

-- user-1 has 10,000 sessions, the others 500 each
insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, title, updated_at)
select 'session-' || n, 'config-1', 'user-1', 'bench', 'Session ' || n, now() - n * interval '1 minute'
from generate_series(1, 10000) as n
union all
select
    'other-' || n, 'config-' || 2 + n % 199, 'user-' || 2 + n % 199, 'bench', 'Session ' || n,
    now() - n * interval '10 seconds'
from generate_series(1, 99500) as n;

insert into session_participants (session_id, user_id, role, last_active_at)
select session_id, owner_user_id, 'owner', updated_at from sessions;
"""


def main() -> None:
    """Prints the tables."""
    with (
        tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp") as folder,
        embedded.running(Path(folder), "amplifier-api") as dsn,
    ):
        migrate.migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(_SEED)
            owner.execute("vacuum analyze")
            asyncio.run(_measure(dsn, owner))


async def _measure(dsn: str, owner: psycopg.Connection[Any]) -> None:
    settings = Settings(database_pool_max_size=WRITERS + 2, database_acquire_timeout=30)
    database = Database(settings, dsn)
    await database.connect()
    queries = Queries(database, paths.folder("queries"))
    print(f"{'':46}{'ms':>8}{'beside':>8}{'ratio':>8}   spread")
    await _lists(queries)
    print(f"{'':46}{'a second':>8}{'beside':>8}{'ratio':>8}   spread")
    await _locks(queries, owner)
    await database.close()


async def _lists(queries: Queries) -> None:
    """Measures pages of 50 of a user's 10,000 sessions: the first, and one in the middle."""
    first = LATEST
    row = await queries.database.fetchrow(
        "select last_active_at, session_id from session_participants where user_id = 'user-1'"
        " order by last_active_at desc offset 5000 limit 1"
    )

    def by_activity(position: tuple[datetime, str], user_id: str = "user-1") -> Callable[[], Awaitable[Any]]:
        return lambda: queries.sessions.list_by_activity(
            actor_id=user_id, after_last_active_at=position[0], after_session_id=position[1], limit=50
        )

    def by_change(position: tuple[datetime, str], user_id: str = "user-1") -> Callable[[], Awaitable[Any]]:
        return lambda: queries.sessions.list(
            actor_id=user_id,
            owned=False,
            tags=b"{}",
            after_updated_at=position[0],
            after_session_id=position[1],
            limit=50,
            offset=0,
        )

    middle = tuple(row)
    await _compare("by activity: page 101 / page 1", _timed(by_activity(middle)), _timed(by_activity(first)))
    await _compare("by change: page 101 / page 1", _timed(by_change(middle)), _timed(by_change(first)))
    await _compare("by change / by activity", _timed(by_change(first)), _timed(by_activity(first)))
    await _compare("by change, 500 sessions / 10,000", _timed(by_change(first, "user-2")), _timed(by_change(first)))


async def _locks(queries: Queries, owner: psycopg.Connection[Any]) -> None:
    """Measures appends by many writers: to one session with its lock, and to many with and without an index."""
    append = queries.messages.append
    shared = append.statement.replace("for no key update", "for share")
    assert shared != append.statement
    hot = [f"session-{number}" for number in range(1, 11)]
    lock = _rate(queries.database, append.statement, append.parameters, hot[:1])
    await _compare(
        "append to one session: for no key update / for share",
        lock,
        _rate(queries.database, shared, append.parameters, hot[:1]),
    )
    plain = _rate(queries.database, append.statement, append.parameters, hot)

    async def indexed() -> float:
        owner.execute("create index bench_updated_at on sessions (owner_user_id, updated_at desc, session_id desc)")
        try:
            return await plain()
        finally:
            owner.execute("drop index bench_updated_at")

    await _compare("append: updated_at without / with an index", plain, indexed)


def _timed(call: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        for _ in range(6):  # from the sixth execution on, PostgreSQL may use its generic plan
            await call()
        started = time.perf_counter()
        for _ in range(20):
            assert len(await call()) == 50
        return (time.perf_counter() - started) / 20 * 1000

    return measure


def _rate(
    database: Database, statement: str, parameters: list[str], sessions: list[str]
) -> Callable[[], Awaitable[float]]:
    """Returns the appends per second of all writers."""
    arguments = {
        "actor_id": "user-1",
        "actor_app_id": "bench",
        "messages": b'[{"role": "user", "content": "The quick brown fox jumps over the lazy dog"}]',
        "expected_seq": None,
    }

    async def write(number: int, deadline: float) -> int:
        own = arguments | {"session_id": sessions[number % len(sessions)]}
        values, count = [own[name] for name in parameters], 0
        while time.perf_counter() < deadline:
            assert await database.fetchrow(statement, *values) is not None
            count += 1
        return count

    async def measure() -> float:
        deadline = time.perf_counter() + SECONDS
        return sum(await asyncio.gather(*(write(number, deadline) for number in range(WRITERS)))) / SECONDS

    return measure


async def _compare(title: str, ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]) -> None:
    await ours(), await theirs()  # warm
    pairs = [(await ours(), await theirs()) for _ in range(ROUNDS)]
    ratios = sorted(a / b for a, b in pairs)
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:46}{first:>8.{0 if first > 99 else 2}f}{second:>8.{0 if second > 99 else 2}f}"
        f"{statistics.median(ratios):>8.2f}   {ratios[0]:.2f}..{ratios[-1]:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
