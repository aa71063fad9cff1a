"""Records open streams in the database, and shows the followers of a session which participants follow it now."""

import asyncio
import itertools
import logging
import time
from collections.abc import Collection, Iterable

from amplifier.live.frames import Frame, frame
from amplifier.live.notifications import Notifier
from amplifier.live.subscriber import Subscriber
from amplifier.live.topics import Topics
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

SHOWN = 100  # users in an event; `count` counts all
_PAUSE = 0.05  # seconds between two reads: users often come and go together
_SHOW_PAUSE = 0.5  # seconds between two events of a session, however often users come and go


class Presence:
    """The presence of users in the sessions that this process follows, in any process.

    Keeps the rows of the open streams of this process, which the query `streams.open` wrote, from expiring.
    """

    def __init__(self, queries: Queries, notifier: Notifier, topics: Topics) -> None:
        self._queries = queries
        self._notifier = notifier
        self._topics = topics
        self._scheduled: set[str] = set()
        self._closed: dict[str, str | None] = {}
        self._wanted = asyncio.Event()
        self._writing = asyncio.Lock()  # without it `keep` would write a row again that `flush` has just deleted

    def changed(self, session_id: str) -> None:
        """Schedules an event for a session whose followers changed, in all processes."""
        self.schedule([session_id])
        self._notifier.present(session_id)

    def closed(self, subscriber: Subscriber) -> None:
        """Schedules the deletion of the row of a stream that ended."""
        self._closed[subscriber.stream_id] = subscriber.session_id
        self._wanted.set()

    def schedule(self, session_ids: Iterable[str]) -> None:
        """Schedules events for sessions whose followers may have changed, in this process."""
        self._scheduled.update(session_ids)
        self._wanted.set()

    async def keep(self, subscribers: Collection[Subscriber]) -> None:
        """Refreshes the rows of these streams, and schedules events for all sessions, since processes may have died.

        Raises Unavailable.
        """
        async with self._writing:
            kept = [(one.stream_id, one.session_id, one.user_id) for one in subscribers]
            if not kept:
                return
            stream_ids, session_ids, user_ids = zip(*kept, strict=True)
            await self._queries.streams.keep(
                process_id=self._notifier.process, stream_ids=stream_ids, session_ids=session_ids, user_ids=user_ids
            )
        self.schedule(self._topics)

    async def keep_showing(self) -> None:
        """Deletes rows and sends events as they are scheduled. Never returns."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_PAUSE)
            self._wanted.clear()
            try:
                await self.flush()
                await self._show()
            except Exception as error:  # of any kind: `keep` schedules all sessions again within seconds
                logger.warning("presence was not written, trying again: %r", error)

    async def flush(self) -> None:
        """Deletes the rows of streams that ended. Raises Unavailable."""
        async with self._writing:
            closed, self._closed = self._closed, {}
            if closed:
                try:
                    await self._queries.streams.close(stream_ids=list(closed))
                except BaseException:
                    self._closed = closed | self._closed
                    raise
        for session_id in {one for one in closed.values() if one is not None}:
            self.changed(session_id)

    async def _show(self) -> None:
        now = time.monotonic()
        watched = {one for one in self._scheduled if one in self._topics}
        session_ids = [one for one in watched if self._topics[one].presence_at <= now - _SHOW_PAUSE]
        self._scheduled = watched.difference(session_ids)
        if self._scheduled:
            self._wanted.set()
        if not session_ids:
            return
        rows = await self._queries.streams.list_present(session_ids=session_ids)
        people = {one: list(rows) for one, rows in itertools.groupby(rows, lambda row: str(row["session_id"]))}
        for session_id in session_ids:
            if topic := self._topics.get(session_id):
                present = [{"user_id": row["user_id"], "since": row["since"]} for row in people.get(session_id, [])]
                topic.show(_frame(session_id, present))


def _frame(session_id: str, present: list[dict[str, object]]) -> Frame:
    return frame("presence.changed", session_id=session_id, count=len(present), present=present[:SHOWN])
