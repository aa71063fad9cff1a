"""Renews the leases of this process's runs, ends runs of dead processes, and begins queued runs, periodically.

A run that a request sends is begun by `runner.py`.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.finish import Endings
from amplifier.runtime.queue import Waiting
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution

logger = logging.getLogger(__name__)

_RENEWALS = 5  # in the time of a lease
_REST = 0.05  # seconds between two renewals at least, however many notifications arrive
_REAPED = 100  # runs taken over at once, and queued runs that are read


class Leases:
    """The leases of one process. `going` holds its runs by id; the runner adds and removes them."""

    def __init__(
        self,
        queries: Queries,
        hub: Hub,
        settings: Settings,
        going: "Mapping[str, Execution]",
        endings: Endings,
        waiting: Waiting,
    ) -> None:
        self._queries, self._hub, self._settings = queries, hub, settings
        self._going, self._endings, self._waiting = going, endings, waiting

    async def keep(self) -> None:
        """Renews leases and takes over expired ones, until it is cancelled.

        Both run independently: taking over the run of a large session must not delay the renewal.
        """
        await asyncio.gather(self._keep_renewing(), self._keep_reaping())

    async def _keep_renewing(self) -> None:
        while True:
            await self._renew_now()
            deadline = asyncio.get_running_loop().time() + self._settings.run_lease / _RENEWALS
            while await self._noticed(deadline):
                await self._renew_now()
                await asyncio.sleep(_REST)

    async def _keep_reaping(self) -> None:
        while True:
            try:
                await self._reap()
            except Exception as error:  # the next round tries again after any error
                logger.warning("abandoned runs were not ended, trying again: %r", error)
            await self._waiting.fill(_REAPED)
            await asyncio.sleep(self._settings.run_lease / _RENEWALS)

    async def _noticed(self, deadline: float) -> bool:
        """Returns whether a session with a run is reported changed before the deadline, a time of the event loop."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._hub.runs.noticed.wait()
        except TimeoutError:
            return False
        self._hub.runs.noticed.clear()
        return True

    async def _renew_now(self) -> None:
        try:
            await self._renew()
        except Exception as error:  # the next round tries again after any error
            logger.warning("leases of runs were not renewed, trying again: %r", error)

    async def _renew(self) -> None:
        """Renews the leases, stops cancelled runs and runs that another process took over."""
        going = list(self._going.values())
        if not going:
            return
        rows = await self._queries.runs.renew(
            process_id=self._hub.process_id,
            session_ids=[one.session_id for one in going],
            run_ids=[one.run_id for one in going],
            seconds=self._settings.run_lease,
        )
        kept = {row["run_id"]: row for row in rows}
        for execution in going:
            row = kept.get(execution.run_id)
            if row is None:
                execution.stop("lost")
            else:
                execution.feed.followed_elsewhere = row["followed_elsewhere"]
                if row["cancelled"]:
                    execution.stop("cancelled")

    async def _reap(self) -> None:
        """Ends the runs of dead processes, one statement each, and begins the runs that waited for them.

        Raises Unavailable.
        """
        rows = await self._queries.runs.reap(
            process_id=self._hub.process_id, seconds=self._settings.run_lease, limit=_REAPED
        )
        for row in rows:
            if row["run_id"] in self._going:  # this process was suspended and still executes the run
                continue
            try:
                await self._endings.end_abandoned(row)
            except Exception as error:  # tried again, after the others, when the lease has expired
                logger.warning("run %s/%s was not ended, trying again: %r", row["session_id"], row["run_id"], error)
            else:
                await self._waiting.claim(row["session_id"])
