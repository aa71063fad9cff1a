"""Hints for those who follow all of their sessions at once: which one changed, and by what. They are never replayed."""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from amplifier.live.frames import frame
from amplifier.live.notifications import Gone
from amplifier.live.subscriber import Subscriber
from amplifier.queries.registry import Queries

_CHUNK = 500  # sessions in one statement
_SWEEP = 4.0  # seconds between two looks at the sessions of a follower
_SWEPT = 50  # followers at once; with more than some two hundred each is looked after less often
_OVERLAP = 10.0  # seconds a sweep looks further back: transactions that were under way then
_REMEMBER = 60.0  # seconds that a hint is remembered, so that it is given once


class Hints:
    """The followers, by user."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._given: dict[str, tuple[int, float]] = {}
        self._swept: dict[str, float] = {}  # when each follower's sessions were looked at, longest ago first
        self.followers: defaultdict[str, set[Subscriber]] = defaultdict(set)

    def open(self, subscriber: Subscriber) -> None:
        """From now on the subscriber gets hints."""
        self.followers[subscriber.user_id].add(subscriber)
        self._swept.setdefault(subscriber.user_id, time.monotonic())

    def close(self, subscriber: Subscriber) -> None:
        """Forgets a subscriber whose stream ended."""
        self.followers[subscriber.user_id].discard(subscriber)
        if not self.followers[subscriber.user_id]:
            del self.followers[subscriber.user_id]
            del self._swept[subscriber.user_id]

    async def give(self, session_ids: Iterable[str]) -> None:
        """Tells of sessions that changed whoever takes part in them now. Raises Unavailable."""
        changed = list(session_ids)
        while changed and self.followers:
            rows = await self._queries.events.list_hints(actor_ids=list(self.followers), session_ids=changed[:_CHUNK])
            self._pass_on(rows)
            changed = changed[_CHUNK:]

    async def sweep(self, everybody: bool = False) -> None:
        """Tells what was not told of the sessions of some followers, or of everybody. Raises Unavailable."""
        now = time.monotonic()
        due = [one for one, swept in self._swept.items() if everybody or swept <= now - _SWEEP]
        while due:
            user_ids, due = due[:_SWEPT], due[_SWEPT:] if everybody else []
            seconds = now - self._swept.get(user_ids[0], now) + _OVERLAP
            rows = await self._queries.events.list_changed(actor_ids=user_ids, seconds=seconds)
            await self.give({row["session_id"] for row in rows if self._is_news(row)})
            for user_id in user_ids:
                if self._swept.pop(user_id, None) is not None:  # to the end
                    self._swept[user_id] = now
        self._given = {one: given for one, given in self._given.items() if given[1] > now - _REMEMBER}

    def gone(self, gone: Gone) -> None:
        """Tells those who lost a session."""
        hint = frame("hint", session_id=gone.session_id, last_seq=None, type=gone.type)
        for user_id in gone.user_ids:
            for subscriber in self.followers.get(user_id, ()):
                subscriber.hint(gone.session_id, hint)

    def _is_news(self, row: Any) -> bool:
        return self._given.get(row["session_id"], (-1, 0.0))[0] < int(row["last_seq"])

    def _pass_on(self, rows: list[Any]) -> None:
        now = time.monotonic()
        for user_id, session_id, last_seq, type in [row for row in rows if self._is_news(row)]:
            hint = frame("hint", session_id=session_id, last_seq=last_seq, type=type)
            for subscriber in self.followers.get(user_id, ()):
                subscriber.hint(session_id, hint)
            self._given[session_id] = (last_seq, now)
