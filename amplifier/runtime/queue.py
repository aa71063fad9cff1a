"""Begins queued runs of all sessions, one statement each, users in turn.

The places that runs take in the process are counted in `run_slots.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec

from amplifier.database.outages import is_of_data, is_too_slow
from amplifier.errors import Unavailable
from amplifier.fair_share import work_of
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.finish import TOO_LARGE
from amplifier.runtime.run_slots import Places
from amplifier.settings import Settings
from amplifier.telemetry import recorder

logger = logging.getLogger(__name__)

Outcome: TypeAlias = Literal["begun", "over", "waits", "set back"]

_SETBACK = 60.0  # seconds in which a session whose next run could not be begun comes after the others
_MOST_SETBACKS = 1000  # sessions
_LONGEST = 30.0  # seconds for a message that takes longer than the statement timeout
_RUNNING = "runs_session_id_running_idx"


class Waiting:
    """Begins queued runs in one process."""

    def __init__(
        self,
        queries: Queries,
        hub: Hub,
        settings: Settings,
        places: Places,
        has_room: Callable[[], bool],
        begin: Callable[[Any], None],
    ) -> None:
        """`has_room` returns whether the process may begin another run.

        `begin` receives the row of a run of which this process has the lease.
        """
        self._queries, self._hub, self._settings, self._places = queries, hub, settings, places
        self._has_room, self._begin = has_room, begin
        self._setbacks: dict[str, float] = {}  # until when, by session
        self._slow = asyncio.Lock()

    async def claim(self, session_id: str) -> None:
        """Begins the next run of a session, unless another process does or this one has no room. Never raises."""
        former = None
        while self._has_room():
            try:
                found = await self._queries.runs.get_next(session_id=session_id)
            except Exception as error:  # the next round tries again after any error
                logger.warning("the next run of session %s was not begun, trying again: %r", session_id, error)
                return
            if found is None or found["run_id"] == former or await self._try(found) in ("begun", "set back"):
                return
            former = found["run_id"]

    async def fill(self, limit: int) -> None:
        """Begins at most `limit` queued runs of all sessions while there is room, users in turn. Never raises."""
        if not self._has_room():
            return
        now = asyncio.get_running_loop().time()
        self._setbacks = {one: until for one, until in self._setbacks.items() if until > now}
        try:
            found = await self._queries.runs.list_waiting(
                full_user_ids=self._places.full_users,
                served_user_ids=self._places.served_users,
                failed_session_ids=list(self._setbacks),
                limit=limit,
            )
        except Exception as error:  # the next round tries again after any error
            logger.warning("waiting runs were not read, trying again: %r", error)
            return
        for waiting in found:
            outcome = await self._try(waiting) if self._has_room() else "set back"
            if outcome == "set back":  # the next round begins with the others
                return
            if outcome == "over":
                await self.claim(waiting["session_id"])

    async def _try(self, waiting: Any) -> Outcome:
        """Begins a queued run, or ends it if it can never be begun. Returns the outcome. Never raises."""
        session_id, run_id = waiting["session_id"], waiting["run_id"]
        if not self._places.take(run_id, waiting["user_id"]):
            return "waits"
        outcome: Outcome = "waits"
        try:
            row = await self._claimed(session_id, run_id, waiting["user_id"])
            if row is not None:
                self._hub.announce(session_id)
                if row["status"] == "running":
                    self._begin(row)
                else:
                    recorder.current.run_ended(row["status"])
                outcome = "begun" if row["status"] == "running" else "over"
        except Exception as error:
            outcome = await self._failed(session_id, run_id, error)
        finally:
            if outcome != "begun":
                self._places.free(run_id)
        return outcome

    async def _claimed(self, session_id: str, run_id: str, user_id: str) -> Any:
        """Returns the row of `runs.claim`, executed on the sender's share of the connections.

        If the statement timeout is too short for the message, tries once more with a longer one. Only one run in a
        process is tried so at a time. Raises database errors.
        """
        key = {"session_id": session_id, "run_id": run_id, "process_id": self._hub.process_id}
        claim = partial(self._queries.runs.claim, **key, seconds=self._settings.run_lease)
        with work_of(user_id if self._settings.auth_required else None):
            try:
                return await claim()
            except Unavailable as error:
                if not is_too_slow(error) or self._slow.locked():
                    raise
            async with self._slow, self._queries.database.patient(_LONGEST):
                return await claim()

    async def _failed(self, session_id: str, run_id: str, error: Exception) -> Outcome:
        """Ends a run that cannot be begun because of its data. After other errors it is tried again, perhaps later."""
        if isinstance(error, Unavailable) and not is_too_slow(error):
            return "waits"
        if getattr(error, "constraint_name", None) == _RUNNING:  # another process was faster
            return "waits"
        if is_of_data(error):
            try:
                reason = msgspec.json.encode(TOO_LARGE)
                await self._queries.runs.refuse(session_id=session_id, run_id=run_id, error=reason)
                recorder.current.run_ended("refused")
                self._hub.announce(session_id)
                return "over"
            except Exception as another:
                error = another
        logger.warning("run %s/%s was not begun, trying again: %r", session_id, run_id, error)
        if len(self._setbacks) < _MOST_SETBACKS:
            self._setbacks[session_id] = asyncio.get_running_loop().time() + _SETBACK
        return "set back"
