"""Limits of WebSockets per user: messages, typing notes that are passed on, and read markers that are written."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Write: TypeAlias = Callable[[], Awaitable[None]]

MOST_MESSAGES = 500  # a second of all sockets of a user
_WRITE_PAUSE = 0.25  # seconds between two read markers of a user that are written
_TYPING_PAUSE = 1.0  # seconds between two typing notes of a user that are passed on
_REMEMBER_AT_MOST = 10_000  # pairs of user and session


class Saying:
    """Counts recent messages of the sockets of this process by user, and writes read markers."""

    def __init__(self) -> None:
        self._second = 0
        self._messages: Counter[str] = Counter()
        self._typed: dict[tuple[str, str], float] = {}
        self._markers: dict[str, dict[str, Write]] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def pace(self, user_id: str) -> None:
        """Counts a message. Waits until the next second if there are too many, which makes the client wait, too."""
        now = time.monotonic()
        if int(now) != self._second:
            self._second = int(now)
            self._messages.clear()
        self._messages[user_id] += 1
        if self._messages[user_id] > MOST_MESSAGES:
            await asyncio.sleep(self._second + 1 - now)

    def may_type(self, user_id: str, session_id: str) -> bool:
        """Returns whether to pass a typing note on: once a second for a user in a session, over all sockets."""
        now = time.monotonic()
        if now - self._typed.get((user_id, session_id), -_TYPING_PAUSE) < _TYPING_PAUSE:
            return False
        if len(self._typed) >= _REMEMBER_AT_MOST:
            self._typed.clear()
        self._typed[user_id, session_id] = now
        return True

    def mark(self, user_id: str, stream_id: str, write: Write) -> None:
        """Writes a read marker, now or after the user's earlier ones. Of several waiting for a stream, writes the last.

        `write` handles its errors.
        """
        waiting = self._markers.get(user_id)
        if waiting is not None:
            waiting[stream_id] = write
            return
        self._markers[user_id] = {stream_id: write}
        task = asyncio.create_task(self._keep_writing(user_id))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def finish(self) -> None:
        """Writes the waiting markers."""
        for waiting in list(self._markers.values()):
            while waiting:
                await waiting.pop(next(iter(waiting)))()

    async def _keep_writing(self, user_id: str) -> None:
        waiting = self._markers[user_id]
        try:
            while waiting:
                await waiting.pop(next(iter(waiting)))()
                await asyncio.sleep(_WRITE_PAUSE)
        finally:
            del self._markers[user_id]
