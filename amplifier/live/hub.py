"""Live sessions: wakes those who follow, and reads for them from the one log, which is the database.

Whoever commits says `announce`; the pump then reads each changed session once for all its followers in this process,
in a statement that also says who of them still takes part. Every second a sweep compares the clocks of those sessions:
it finds what no announcement told of (a lost notification, a killed process, an insert by hand) and who was removed.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Raw

from amplifier.errors import too_many_streams
from amplifier.live.frames import Frame, frame
from amplifier.live.notifications import Gone, Notice, Notifier, Said, read
from amplifier.live.presence import Presence
from amplifier.live.session_hints import Hints
from amplifier.live.subscriber import Subscriber
from amplifier.live.topics import Topics
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

_SWEEP = 1.0  # seconds between two looks at the clocks
_LONG_SWEEP = 4  # every how many of them presence is looked after, too
_REST = 4.0  # times as long as the pump worked, it rests: followers cost others at most a fifth of the time
_LONGEST_REST = 0.25  # seconds


class Hub:
    """All streams of this process, and what wakes them."""

    def __init__(self, queries: Queries, notify_delay: float) -> None:
        self._queries = queries
        self._notifier = Notifier(queries, notify_delay)
        self._topics = Topics(queries)
        self._streams: set[Subscriber] = set()
        self._open: Counter[str] = Counter()
        self._hints = Hints(queries)
        self._presence = Presence(queries, self._notifier, self._topics)
        self._versions: dict[str, object] = {}  # of the applications through which streams were opened
        self._changed: set[str] = set()
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.noticed = asyncio.Event()  # set when another process told of something
        self._woken, self._sweep_now = asyncio.Event(), asyncio.Event()
        self.catch_up = self._topics.catch_up

    @property
    def process_id(self) -> str:
        """How this process is called among others."""
        return self._notifier.process

    def hear(self, payload: str) -> None:
        """A notification of the database: another process tells of changes, or an application changed."""
        if payload.startswith("application "):
            self._restart(payload.removeprefix("application "))
        elif (notice := read(payload)) is not None and notice.process != self._notifier.process:
            self._take(notice)

    def set_hearing(self, hearing: bool) -> None:
        """While nothing was heard something may have happened."""
        if hearing:
            self._sweep_now.set()

    def announce(self, session_id: str) -> None:
        """Something was committed in a session: followers here and elsewhere are woken."""
        self._wake(session_id)
        self._notifier.changed(session_id)

    def announce_gone(
        self, session_id: str, type: Literal["participant.removed", "session.deleted"], user_ids: Iterable[str]
    ) -> None:
        """People lost a session."""
        gone = Gone(session_id, type, list(user_ids))
        self._hints.gone(gone)
        self._notifier.gone(gone)

    def say(self, session_id: str, type: str, data: bytes) -> None:
        """Passes something on, once, to whoever follows the session at this moment."""
        self.show(session_id, type, data, elsewhere=True)

    def show(self, session_id: str, type: str, data: bytes, elsewhere: bool) -> None:
        """As `say`; to other processes only where somebody follows the session there."""
        said = Said(session_id, type, Raw(data))
        self._note(said)
        if elsewhere:
            self._notifier.said(said)

    @contextlib.contextmanager
    def watched(self, session_id: str) -> Iterator[asyncio.Event]:
        """A flag that is set whenever something may have been committed in the session, here or elsewhere; whoever
        waits for it looks from time to time all the same, because a notification can get lost."""
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
        """Counts a user's stream from before it is opened until it ended, and says how many others there may be.

        Raises Problem 429 for one too many.
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
        """The subscriber is woken for as long as the context lasts."""
        session_id = subscriber.session_id
        self._streams.add(subscriber)
        if session_id is None:
            self._hints.open(subscriber)
        else:
            self._topics.open(session_id, subscriber)
            self._presence.came(session_id)
        try:
            yield
        finally:
            self._streams.discard(subscriber)
            self._presence.left(subscriber)
            if session_id is None:
                self._hints.close(subscriber)
            else:
                self._topics.close(session_id, subscriber)

    async def keep_going(self) -> None:
        """Everything that goes on beside the streams, for ever."""
        await asyncio.gather(
            self._keep_pumping(),
            self._keep_sweeping(),
            self._keep_looking(),
            self._notifier.keep_sending(),
            self._presence.keep_showing(),
        )

    async def finish(self) -> None:
        """Tells the others what they were not told yet; the streams have ended. Raises Unavailable."""
        await self._presence.flush()
        await self._notifier.flush()

    async def _keep_pumping(self) -> None:
        rested = 0.0  # when there will have been rest enough
        while True:
            await self._woken.wait()
            await asyncio.sleep(rested - time.monotonic())
            self._woken.clear()
            started = time.monotonic()
            changed, self._changed = self._changed, set()
            try:
                for error in await self._topics.read(changed):
                    logger.warning("followers of a session wait: %r", error)
                await self._hints.give(changed)
                rested = time.monotonic() + min(_REST * (time.monotonic() - started), _LONGEST_REST)
            except Exception as error:  # whatever it was: the next round tries again
                logger.warning("followers wait: %r", error)
                self._changed |= changed
                self._woken.set()
                rested = time.monotonic() + _SWEEP

    async def _keep_sweeping(self) -> None:
        count = 0
        while True:
            try:
                async with asyncio.timeout(_SWEEP):
                    await self._sweep_now.wait()
                count = 0  # look after everything
            except TimeoutError:
                count += 1
            self._sweep_now.clear()
            started = time.monotonic()
            try:
                for session_id in await self._topics.sweep():
                    self._wake(session_id)
                await self._hints.sweep(everybody=count == 0)
                if count % _LONG_SWEEP == 0:
                    await self._check_applications()
                    await self._presence.keep(self._streams)
            except Exception as error:  # whatever it was: the next sweep tries again
                logger.warning("followers were not looked after: %r", error)
            await asyncio.sleep(min(_REST * (time.monotonic() - started), _LONGEST_REST))

    async def _check_applications(self) -> None:
        """Ends streams whose application changed while nobody heard of it. Raises Unavailable."""
        app_ids = list({subscriber.app_id for subscriber in self._streams})
        rows = await self._queries.applications.list_versions(app_ids=app_ids) if app_ids else []
        versions = dict.fromkeys(app_ids) | {row["app_id"]: row["updated_at"] for row in rows}
        for app_id, version in versions.items():
            if self._versions.get(app_id, version) != version:
                self._restart(app_id)
        self._versions = versions

    def _restart(self, app_id: str) -> None:
        """Ends the streams of an application: whoever comes back has to show valid credentials."""
        self._versions.pop(app_id, None)
        for subscriber in self._streams:
            if subscriber.app_id == app_id:
                subscriber.end(reconnect=True)

    async def _keep_looking(self) -> None:
        """Ends streams whose token has expired, and has quiet ones give a sign of life."""
        while True:
            await asyncio.sleep(_SWEEP)
            now = time.time()
            for subscriber in self._streams:
                if subscriber.expires_at <= now:
                    subscriber.end(frame("token.expired"))
                else:
                    subscriber.look()

    def _take(self, notice: Notice) -> None:
        """What another process tells."""
        self.noticed.set()
        if notice.everything:
            self._sweep_now.set()
            for session_id in self._watchers:
                self._wake(session_id)
        for session_id in notice.changed:
            self._wake(session_id)
        self._presence.look_at(notice.present)
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
