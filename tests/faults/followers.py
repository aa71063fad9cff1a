"""Followers of sessions, who come back with Last-Event-ID whenever their stream ends."""

import asyncio
from collections.abc import Callable

import msgspec

from tests.faults.caller import PATIENCE, Caller
from tests.faults.history import Call, Seen, now
from tests.faults.stored import marker_of
from tests.support.streams import Event, Refused, open_stream

PAUSE = 0.05  # seconds before another attempt


class Follower:
    """Follows a session from its beginning until it has received the event with the number `end`.

    `choose` returns the number of the process for each connection. The follower leaves after `stay` seconds and comes
    back.
    """

    end: int | None = None

    def __init__(
        self,
        caller: Caller,
        name: str,
        user: str,
        session: str,
        choose: Callable[[int], int],
        stay: float | None = None,
    ) -> None:
        self.name, self.user, self.session = name, user, session
        self.last = 0
        self._caller, self._choose, self._stay = caller, choose, stay
        self._opened = 0

    async def run(self) -> None:
        """Follows to the end."""
        while self.end is None or self.last < self.end:
            self._opened += 1
            try:
                await self._follow(self._choose(self._opened))
            except (OSError, TimeoutError, Refused):
                await asyncio.sleep(PAUSE)

    async def _follow(self, process: int) -> None:
        sent = {**self._caller.headers(self.user), "Last-Event-ID": str(self.last)}
        call = Call("follow", process, self.user, self.session, now(), 0, 0, key=self.name, after=self.last)
        opening = open_stream(self._caller.targets[process], f"/sessions/{self.session}/events", sent)
        try:
            async with asyncio.timeout(self._caller.limit("follow") + PATIENCE):
                events = await opening.__aenter__()
        except BaseException as error:
            self._record_refusal(call, error)
            raise
        try:
            call.end, call.status = now(), 200
            self._caller.record(call)
            async with asyncio.timeout(self._stay):
                async for event in events:
                    if event.id is not None:
                        self._receive(process, event)
                    if self.last == self.end:
                        return
        finally:
            await opening.__aexit__(None, None, None)

    def _record_refusal(self, call: Call, error: BaseException) -> None:
        call.end, call.error = now(), repr(error)[:300]
        if isinstance(error, Refused):
            call.status, call.retry_after = error.status, True
        if isinstance(error, OSError | TimeoutError | Refused):
            self._caller.record(call)

    def _receive(self, process: int, event: Event) -> None:
        assert event.id is not None
        self.last = event.id
        seen = Seen(self.name, self.user, self.session, process, now(), event.id, event.type)
        if event.type == "message.created":
            seen.marker = marker_of(str(msgspec.json.decode(event.data)["message"].get("content")))
        self._caller.record(seen)
