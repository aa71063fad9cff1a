"""Shares scarce places between users: each gets a limited number of them, and users who wait take turns.

Callers decide the meaning of a place: a database connection for the pool, a turn for the repair of transcripts.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextvars import ContextVar

from amplifier.errors import Crowded

_MOST_WAITING = 1000  # requests of one user that may wait for a place; each keeps its body in memory

# The user for whom the task works, set by authentication; None for the work of the service itself.
current: ContextVar[Hashable] = ContextVar("current", default=None)


class Shares:
    """A number of places, of which one user may have `share` at a time.

    Further requests of a user wait for that user's own places and do not delay other users. Users who wait for a free
    place take turns, regardless of how many requests each has. The service itself (user None) may have any number of
    places; each of its requests waits in turn like a user of its own.
    """

    def __init__(self, places: int, share: int) -> None:
        self._places, self._free, self._share = places, places, share
        self._taken: dict[Hashable, int] = {}
        # the waiting requests of each user, in order; users in turn; while a place is free, all these have their share
        self._waiting: OrderedDict[Hashable, OrderedDict[asyncio.Future[None], None]] = OrderedDict()

    def take_at_once(self, user: Hashable) -> bool:
        """Takes a place for `user` without waiting. Returns False if none is free or the user has its share."""
        if not self._free:
            return False
        if user is not None:
            taken = self._taken.get(user, 0)
            if taken >= self._share:
                return False
            self._taken[user] = taken + 1
        self._free -= 1
        return True

    async def take(self, user: Hashable, seconds: float | None = None) -> None:
        """Takes a place for `user`, and waits for it, for `seconds` at most or without a limit.

        Raises TimeoutError, and Crowded if 1000 requests of the user wait.
        """
        if self.take_at_once(user):
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        key = future if user is None else user
        line = self._waiting.setdefault(key, OrderedDict())
        if len(line) >= _MOST_WAITING:
            raise Crowded
        line[future] = None
        # asyncio.timeout would take a tenth of the time of a short request, most of which wait for a connection
        limit = None if seconds is None else loop.call_later(seconds, _give_up, future)
        try:
            await future
        except BaseException:
            if not future.cancelled() and future.exception() is None:  # the place was assigned just before
                self.give_back(user)
            elif line.pop(future, True) is None and not line:
                del self._waiting[key]
            raise
        finally:
            if limit is not None:
                limit.cancel()

    def give_back(self, user: Hashable) -> None:
        """Frees a place that was taken for `user`, and assigns it to the next request in turn."""
        self._free += 1
        if user is not None:
            taken = self._taken[user] - 1
            if taken:
                self._taken[user] = taken
            else:
                del self._taken[user]
        if self._waiting:
            self._hand_out()

    @property
    def taken(self) -> int:
        """Returns the number of places that are taken."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """Returns the number of requests that wait for a place."""
        return sum(map(len, self._waiting.values()))

    def is_full(self, user: Hashable) -> bool:
        """Returns whether `user` has its whole share."""
        return self._taken.get(user, 0) >= self._share

    def _hand_out(self) -> None:
        """Assigns the free place to the first user in turn who has not reached its share.

        The loop is short: every user who is skipped has places.
        """
        while True:
            for key in self._waiting:
                if self._taken.get(key, 0) < self._share:
                    break
            else:
                return
            line = self._waiting[key]
            future, _ = line.popitem(last=False)
            if line:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not future.done():  # otherwise it was cancelled and has not run since
                self.take_at_once(None if key is future else key)
                future.set_result(None)
                return


def _give_up(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())


def work_of_the_service() -> contextlib.AbstractContextManager[None]:
    """Counts the work of the task in the context for the service, not for a user."""
    return work_of(None)


@contextlib.contextmanager
def work_of(user: Hashable) -> Iterator[None]:
    """Counts the work of the task in the context for this user."""
    token = current.set(user)
    try:
        yield
    finally:
        current.reset(token)
