"""What is kept for a time only is deleted when that is over."""

import asyncio
import logging
import random

from amplifier.queries import Queries

logger = logging.getLogger(__name__)

_PACE = 60.0  # seconds between two rounds, or a little less: not all processes at once
_AT_ONCE = 1000  # rows in one statement


async def keep_sweeping(queries: Queries) -> None:
    """Sweeps once a minute, for ever."""
    while True:
        await asyncio.sleep(_PACE * random.uniform(0.8, 1))  # noqa: S311
        try:
            await sweep(queries)
        except Exception as error:  # whatever it was: the next round tries again
            logger.warning("what is kept no longer is deleted later: %r", error)


async def sweep(queries: Queries) -> None:
    """Deletes answers to requests with an Idempotency-Key after their day, and rate limits that are unused. Raises
    Unavailable."""
    while await queries.idempotency.sweep(limit=_AT_ONCE) == _AT_ONCE:
        pass
    await queries.rate_limits.sweep()
