"""Sends hints to users who follow all of their sessions at once: which session changed, and the type of its last event.

Hints are never replayed. `topics.py` delivers the events of single sessions.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from amplifier.live.frames import frame
from amplifier.live.notifications import Gone
from amplifier.live.subscriber import Subscriber
from amplifier.queries.registry import Queries

_CHUNK = 500  # sessions in one statement
_SWEEP = 4.0  # seconds between two sweeps of the sessions of a follower
_SWEPT = 50  # followers in one sweep; with more than about 200, each is swept less often
_OVERLAP = 10.0  # seconds that a sweep goes further back, for transactions that were in progress then
_REMEMBER = 60.0  # seconds that a hint is remembered, so that it is sent once


class Hints:
    """The streams of users that follow all of their sessions."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._sent: dict[str, tuple[int, float]] = {}
        self._swept: dict[str, float] = {}  # when the sessions of each user were swept, the longest ago first
        self.followers: defaultdict[str, set[Subscriber]] = defaultdict(set)

    def open(self, subscriber: Subscriber) -> None:
        """Starts to send hints to the subscriber."""
        self.followers[subscriber.user_id].add(subscriber)
        self._swept.setdefault(subscriber.user_id, time.monotonic())

    def close(self, subscriber: Subscriber) -> None:
        """Removes a subscriber whose stream ended."""
        self.followers[subscriber.user_id].discard(subscriber)
        if not self.followers[subscriber.user_id]:
            del self.followers[subscriber.user_id]
            del self._swept[subscriber.user_id]

    async def send(self, session_ids: Iterable[str]) -> None:
        """Sends hints about sessions that changed to their present participants. Raises Unavailable."""
        changed = list(session_ids)
        while changed and self.followers:
            rows = await self._queries.events.list_hints(actor_ids=list(self.followers), session_ids=changed[:_CHUNK])
            self._pass_on(rows)
            changed = changed[_CHUNK:]

    async def sweep(self, everybody: bool = False) -> None:
        """Sends the hints that some followers, or all with `everybody`, have missed. Raises Unavailable."""
        now = time.monotonic()
        due = [one for one, swept in self._swept.items() if everybody or swept <= now - _SWEEP]
        while due:
            user_ids, due = due[:_SWEPT], due[_SWEPT:] if everybody else []
            seconds = now - self._swept.get(user_ids[0], now) + _OVERLAP
            rows = await self._queries.events.list_changed(actor_ids=user_ids, seconds=seconds)
            await self.send({row["session_id"] for row in rows if self._is_new(row)})
            for user_id in user_ids:
                if self._swept.pop(user_id, None) is not None:  # moves the user to the end
                    self._swept[user_id] = now
        self._sent = {one: sent for one, sent in self._sent.items() if sent[1] > now - _REMEMBER}

    def gone(self, gone: Gone) -> None:
        """Sends a hint to the users who lost a session."""
        hint = frame("hint", session_id=gone.session_id, last_seq=None, type=gone.type)
        for user_id in gone.user_ids:
            for subscriber in self.followers.get(user_id, ()):
                subscriber.hint(gone.session_id, hint)

    def _is_new(self, row: Any) -> bool:
        return self._sent.get(row["session_id"], (-1, 0.0))[0] < int(row["last_seq"])

    def _pass_on(self, rows: list[Any]) -> None:
        now = time.monotonic()
        for user_id, session_id, last_seq, type in [row for row in rows if self._is_new(row)]:
            hint = frame("hint", session_id=session_id, last_seq=last_seq, type=type)
            for subscriber in self.followers.get(user_id, ()):
                subscriber.hint(session_id, hint)
            self._sent[session_id] = (last_seq, now)
