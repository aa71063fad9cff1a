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
from typing import Any

from msgspec import Raw

from amplifier.frames import Frame, frame, logged
from amplifier.hints import Hints
from amplifier.notices import Gone, Notice, Notifier, Said, read
from amplifier.presence import Presence
from amplifier.problems import too_many_streams
from amplifier.queries import Queries
from amplifier.subscribers import Subscriber
from amplifier.topics import Topic

logger = logging.getLogger(__name__)

PAGE, PAGE_BYTES = 500, 64 * 1024  # events and bytes of message text in one read; a message that is larger comes alone
_AT_ONCE = 2  # connections that reading for followers may hold
_SWEEP = 1.0  # seconds between two looks at the clocks
_LONG_SWEEP = 4  # every how many of them presence is looked after, too
_REST = 4.0  # times as long as the pump worked, it rests: followers cost others at most a fifth of the time
_LONGEST_REST = 0.25  # seconds
_CHUNK = 1000  # pairs of session and user in one statement


class Hub:
    """All streams of this process, and what wakes them."""

    def __init__(self, queries: Queries, notify_delay: float) -> None:
        self._queries = queries
        self._notifier = Notifier(queries, notify_delay)
        self._topics: dict[str, Topic] = {}
        self._streams: set[Subscriber] = set()
        self._open: Counter[str] = Counter()
        self._hints = Hints(queries)
        self._presence = Presence(queries, self._notifier, self._topics)
        self._changed: set[str] = set()
        self._woken, self._sweep_now = asyncio.Event(), asyncio.Event()
        self._reads = asyncio.Semaphore(_AT_ONCE)

    @property
    def process_id(self) -> str:
        """How this process is called among others."""
        return self._notifier.process

    def hear(self, payload: str) -> None:
        """A notification of the database: another process tells of changes, or an application changed."""
        if payload.startswith("application "):
            app_id = payload.removeprefix("application ")
            for subscriber in self._streams:
                if subscriber.app_id == app_id:  # whoever comes back has to show valid credentials
                    subscriber.end(reconnect=True)
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

    def announce_gone(self, session_id: str, type: str, user_ids: Iterable[str]) -> None:
        """People lost a session: `participant.removed` or `session.deleted`."""
        gone = Gone(session_id, type, list(user_ids))
        self._hints.gone(gone)
        self._notifier.gone(gone)

    def say(self, session_id: str, type: str, data: bytes) -> None:
        """Passes something on, once, to whoever follows the session at this moment."""
        said = Said(session_id, type, Raw(data))
        self._note(said)
        self._notifier.said(said)

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
            topic = self._topics.setdefault(session_id, Topic(session_id, subscriber.cursor))
            topic.subscribers.add(subscriber)
            subscriber.show(topic.presence)
            self._presence.came(session_id)
        try:
            yield
        finally:
            self._streams.discard(subscriber)
            self._presence.left(subscriber)
            if session_id is None:
                self._hints.close(subscriber)
            else:
                topic.subscribers.discard(subscriber)
                if not topic.subscribers:
                    del self._topics[session_id]

    async def catch_up(self, subscriber: Subscriber) -> None:
        """Reads a page for one subscriber, from its cursor. Raises Unavailable."""
        assert subscriber.session_id is not None  # noqa: S101
        rows = await self._read(subscriber.session_id, [subscriber.user_id], subscriber.cursor)
        if not rows:
            await self._lose(subscriber.session_id, [subscriber])
        elif rows[0]["seq"] is not None:
            subscriber.batch, subscriber.cursor = [logged(row) for row in rows], rows[-1]["seq"]
            subscriber.behind |= subscriber.cursor < rows[-1]["last_seq"]

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
        rest = 0.0
        while True:
            await self._woken.wait()
            await asyncio.sleep(rest)
            self._woken.clear()
            started = time.monotonic()
            changed, self._changed = self._changed, set()
            try:
                await self._pump([self._topics[one] for one in changed if one in self._topics])
                await self._hints.give(changed)
                rest = min(_REST * (time.monotonic() - started), _LONGEST_REST)
            except Exception as error:  # whatever it was: the next round tries again
                logger.warning("followers wait: %r", error)
                self._changed |= changed
                self._woken.set()
                rest = _SWEEP

    async def _pump(self, topics: list[Topic]) -> None:
        """Reads what changed in these sessions for all that follow them."""
        for outcome in await asyncio.gather(*map(self._advance, topics), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _advance(self, topic: Topic) -> None:
        more = True
        while more:
            subscribers = list(topic.subscribers)
            rows = await self._read(topic.session_id, list({one.user_id for one in subscribers}), topic.cursor)
            permitted = set(rows[0]["user_ids"]) if rows else set()
            await self._lose(topic.session_id, [one for one in subscribers if one.user_id not in permitted])
            more = bool(rows) and rows[0]["seq"] is not None
            if more:
                topic.offer([logged(row) for row in rows], rows[-1]["seq"], permitted)
                more = topic.cursor < rows[-1]["last_seq"]

    async def _read(self, session_id: str, user_ids: list[str], after: int) -> list[Any]:
        async with self._reads:
            rows: list[Any] = await self._queries.events.list(
                actor_ids=user_ids, session_id=session_id, after=after, limit=PAGE, max_bytes=PAGE_BYTES
            )
        return rows

    async def _lose(self, session_id: str, subscribers: list[Subscriber]) -> None:
        """Ends the streams of those who take no part in a session any more."""
        if subscribers:
            exists = await self._queries.events.list_existing(session_ids=[session_id])
            ending = frame("access.revoked" if exists else "session.deleted", session_id=session_id)
            for subscriber in subscribers:
                subscriber.end(ending)

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
                await self._sweep()
                await self._hints.sweep(everybody=count == 0)
                if count % _LONG_SWEEP == 0:
                    await self._presence.keep(self._streams)
            except Exception as error:  # whatever it was: the next sweep tries again
                logger.warning("followers were not looked after: %r", error)
            await asyncio.sleep(min(_REST * (time.monotonic() - started), _LONGEST_REST))

    async def _sweep(self) -> None:
        """Compares the clocks of all that is followed, and looks who still takes part."""
        watched = defaultdict(list)
        for subscriber in self._streams:
            if subscriber.session_id is not None:
                watched[subscriber.session_id, subscriber.user_id].append(subscriber)
        for start in range(0, len(watched), _CHUNK):
            pairs = list(watched)[start : start + _CHUNK]
            session_ids, user_ids = zip(*pairs, strict=True)
            rows = await self._queries.events.list_clocks(actor_ids=user_ids, session_ids=session_ids)
            clocks = {(row["session_id"], row["user_id"]): row for row in rows}
            for pair in pairs:
                if (row := clocks.get(pair)) is None:
                    await self._lose(pair[0], watched[pair])
                    continue
                for subscriber in watched[pair]:
                    subscriber.may_send = row["may_send"]
                topic = self._topics.get(pair[0])
                if topic is not None and topic.cursor < row["last_seq"]:
                    self._wake(pair[0])

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
        if notice.everything:
            self._sweep_now.set()
        for session_id in notice.changed:
            self._wake(session_id)
        self._presence.look_at(notice.present)
        for gone in notice.gone:
            self._hints.gone(gone)
        for said in notice.said:
            self._note(said)

    def _wake(self, session_id: str) -> None:
        if session_id in self._topics or self._hints.followers:
            self._changed.add(session_id)
            self._woken.set()

    def _note(self, said: Said) -> None:
        if topic := self._topics.get(said.session_id):
            note = Frame(said.type, bytes(said.data))
            for subscriber in topic.subscribers:
                subscriber.note(note)
