"""Records the last activity of users, keys and participants, and counts searches.

It collects them in memory and writes each at most once a minute, so that requests that only read write nothing.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from datetime import date
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from amplifier.database.outages import is_of_data
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

_PACE = 1.0  # seconds between two flushes
_TOUCH = 60.0  # seconds between two writes for the same user, or the same user in the same session
_REMEMBER_AT_MOST = 10_000  # users, and as many participants
_AT_ONCE = 1000  # rows in one statement

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


class _Noted(Generic[Key]):
    """The values to write next, and the time from which each key may be noted again."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self.pending: dict[Key, str] = {}

    def note(self, key: Key, value: str) -> None:
        now = time.monotonic()
        if self._due.get(key, 0) <= now:
            if len(self._due) >= _REMEMBER_AT_MOST:
                self._due.clear()
            self._due[key] = now + _TOUCH
            self.pending[key] = value

    @contextlib.contextmanager
    def taken(self) -> Iterator[dict[Key, str]]:
        """Takes some of the pending values, to be written in the context. An error makes them pending again."""
        taken = dict(list(self.pending.items())[:_AT_ONCE])
        for key in taken:
            del self.pending[key]
        try:
            yield taken
        except BaseException:  # also a shutdown, which flushes once more
            self.pending = taken | self.pending
            raise

    def forget(self, key: Key) -> None:
        """Allows the key to be noted again at once."""
        self._due.pop(key, None)


class SearchKey(NamedTuple):
    """The key of a row of `searches`: user, application, day (UTC) and kind of thing searched for."""

    user_id: str
    app_id: str
    day: date
    kind: str


class SearchCount(msgspec.Struct):
    """A row of `searches`: the number of searches, of those without a result and those cancelled, and their seconds."""

    user_id: str
    app_id: str
    day: date
    kind: str
    searches: int = 0
    unsuccessful: int = 0
    cancelled: int = 0
    seconds: float = 0.0

    def add(self, searches: int, unsuccessful: int, cancelled: int, seconds: float) -> None:
        self.searches += searches
        self.unsuccessful += unsuccessful
        self.cancelled += cancelled
        self.seconds += seconds


class _Searches:
    """The counts of searches since the last write. The searched words are not kept."""

    def __init__(self) -> None:
        self.pending: dict[SearchKey, SearchCount] = {}
        self._due = 0.0

    def note(self, key: SearchKey, seconds: float, found: int | None) -> None:
        if key in self.pending or len(self.pending) < _REMEMBER_AT_MOST:
            self.pending.setdefault(key, SearchCount(*key)).add(1, found == 0, found is None, seconds)

    def are_due(self) -> bool:
        """Returns whether counts may be written; True at most once a minute."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + _TOUCH
        return True

    @contextlib.contextmanager
    def taken(self) -> Iterator[list[SearchCount]]:
        """Takes some of the pending counts, to be written in the context. An error adds them to the pending ones again.

        A connection that breaks between a commit and its confirmation looks like an error: these searches count twice.
        """
        taken = [self.pending.pop(key) for key in list(self.pending)[:_AT_ONCE]]
        try:
            yield taken
        except BaseException:
            for one in taken:
                key = SearchKey(one.user_id, one.app_id, one.day, one.kind)
                again = self.pending.setdefault(key, SearchCount(*key))
                again.add(one.searches, one.unsuccessful, one.cancelled, one.seconds)
            raise


class Activity:
    """Moves `last_seen` of users, `last_used_at` of keys and `last_active_at` of participants, and counts searches."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._users: _Noted[str] = _Noted()
        self._keys: _Noted[str] = _Noted()
        self._participants: _Noted[tuple[str, str]] = _Noted()
        self._searches = _Searches()
        self._writing = asyncio.Lock()

    def note_user(self, user_id: str, app_id: str) -> None:
        """Notes that a user made a request through this application."""
        self._users.note(user_id, app_id)

    def note_key(self, key_id: str) -> None:
        """Notes that a key was used."""
        self._keys.note(key_id, "")

    def note_participant(self, session_id: str, user_id: str) -> None:
        """Notes that a user read or changed a session. `flush` ignores users who take no part in it."""
        self._participants.note((session_id, user_id), "")

    def note_search(self, key: SearchKey, seconds: float, found: int | None) -> None:
        """Counts a search that took `seconds` and found so many rows. `found` is None if it was cancelled."""
        self._searches.note(key, seconds, found)

    async def flush(self, searches: bool = True) -> None:
        """Writes what was noted so far, without the counts of searches if `searches` is false. Raises Unavailable."""
        async with self._writing:  # on return, what another call had taken is written, too
            if searches:
                await self._write_searches()  # first: nothing else restores them, and nothing locks their rows for long
            await self._write_users()
            await self._write_keys()
            await self._write_participants()

    async def _write_searches(self) -> None:
        while self._searches.pending:
            with self._searches.taken() as counts:
                await _write(counts, lambda some: self._queries.searches.add(counts=msgspec.json.encode(some)))

    async def _write_users(self) -> None:
        while self._users.pending:
            with self._users.taken() as users:
                await _write(list(users.items()), self._touch_users)

    async def _write_keys(self) -> None:
        while self._keys.pending:
            with self._keys.taken() as keys:
                await _write(list(keys), lambda some: self._queries.application_keys.touch(key_ids=some))

    async def _write_participants(self) -> None:
        while self._participants.pending:
            with self._participants.taken() as participants:
                await _write(list(participants), self._touch_participants)

    async def _touch_users(self, users: list[tuple[str, str]]) -> None:
        user_ids, app_ids = zip(*users, strict=True)
        await self._queries.users.touch(user_ids=user_ids, app_ids=app_ids)

    async def _touch_participants(self, participants: list[tuple[str, str]]) -> None:
        session_ids, user_ids = zip(*participants, strict=True)
        touched = await self._queries.participants.touch(session_ids=session_ids, user_ids=user_ids)
        for key in set(participants) - {tuple(row) for row in touched}:
            self._participants.forget(key)

    async def keep_flushing(self) -> None:
        """Calls `flush` every second. Never returns.

        When it is cancelled it waits for a write in progress: an interrupted write may have been committed, and would
        be repeated.
        """
        while True:
            await asyncio.sleep(_PACE)
            writing = asyncio.create_task(self._flush_or_warn())
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await writing
                raise

    async def _flush_or_warn(self) -> None:
        try:
            await self.flush(self._searches.are_due())
        except Exception as error:  # of any kind: other users follow in the next second
            logger.warning("some of who was active and what was searched is written later: %r", error)


async def _write(rows: list[Row], write: Callable[[list[Row]], Awaitable[Any]]) -> None:
    """Writes rows of many users in one statement. Raises Unavailable.

    If the database refuses the data, writes each half by itself, and so on, until only the refused rows are dropped.
    """
    try:
        await write(rows)
    except Exception as error:
        if not is_of_data(error):
            raise
        if len(rows) == 1:
            logger.warning("activity that the database refuses is not written: %r", error)
            return
        half = len(rows) // 2
        await _write(rows[:half], write)
        await _write(rows[half:], write)
