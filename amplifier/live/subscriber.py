"""The state of one open stream: a cursor and a flag, never a queue of events. `topics.py` reads the events.

Writing to the client is left to the caller of `Subscriber.follow`.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias

from amplifier.live.frames import Frame, frame
from amplifier.telemetry import recorder

logger = logging.getLogger(__name__)

Write: TypeAlias = Callable[[list[Frame]], Awaitable[None]]

_KEEPALIVE = 14.0  # seconds of silence; the check, once a second, adds up to one
_MOST_HINTS = 500  # sessions; hints about more are replaced by one `resync`
_RETRY = 1.0  # seconds after a failed read


class Subscriber:
    """One open stream of a user. `session_id` is None for a stream of hints about all sessions of the user.

    `batch` has events that were read and are not sent yet. `cursor` is the number of the last event that was sent or is
    in the batch. A subscriber that is `behind` must read by itself, from its cursor.
    """

    most_notes = 20  # that wait for a slow client; more are dropped, since notes are never replayed
    most_note_bytes = 1024 * 1024  # of notes that wait, unless it is a single note

    def __init__(self, user_id: str, app_id: str, expires_at: float, session_id: str | None, cursor: int = 0) -> None:
        self.stream_id = uuid.uuid4().hex
        self.user_id, self.app_id, self.expires_at = user_id, app_id, expires_at
        self.session_id, self.cursor = session_id, cursor
        self.may_send = False
        self.batch: list[Frame] | None = None
        self._committed_at: datetime | None = None  # of the batch, if it is of new events and not of earlier ones
        self.behind, self.reading, self.writing = session_id is not None, False, False
        self.ending: Frame | None = None
        self.ended = self.reconnect = False
        self.presence: Frame | None = None
        self._sent_presence: Frame | None = None
        self._notes: list[Frame] = []
        self._note_bytes = 0
        self._hints: dict[str, Frame] = {}
        self._quiet_since = time.monotonic()
        self._keepalive = False
        self._flag = asyncio.Event()
        self._flag.set()

    def offer(self, frames: list[Frame], after: int, cursor: int, committed_at: datetime) -> None:
        """Takes the events after number `after`, up to `cursor`, of which the oldest was committed at `committed_at`.

        Drops them if the subscriber is at another number, or its client has not taken the previous ones: the subscriber
        reads them by itself later, so that no events are kept in memory for slow clients.
        """
        if self.batch is None and not (self.reading or self.writing) and self.cursor == after:
            self.batch, self.cursor, self._committed_at = frames, cursor, committed_at
        else:
            self.behind = True
        self._flag.set()

    def fall_behind(self) -> None:
        """Makes the subscriber read by itself: there may be new events."""
        self.behind = True
        self._flag.set()

    def note(self, note: Frame) -> None:
        """Adds an event that is never replayed; drops it if too many wait for the client."""
        size = self._note_bytes + len(note.data)
        if not self._notes or (len(self._notes) < self.most_notes and size <= self.most_note_bytes):
            self._notes.append(note)
            self._note_bytes = size
            self._flag.set()

    def hint(self, session_id: str, hint: Frame) -> None:
        """Adds a hint about a session; it replaces a hint about the same session that was not sent yet."""
        if len(self._hints) >= _MOST_HINTS and session_id not in self._hints:
            self._hints = {"": frame("resync")}
        if "" not in self._hints:
            self._hints[session_id] = hint
        self._flag.set()

    def show(self, presence: Frame | None) -> None:
        """Sets the presence event to send; a newer one replaces it. None clears it."""
        self.presence = presence
        self._flag.set()

    def check_keepalive(self) -> None:
        """Requests a keep-alive if the stream has been quiet for long enough. Called once a second."""
        if time.monotonic() - self._quiet_since >= _KEEPALIVE:
            self._keepalive = True
            self._flag.set()

    def end(self, ending: Frame | None = None, reconnect: bool = False) -> None:
        """Ends the stream with the event `ending`, if any. Events that were not sent yet are dropped."""
        if not self.ended:
            self.ended, self.ending, self.reconnect = True, ending, reconnect
            self._flag.set()

    async def follow(self, catch_up: "Callable[[Subscriber], Awaitable[None]]", write: Write) -> None:
        """Writes frames as they arrive until the stream ends, then the ending if there is one.

        Calls `write` with an empty list as a keep-alive, and `catch_up` to read a page for a subscriber that is behind.
        Raises what `write` raises; logs an error of `catch_up` and tries again.
        """
        while not self.ended:
            await self._flag.wait()
            self._flag.clear()
            if self.behind and self.batch is None and not self.ended:
                await self._read(catch_up)
            frames, committed_at = self._take(), self._committed_at
            self._committed_at = None
            if not self.ended and (frames or self._keepalive):
                self._keepalive, self.writing = False, True
                await write(frames)
                self.writing = False
                if committed_at is not None:
                    recorder.current.delivered(committed_at)
                self._quiet_since = time.monotonic()
        if self.ending is not None:
            await write([self.ending])

    async def _read(self, catch_up: "Callable[[Subscriber], Awaitable[None]]") -> None:
        self.behind, self.reading = False, True
        try:
            await catch_up(self)
        except Exception as error:  # of any kind: the stream stays at its cursor
            logger.warning("events of a stream were not read, trying again: %r", error)
            self.behind = True
            await asyncio.sleep(_RETRY)
        finally:
            self.reading = False

    def _take(self) -> list[Frame]:
        """Takes all frames that wait, in order. Leaves the flag set while there is more to read."""
        frames = [*self._notes, *self._hints.values()]
        if self.presence is not self._sent_presence and self.presence is not None:
            self._sent_presence = self.presence
            frames.append(self.presence)
        if self.batch is not None:
            frames += self.batch
        self._notes, self._note_bytes, self._hints, self.batch = [], 0, {}, None
        if self.behind:
            self._flag.set()
        return frames
