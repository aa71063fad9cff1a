"""Reads the sessions that are followed in this process, each once for all of its followers. Waking is in `hub.py`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from amplifier.fair_share import work_of_the_service
from amplifier.live.frames import Frame, frame, logged
from amplifier.live.subscriber import Subscriber
from amplifier.queries.registry import Queries
from amplifier.telemetry import tracing
from amplifier.telemetry.origins import Origins
from amplifier.telemetry.trace_context import TraceContext

PAGE, PAGE_BYTES = 500, 64 * 1024  # events and bytes of message text in one read; a larger message comes alone
_AT_ONCE = 2  # connections that reading for followers may hold
_CHUNK = 1000  # pairs of session and user in one statement


class Topic:
    """A session's followers, the number up to which it was read for all of them, and its latest presence event."""

    def __init__(self, session_id: str, cursor: int) -> None:
        self.session_id, self.cursor = session_id, cursor
        self.subscribers: set[Subscriber] = set()
        self.presence: Frame | None = None
        self.presence_at = float("-inf")  # when it was shown, on the monotonic clock

    def offer(self, frames: list[Frame], cursor: int, permitted: set[str], committed_at: datetime) -> None:
        """Passes the frames on to the followers and moves the topic to `cursor`.

        `committed_at` is the time of the oldest of them. `permitted` has the users that the read covered. A subscriber
        that came during the read reads by itself.
        """
        for subscriber in self.subscribers:
            if subscriber.user_id in permitted:
                subscriber.offer(frames, self.cursor, cursor, committed_at)
            else:
                subscriber.fall_behind()
        self.cursor = cursor

    def show(self, presence: Frame) -> None:
        """Passes a presence event on if it differs from the latest one."""
        if self.presence is None or self.presence.data != presence.data:
            self.presence, self.presence_at = presence, time.monotonic()
            for subscriber in self.subscribers:
                subscriber.show(presence)

    def note(self, note: Frame) -> None:
        """Passes on an event that is never replayed."""
        for subscriber in self.subscribers:
            subscriber.note(note)


class Topics(dict[str, Topic]):
    """The topics of this process, by session id."""

    def __init__(self, queries: Queries) -> None:
        super().__init__()
        self._queries = queries
        self._reads = asyncio.Semaphore(_AT_ONCE)
        self._origins = Origins()  # of the events that are to be read

    def open(self, session_id: str, subscriber: Subscriber) -> None:
        """Adds a subscriber to the session's topic."""
        topic = self.setdefault(session_id, Topic(session_id, subscriber.cursor))
        topic.subscribers.add(subscriber)
        subscriber.show(topic.presence)

    def close(self, session_id: str, subscriber: Subscriber) -> None:
        """Removes a subscriber whose stream ended, and the topic with its last subscriber."""
        self[session_id].subscribers.discard(subscriber)
        if not self[session_id].subscribers:
            del self[session_id]
            self._origins.take(session_id)

    async def catch_up(self, subscriber: Subscriber) -> None:
        """Reads a page for one subscriber, from its cursor. Ends its stream if the user no longer takes part.

        Raises Unavailable.
        """
        assert subscriber.session_id is not None  # noqa: S101
        rows = await self._read(subscriber.session_id, [subscriber.user_id], subscriber.cursor)
        if not rows:
            await self._lose(subscriber.session_id, [subscriber])
        elif rows[0]["seq"] is not None:
            subscriber.batch, subscriber.cursor = [logged(row) for row in rows], rows[-1]["seq"]
            subscriber.behind |= subscriber.cursor < rows[-1]["last_seq"]

    async def read(self, session_ids: Iterable[str]) -> list[BaseException]:
        """Reads the new events of these sessions for all of their followers.

        Returns the errors of sessions that could not be read; the next sweep tries them again.
        """
        advances = [self._advance(self[session_id]) for session_id in session_ids if session_id in self]
        outcomes = await asyncio.gather(*advances, return_exceptions=True)
        return [outcome for outcome in outcomes if outcome is not None]

    async def sweep(self) -> list[str]:
        """Returns the sessions that have new events, and ends streams of users who no longer take part.

        Also updates which subscribers may send messages. Raises Unavailable.
        """
        watched = defaultdict(list)
        for topic in self.values():
            for subscriber in topic.subscribers:
                watched[topic.session_id, subscriber.user_id].append(subscriber)
        pairs, changed = list(watched), []
        while pairs:
            chunk, pairs = pairs[:_CHUNK], pairs[_CHUNK:]
            session_ids, user_ids = zip(*chunk, strict=True)
            rows = await self._queries.events.list_clocks(actor_ids=user_ids, session_ids=session_ids)
            clocks = {(row["session_id"], row["user_id"]): row for row in rows}
            for session_id, user_id in chunk:
                row = clocks.get((session_id, user_id))
                if row is None:
                    await self._lose(session_id, watched[session_id, user_id])
                    continue
                for subscriber in watched[session_id, user_id]:
                    subscriber.may_send = row["may_send"]
                if session_id in self and self[session_id].cursor < row["last_seq"]:
                    changed.append(session_id)
        return changed

    def trace(self, session_id: str, origin: TraceContext | None) -> None:
        """Makes the delivery of the session's new events a part of the trace in which they were committed."""
        if session_id in self:
            self._origins.add(session_id, origin)

    async def _advance(self, topic: Topic) -> None:
        spans = self._origins.take(topic.session_id)
        with tracing.entered(tracing.continued(spans, "deliver", "internal")) as span:
            count = await self._deliver(topic)
            if span is not None:
                span.attributes = {"amplifier.events": count, "amplifier.followers": len(topic.subscribers)}

    async def _deliver(self, topic: Topic) -> int:
        """Reads the new events of a topic for its followers. Returns the number of events."""
        more, count = True, 0
        while more:
            subscribers = list(topic.subscribers)
            rows = await self._read(topic.session_id, list({one.user_id for one in subscribers}), topic.cursor)
            permitted = set(rows[0]["user_ids"]) if rows else set()
            await self._lose(topic.session_id, [one for one in subscribers if one.user_id not in permitted])
            more = bool(rows) and rows[0]["seq"] is not None
            if more:
                count += len(rows)
                topic.offer([logged(row) for row in rows], rows[-1]["seq"], permitted, rows[0]["created_at"])
                more = topic.cursor < rows[-1]["last_seq"]
        return count

    async def _read(self, session_id: str, user_ids: list[str], after: int) -> list[Any]:
        # counted for the service: a wait for the user's own share in here would hold up the reads for others
        async with self._reads:
            with work_of_the_service():
                rows: list[Any] = await self._queries.events.list(
                    actor_ids=user_ids, session_id=session_id, after=after, limit=PAGE, max_bytes=PAGE_BYTES
                )
        return rows

    async def _lose(self, session_id: str, subscribers: list[Subscriber]) -> None:
        """Ends the streams of subscribers who no longer take part in a session, or whose session was deleted."""
        if subscribers:
            exists = await self._queries.events.list_existing(session_ids=[session_id])
            ending = frame("access.revoked" if exists else "session.deleted", session_id=session_id)
            for subscriber in subscribers:
                subscriber.end(ending)
