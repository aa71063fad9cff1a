"""Measures the overhead of the query layer on a call of asyncpg, and the time of the check of all queries."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded
from amplifier.queries.checks.run import check
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from amplifier.server.row_structs import STRUCTS
from amplifier.settings import Settings

ROUNDS, CALLS = 15, 20_000


class Nothing:
    """A connection that responds at once, so that only the work before and after the call is measured."""

    async def fetchrow(self, query: str, /, *args: Any) -> Any:
        return None


def main() -> None:
    """Prints the tables."""
    with (
        tempfile.TemporaryDirectory(prefix="amplifier-bench-", dir="/tmp") as folder,
        embedded.running(Path(folder), "amplifier-api") as dsn,
    ):
        migrate.migrate(dsn)
        asyncio.run(_measure(dsn))


async def _measure(dsn: str) -> None:
    database = Database(Settings(), dsn)
    await database.connect()
    queries = Queries(database, paths.folder("queries"))
    print(f"{'':46}{'us':>8}{'beside':>8}{'more':>8}   spread")
    arguments = {"actor_id": "user-1", "session_id": "session-1"}
    append = arguments | {"actor_app_id": "app", "messages": b"[]", "expected_seq": None}
    nothing: Any = Nothing()
    for query, given in ((queries.sessions.get, arguments), (queries.messages.append, append)):
        values = [given[name] for name in query.parameters]
        statement = query.statement
        await _compare(
            f"{query.name} without a database",
            lambda query=query, given=given: query(nothing, **given),
            lambda statement=statement, values=values: nothing.fetchrow(statement, *values),
            CALLS,
        )
    async with database.connection() as connection:
        ping = queries.service.ping
        await _compare(
            "service.ping on a connection",
            lambda: ping(connection),
            lambda: connection.fetchval(ping.statement),
            CALLS // 10,
        )
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await check(Queries(database, queries.folder), STRUCTS)
        seconds.append(time.perf_counter() - started)
    print(f"the check of all {len(queries.all())} queries: {statistics.median(seconds):.2f} s")
    await database.close()


async def _compare(
    title: str, ours: Callable[[], Awaitable[Any]], theirs: Callable[[], Awaitable[Any]], calls: int
) -> None:
    await _timed(ours, calls), await _timed(theirs, calls)  # warm
    pairs = [(await _timed(ours, calls), await _timed(theirs, calls)) for _ in range(ROUNDS)]
    more = sorted(a - b for a, b in pairs)
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title:46}{first:>8.2f}{second:>8.2f}{statistics.median(more):>8.2f}   {more[0]:.2f}..{more[-1]:.2f}",
        flush=True,
    )


async def _timed(call: Callable[[], Awaitable[Any]], calls: int) -> float:
    """Returns the microseconds per call."""
    started = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - started) / calls * 1e6


if __name__ == "__main__":
    main()
