"""Wraps the orchestrator of a run, so that it can be cancelled and its error is kept.

The orchestrator that the service provides is in `modules/orchestrator.py`.
"""

import asyncio
from typing import Any


class Conductor:
    """Replaces the mounted orchestrator and calls it.

    `task` is the orchestrator's task: cancelling the task of amplifier-core would return before the orchestrator has
    ended. `error` is the exception of the orchestrator, which amplifier-core would rewrite.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.task: asyncio.Task[Any] | None = None
        self.error: BaseException | None = None

    async def execute(self, **arguments: Any) -> str:
        """Returns the response of the orchestrator, or an empty text if it raised."""
        self.task = asyncio.current_task()
        try:
            return str(await self._inner.execute(**arguments))
        except BaseException as error:  # also the cancellation, which ends here
            self.error = error
            return ""
