"""Writes what this process does into the table `processes`, so that GET /health/processes shows all of them."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

_PACE = 10.0  # seconds between two writes, at random up to a fifth less: not all processes at once


@contextlib.asynccontextmanager
async def kept(queries: Queries, figures: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Keeps the row of this process while the context lasts, then deletes it. `figures` returns its columns."""
    task = asyncio.create_task(_keep(queries, figures))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            await queries.processes.leave(process_id=figures()["process_id"])
        except Exception as error:  # of any kind: the other parts must stop, too
            logger.warning("the row of this process was not deleted, and is for an hour one that died: %r", error)


async def _keep(queries: Queries, figures: Callable[[], dict[str, Any]]) -> None:
    while True:
        try:
            await queries.processes.keep(**figures())
        except Exception as error:  # of any kind: the next write follows
            logger.warning("the row of this process was not written, trying again: %r", error)
        await asyncio.sleep(_PACE * random.uniform(0.8, 1))  # noqa: S311
