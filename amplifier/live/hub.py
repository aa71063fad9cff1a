"""Delivers the events of sessions to the streams of this process. The database is the only log of events.

Code that commits an event calls `Hub.announce`. The pump then reads each changed session once for all its followers in
this process, with a statement that also returns which of them still take part. Every second a sweep compares the last
numbers of those sessions with the database. It finds events without an announcement (a lost notification, a killed
process, a manual insert) and participants that were removed.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from msgspec import Raw

from amplifier.errors import too_many_streams
from amplifier.live.credential_checks import CredentialChecks
from amplifier.live.frames import Frame
from amplifier.live.notifications import Gone, Notice, Notifier, Said, read
from amplifier.live.presence import Presence
from amplifier.live.run_notices import RunNotices
from amplifier.live.session_hints import Hints
from amplifier.live.subscriber import Subscriber
from amplifier.live.topics import Topics
from amplifier.queries.registry import Queries
from amplifier.telemetry import trace_context, tracing

logger = logging.getLogger(__name__)

_SWEEP = 1.0  # seconds between two sweeps
_LONG_SWEEP = 4  # every fourth sweep also checks applications and presence
_REST = 4.0  # the pump pauses this many times as long as it worked: it takes at most a fifth of the time
_LONGEST_REST = 0.25  # seconds


class Figures(NamedTuple):
    """The streams of this process at a moment, the users who have any, and the sessions that are followed."""

    session_streams: int
    hint_streams: int
    users: int
    sessions: int


class Hub:
    """All open streams of this process, and the tasks that read and send for them."""

    def __init__(self, queries: Queries, notify_delay: float) -> None:
        self._notifier = Notifier(queries, notify_delay)
        self._topics = Topics(queries)
        self._streams: set[Subscriber] = set()
        self._open: Counter[str] = Counter()
        self._hints = Hints(queries)
        self._presence = Presence(queries, self._notifier, self._topics)
        self._credentials = CredentialChecks(queries, self._streams)
        self._changed: set[str] = set()
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.runs = RunNotices()
        self._woken, self._sweep_now = asyncio.Event(), asyncio.Event()
        self.catch_up = self._topics.catch_up

    @property
    def process_id(self) -> str:
        """The id of this process in notices and in the table of streams."""
        return self._notifier.process

    @property
    def figures(self) -> Figures:
        """Returns what is followed now."""
        of_sessions = sum(one.session_id is not None for one in self._streams)
        return Figures(of_sessions, len(self._streams) - of_sessions, len(self._open), len(self._topics))

    def hear(self, payload: str) -> None:
        """Handles a notification: an application changed, or another process sent a notice."""
        if payload.startswith("application "):
            self._credentials.restart(payload.removeprefix("application "))
        elif (notice := read(payload)) is not None and notice.process != self._notifier.process:
            self._take(notice)

    def set_hearing(self, hearing: bool) -> None:
        """Starts a sweep when the listening connection is restored: notifications may have been lost."""
        if hearing:
            self._sweep_now.set()

    def announce(self, session_id: str) -> None:
        """Wakes the followers of a session in all processes. Call it after each commit of an event."""
        self._wake(session_id)
        self._notifier.changed(session_id)
        if (origin := tracing.recorded()) is not None:
            self._topics.trace(session_id, origin)
            self._notifier.origins.add(session_id, origin)

    def announce_gone(
        self, session_id: str, type: Literal["participant.removed", "session.deleted"], user_ids: Iterable[str]
    ) -> None:
        """Sends a hint to users who lost a session, in all processes."""
        gone = Gone(session_id, type, list(user_ids))
        self._hints.gone(gone)
        self._notifier.gone(gone)

    def say(self, session_id: str, type: str, data: bytes) -> None:
        """Sends an event that is never replayed to the present followers of a session, in all processes."""
        self.show(session_id, type, data, elsewhere=True)

    def show(self, session_id: str, type: str, data: bytes, elsewhere: bool) -> None:
        """Sends an event as `say` does; to other processes only if `elsewhere` is true."""
        said = Said(session_id, type, Raw(data))
        self._note(said)
        if elsewhere:
            self._notifier.said(said)

    @contextlib.contextmanager
    def watched(self, session_id: str) -> Iterator[asyncio.Event]:
        """Yields a flag that is set whenever an event may have been committed in the session, in any process.

        Notifications can get lost, so that a caller must also poll.
        """
        flag = asyncio.Event()
        self._watchers[session_id].add(flag)
        try:
            yield flag
        finally:
            self._watchers[session_id].discard(flag)
            if not self._watchers[session_id]:
                del self._watchers[session_id]

    @contextlib.contextmanager
    def admitted(self, user_id: str, most: int) -> Iterator[int]:
        """Counts a stream of the user for as long as the context lasts; yields how many more the user may open.

        Raises Problem 429 if the user has `most` streams already.
        """
        if self._open[user_id] >= most:
            raise too_many_streams(most)
        self._open[user_id] += 1
        try:
            yield most - self._open[user_id]
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]

    @contextlib.contextmanager
    def subscribed(self, subscriber: Subscriber) -> Iterator[None]:
        """Delivers events to the subscriber for as long as the context lasts."""
        session_id = subscriber.session_id
        self._streams.add(subscriber)
        if session_id is None:
            self._hints.open(subscriber)
        else:
            self._topics.open(session_id, subscriber)
            self._presence.changed(session_id)
        try:
            yield
        finally:
            self._streams.discard(subscriber)
            self._presence.closed(subscriber)
            if session_id is None:
                self._hints.close(subscriber)
            else:
                self._topics.close(session_id, subscriber)

    async def keep_going(self) -> None:
        """Runs all background tasks of the hub. Never returns."""
        await asyncio.gather(
            self._keep_pumping(),
            self._keep_sweeping(),
            self._credentials.keep_checking_tokens(),
            self._notifier.keep_sending(),
            self._presence.keep_showing(),
        )

    async def finish(self) -> None:
        """Sends what is pending to the other processes, after all streams have ended. Raises Unavailable."""
        await self._presence.flush()
        await self._notifier.flush()

    async def _keep_pumping(self) -> None:
        rested = 0.0  # the time at which the pause ends, on the monotonic clock
        while True:
            await self._woken.wait()
            await asyncio.sleep(rested - time.monotonic())
            self._woken.clear()
            started = time.monotonic()
            changed, self._changed = self._changed, set()
            try:
                for error in await self._topics.read(changed):
                    logger.warning("events of a session were not read, trying again: %r", error)
                await self._hints.send(changed)
                rested = time.monotonic() + min(_REST * (time.monotonic() - started), _LONGEST_REST)
            except Exception as error:  # of any kind: the next round tries again
                logger.warning("events were not read, trying again: %r", error)
                self._changed |= changed
                self._woken.set()
                rested = time.monotonic() + _SWEEP

    async def _keep_sweeping(self) -> None:
        count = 0
        while True:
            try:
                async with asyncio.timeout(_SWEEP):
                    await self._sweep_now.wait()
                count = 0  # checks everything
            except TimeoutError:
                count += 1
            self._sweep_now.clear()
            started = time.monotonic()
            try:
                for session_id in await self._topics.sweep():
                    self._wake(session_id)
                await self._hints.sweep(everybody=count == 0)
                if count % _LONG_SWEEP == 0:
                    await self._credentials.check_applications()
                    await self._presence.keep(self._streams)
            except Exception as error:  # of any kind: the next sweep tries again
                logger.warning("the clocks of followed sessions were not compared, trying again: %r", error)
            await asyncio.sleep(min(_REST * (time.monotonic() - started), _LONGEST_REST))

    def _take(self, notice: Notice) -> None:
        """Handles a notice of another process."""
        self._notifier.heard(notice.process)
        self.runs.take(notice)
        if notice.everything:
            self._sweep_now.set()
            for session_id in self._watchers:
                self._wake(session_id)
        for session_id in notice.changed:
            self._wake(session_id)
            if session_id in notice.traces:
                self._topics.trace(session_id, trace_context.parse(notice.traces[session_id].encode()))
        self._presence.schedule(notice.present)
        for gone in notice.gone:
            self._hints.gone(gone)
        for said in notice.said:
            self._note(said)

    def _wake(self, session_id: str) -> None:
        for flag in self._watchers.get(session_id, ()):
            flag.set()
        if session_id in self._topics or self._hints.followers:
            self._changed.add(session_id)
            self._woken.set()

    def _note(self, said: Said) -> None:
        if topic := self._topics.get(said.session_id):
            topic.note(Frame(said.type, bytes(said.data)))
