"""Who is there: which participants follow a session now, in any process."""

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

SHOWN = 100  # people in an event; `count` has all
_PAUSE = 0.05  # seconds between two looks: people come and go together
_SHOW_PAUSE = 0.5  # seconds between two events of a session, however often somebody comes and goes


class Presence:
    """Shows those who follow a session who else does; keeps the rows of open streams, which `streams.open` wrote."""

    def __init__(self, queries: Queries, notifier: Notifier, topics: Topics) -> None:
        self._queries = queries
        self._notifier = notifier
        self._topics = topics
        self._look_at: set[str] = set()
        self._closed: dict[str, str | None] = {}
        self._wanted = asyncio.Event()
        self._writing = asyncio.Lock()  # or a stream that ends while the others are kept would be written again

    def came(self, session_id: str) -> None:
        """A stream was opened."""
        self.look_at([session_id])
        self._notifier.present(session_id)

    def left(self, subscriber: Subscriber) -> None:
        """A stream ended."""
        self._closed[subscriber.stream_id] = subscriber.session_id
        self._wanted.set()

    def look_at(self, session_ids: Iterable[str]) -> None:
        """Somebody may have come to these sessions or left them."""
        self._look_at.update(session_ids)
        self._wanted.set()

    async def keep(self, subscribers: Collection[Subscriber]) -> None:
        """Says that these streams are open, and looks who is there: processes may have died. Raises Unavailable."""
        async with self._writing:
            kept = [(one.stream_id, one.session_id, one.user_id) for one in subscribers]
            if not kept:
                return
            stream_ids, session_ids, user_ids = zip(*kept, strict=True)
            await self._queries.streams.keep(
                process_id=self._notifier.process, stream_ids=stream_ids, session_ids=session_ids, user_ids=user_ids
            )
        self.look_at(self._topics)

    async def keep_showing(self) -> None:
        """Shows changes, for ever."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_PAUSE)
            self._wanted.clear()
            try:
                await self.flush()
                await self._show()
            except Exception as error:  # whatever it was: the next look, in seconds, shows it
                logger.warning("who is there was not shown: %r", error)

    async def flush(self) -> None:
        """Forgets streams that ended. Raises Unavailable."""
        async with self._writing:
            closed, self._closed = self._closed, {}
            if closed:
                try:
                    await self._queries.streams.close(stream_ids=list(closed))
                except BaseException:
                    self._closed = closed | self._closed
                    raise
        for session_id in {one for one in closed.values() if one is not None}:
            self.came(session_id)

    async def _show(self) -> None:
        now = time.monotonic()
        watched = {one for one in self._look_at if one in self._topics}
        session_ids = [one for one in watched if self._topics[one].presence_at <= now - _SHOW_PAUSE]
        self._look_at = watched.difference(session_ids)
        if self._look_at:
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
