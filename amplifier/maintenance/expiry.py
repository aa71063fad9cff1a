"""Deletes expired rows of all kinds in one background job; requests delete none.

To add a kind, write a query `sweep(limit)!` and add a line to `_kinds`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

_PACE = 60.0  # seconds between two rounds, at random up to a fifth less: not all processes at once
_AT_ONCE = 1000  # rows in one statement
_BATCHES = 100  # statements for one kind in a round, a limit to what the other kinds wait for
_LIMIT = 30.0  # seconds for one kind in a round


async def keep_sweeping(queries: Queries) -> None:
    """Sweeps once a minute. Never returns."""
    while True:
        await asyncio.sleep(_PACE * random.uniform(0.8, 1))  # noqa: S311
        await sweep(queries)


async def sweep(queries: Queries) -> None:
    """Deletes expired rows, kind by kind. Logs an error and leaves the kind to the next round."""
    for kind, delete in _kinds(queries):
        try:
            async with asyncio.timeout(_LIMIT):
                deleted = await _delete(delete)
        except Exception as error:  # of any kind: the other kinds and the next round must follow
            logger.warning("expired %s were not deleted, trying again: %r", kind, error)
            continue
        logger.log(logging.INFO if deleted else logging.DEBUG, "deleted %d expired %s", deleted, kind)
        if deleted >= _AT_ONCE * _BATCHES:
            logger.warning("more %s expired than are deleted in one round", kind)


def _kinds(queries: Queries) -> Iterator[tuple[str, Callable[..., Awaitable[int]]]]:
    yield "tickets", queries.tickets.sweep
    yield "answers kept for an Idempotency-Key", queries.idempotency.sweep
    yield "rate limits", queries.rate_limits.sweep
    yield "streams of dead processes", queries.streams.sweep
    yield "dead processes", queries.processes.sweep
    yield "imports", queries.imports.sweep


async def _delete(delete: Callable[..., Awaitable[int]]) -> int:
    """Deletes in statements of at most 1000 rows. Returns the number of deleted rows."""
    total = 0
    for _ in range(_BATCHES):
        deleted = await delete(limit=_AT_ONCE)
        total += deleted
        if deleted < _AT_ONCE:
            break
    return total
