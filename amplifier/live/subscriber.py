"""Who follows: a cursor and a flag for each open stream, never a queue of what happened."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from amplifier.live.frames import Frame, frame

logger = logging.getLogger(__name__)

Write: TypeAlias = Callable[[list[Frame]], Awaitable[None]]

_KEEPALIVE = 14.0  # seconds of silence, and up to one more until the next look
_MOST_HINTS = 500  # sessions; whoever waits for more is told to look at all of them
_RETRY = 1.0  # seconds until what could not be read is tried again


class Subscriber:
    """One open stream. `session_id` is none for the hints about all sessions of a user.

    `batch` is what was read for it and others together and is not sent yet, `cursor` the number up to which it is sent
    or in that batch. One that is `behind` has to read for itself, from its cursor.
    """

    most_notes = 20  # that wait for a client which does not read; more are dropped, they are never replayed anyway
    most_note_bytes = 1024 * 1024  # of them, unless it is one alone

    def __init__(self, user_id: str, app_id: str, expires_at: float, session_id: str | None, cursor: int = 0) -> None:
        self.stream_id = uuid.uuid4().hex
        self.user_id, self.app_id, self.expires_at = user_id, app_id, expires_at
        self.session_id, self.cursor = session_id, cursor
        self.may_send = False
        self.batch: list[Frame] | None = None
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

    def offer(self, frames: list[Frame], after: int, cursor: int) -> None:
        """Takes the events read after `after`, up to `cursor`. One that is elsewhere, or whose client has not read
        what it was sent, reads for itself later: nothing is kept for it."""
        if self.batch is None and not (self.reading or self.writing) and self.cursor == after:
            self.batch, self.cursor = frames, cursor
        else:
            self.behind = True
        self._flag.set()

    def fall_behind(self) -> None:
        """There may be something to read."""
        self.behind = True
        self._flag.set()

    def note(self, note: Frame) -> None:
        """Something that is passed on once."""
        size = self._note_bytes + len(note.data)
        if not self._notes or (len(self._notes) < self.most_notes and size <= self.most_note_bytes):
            self._notes.append(note)
            self._note_bytes = size
            self._flag.set()

    def hint(self, session_id: str, hint: Frame) -> None:
        """Something changed in one of the user's sessions; the newest hint about a session replaces those before."""
        if len(self._hints) >= _MOST_HINTS and session_id not in self._hints:
            self._hints = {"": frame("resync")}
        if "" not in self._hints:
            self._hints[session_id] = hint
        self._flag.set()

    def show(self, presence: Frame | None) -> None:
        """Who is there now."""
        self.presence = presence
        self._flag.set()

    def look(self) -> None:
        """Once a second: time for a sign of life?"""
        if time.monotonic() - self._quiet_since >= _KEEPALIVE:
            self._keepalive = True
            self._flag.set()

    def end(self, ending: Frame | None = None, reconnect: bool = False) -> None:
        """Ends the stream with this event; what was not sent before is not sent any more."""
        if not self.ended:
            self.ended, self.ending, self.reconnect = True, ending, reconnect
            self._flag.set()

    async def follow(self, catch_up: "Callable[[Subscriber], Awaitable[None]]", write: Write) -> None:
        """Writes what comes until the stream ends, nothing as a sign of life, and then the ending if there is one."""
        while not self.ended:
            await self._flag.wait()
            self._flag.clear()
            if self.behind and self.batch is None and not self.ended:
                await self._read(catch_up)
            frames = self._take()
            if not self.ended and (frames or self._keepalive):
                self._keepalive, self.writing = False, True
                await write(frames)
                self.writing = False
                self._quiet_since = time.monotonic()
        if self.ending is not None:
            await write([self.ending])

    async def _read(self, catch_up: "Callable[[Subscriber], Awaitable[None]]") -> None:
        self.behind, self.reading = False, True
        try:
            await catch_up(self)
        except Exception as error:  # whatever it was: the stream goes on where it is
            logger.warning("a follower waits: %r", error)
            self.behind = True
            await asyncio.sleep(_RETRY)
        finally:
            self.reading = False

    def _take(self) -> list[Frame]:
        """Everything that waits, in order; the flag stays up while there is more to read."""
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
