"""Activity of users, keys and participants, and counts of searches: collected in memory, written once a minute.

Requests that read write nothing for it.
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

_FLUSH_INTERVAL = 1.0  # seconds between two flushes
_WRITE_INTERVAL = 60.0  # seconds between two writes for the same user, or the same user in the same session
_MOST_REMEMBERED = 10_000  # users, and as many participants
_BATCH_SIZE = 1000  # rows in one statement

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


class _Noted(Generic[Key]):
    """Activity that is to be written, and when each key may be noted again."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self.pending: dict[Key, str] = {}

    def note(self, key: Key, value: str) -> None:
        now = time.monotonic()
        if self._due.get(key, 0) <= now:
            if len(self._due) >= _MOST_REMEMBERED:
                self._due.clear()
            self._due[key] = now + _WRITE_INTERVAL
            self.pending[key] = value

    @contextlib.contextmanager
    def taken(self) -> Iterator[dict[Key, str]]:
        """Yields a batch of pending activity to be written; it is pending again if the context raises."""
        taken = dict(list(self.pending.items())[:_BATCH_SIZE])
        for key in taken:
            del self.pending[key]
        try:
            yield taken
        except BaseException:  # also a shutdown in the middle, after which comes a last call
            self.pending = taken | self.pending
            raise

    def forget(self, key: Key) -> None:
        """Allows the key to be noted again at once."""
        self._due.pop(key, None)


class SearchKey(NamedTuple):
    """The key of a row of `searches`: user, application, day (UTC), and the kind of search."""

    user_id: str
    app_id: str
    day: date
    kind: str


class SearchCount(msgspec.Struct):
    """A row of `searches`. `unsuccessful` ones found nothing; `seconds` is the sum over all."""

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
    """Counts of searches since the last write. The searched words are not kept."""

    def __init__(self) -> None:
        self.pending: dict[SearchKey, SearchCount] = {}
        self._due = 0.0

    def note(self, key: SearchKey, seconds: float, found: int | None) -> None:
        if key in self.pending or len(self.pending) < _MOST_REMEMBERED:
            self.pending.setdefault(key, SearchCount(*key)).add(1, found == 0, found is None, seconds)

    def are_due(self) -> bool:
        """Returns True at most once a minute: then searches are written."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + _WRITE_INTERVAL
        return True

    @contextlib.contextmanager
    def taken(self) -> Iterator[list[SearchCount]]:
        """Yields a batch of pending counts to be written; they are pending again if the context raises.

        They count twice if the connection breaks after the commit, before its answer arrives.
        """
        taken = [self.pending.pop(key) for key in list(self.pending)[:_BATCH_SIZE]]
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
        """Notes that a user was seen, through this application."""
        self._users.note(user_id, app_id)

    def note_key(self, key_id: str) -> None:
        """Notes that a key was used."""
        self._keys.note(key_id, "")

    def note_participant(self, session_id: str, user_id: str) -> None:
        """Notes that a user read or changed a session. Nothing is written unless the user is a participant."""
        self._participants.note((session_id, user_id), "")

    def note_search(self, key: SearchKey, seconds: float, found: int | None) -> None:
        """Counts a search that took `seconds`, with the number of rows found, or None if it was cancelled."""
        self._searches.note(key, seconds, found)

    async def flush(self, searches: bool = True) -> None:
        """Writes what was noted so far, without the counts of searches if `searches` is false. Raises Unavailable."""
        async with self._writing:  # what another call has taken is written, too, when this one returns
            if searches:
                # first: a lost count is not noted again, and nothing locks their rows for long
                await self._write_searches()
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
        """Calls `flush` every second until cancelled, and then lets a write finish.

        Interrupted after its commit, the same write would be made again.
        """
        while True:
            await asyncio.sleep(_FLUSH_INTERVAL)
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
            logger.warning("activity was not written, trying again: %r", error)


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
            logger.warning("activity was refused by the database and dropped: %r", error)
            return
        half = len(rows) // 2
        await _write(rows[:half], write)
        await _write(rows[half:], write)
