"""A load on all processes: starts the clients, waits until they succeed again after a fault, and ends them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.faults.caller import Caller
from tests.faults.clients import Agent, Client, Doorkeeper, Guest, Searcher, Writer
from tests.faults.followers import Follower
from tests.faults.history import History, now

KINDS = ("append", "read", "search", "message", "follow", "event")
WITHIN = 5.0  # seconds from the end of a cause until everything works again
STEADY = 30.0  # seconds for a load to begin
SEARCHERS = 2
CATCH_UP = 20.0  # seconds for followers to receive the last events
ECHO = {"module": "provider-echo", "config": {}}


class Load:
    """Clients on the addresses `targets`; `recoveries` has the seconds after each fault."""

    def __init__(self, targets: Sequence[str], path: Path, dsn: str, limits: Mapping[str, float], hurry: float) -> None:
        self.history = History(path)
        self.caller = Caller(targets, self.history, limits, hurry)
        self.recoveries: list[float] = []
        self.began = self.ended = now()
        self._dsn = dsn
        self._last: list[tuple[str, int]] = []  # what was missing longest when all succeeded last
        self._stop = asyncio.Event()
        self._clients: list[Client] = []
        self._followers: list[Follower] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def prepare(self, writers: int, agents: int, provider: Mapping[str, Any]) -> None:
        """Creates the sessions and their clients."""
        ask, stop, caller = self.caller.ask, self._stop, self.caller
        shared = await self._session("owner", ECHO)
        editors = [f"writer-{n}" for n in range(writers)]
        for user, role in [*((one, "editor") for one in editors), ("guest", "viewer"), ("follower", "viewer")]:
            await ask(0, "owner", "POST", f"/sessions/{shared}/participants", {"user_id": user, "role": role})
        for number, user in enumerate(editors):
            writer = Writer(caller, user, stop, number)
            writer.sessions = [shared, await self._session(user, ECHO)]
            self._clients.append(writer)
            if number < SEARCHERS:
                searcher = Searcher(caller, user, stop, number)
                searcher.writer = writer
                self._clients.append(searcher)
        for number in range(agents):
            agent = Agent(caller, f"agent-{number}", stop, number)
            agent.session = await self._session(agent.user, provider)
            self._clients.append(agent)
            self._follow(f"of agent {number}", agent.user, agent.session, number, 1.0)
        guest, keeper = Guest(caller, "guest", stop), Doorkeeper(caller, "owner", stop)
        guest.session = keeper.session = shared
        keeper.guest = guest.user
        self._clients += [guest, keeper]
        for number in range(len(caller.targets)):
            self._follow(f"at {number}", "follower", shared, number, None)
        self._follow("hopping", "follower", shared, 0, 0.7)
        self._follow("guest", "guest", shared, 0, 1.5)

    async def _session(self, user: str, provider: Mapping[str, Any]) -> str:
        config = {"bundle": {"name": "faults"}, "providers": [provider]}
        made = await self.caller.ask(0, user, "POST", "/configs", {"name": "faults", "config_data": config})
        session = await self.caller.ask(0, user, "POST", "/sessions", {"config_id": made["config_id"]})
        return str(session["session_id"])

    def _follow(self, name: str, user: str, session: str, first: int, stay: float | None) -> None:
        """Adds a follower that stays at one process, or one that leaves after `stay` seconds for the next process."""
        count = len(self.caller.targets)
        choose = (lambda _: first) if stay is None else (lambda opened: (first + opened) % count)
        self._followers.append(Follower(self.caller, name, user, session, choose, stay))

    def start(self) -> None:
        """Starts all clients."""
        self.began = now()
        self._tasks = [asyncio.create_task(one.run()) for one in (*self._clients, *self._followers)]

    def missing(self, since: float, kinds: Collection[str], processes: Collection[int]) -> list[tuple[str, int]]:
        """Returns kinds of calls, with the process, that have not succeeded since then."""
        for task in self._tasks:
            if task.done() and not self._stop.is_set():
                task.result()
        wanted = [(kind, process) for kind in kinds for process in processes]
        return [one for one in wanted if self.caller.succeeded.get(one, 0.0) <= since]

    async def steady(
        self, kinds: Collection[str] = KINDS, processes: Collection[int] | None = None, limit: float = STEADY
    ) -> None:
        """Waits until every kind of call has succeeded through every process from now on."""
        await self._succeeded(now(), kinds, processes, limit)

    async def recovered(
        self,
        kinds: Collection[str] = KINDS,
        processes: Collection[int] | None = None,
        since: float | None = None,
        within: float = WITHIN,
    ) -> float:
        """Waits like `steady` from the end of a cause, `since` or now. Returns and notes the seconds that it took.

        Fails if that is longer than `within`.
        """
        since = now() if since is None else since
        took = await self._succeeded(since, kinds, processes, within + STEADY)
        self.recoveries.append(took)
        assert took <= within, f"recovered after {took:.1f} s: {self._last} was the last"
        return took

    async def _succeeded(
        self, since: float, kinds: Collection[str], processes: Collection[int] | None, limit: float
    ) -> float:
        processes = range(len(self.caller.targets)) if processes is None else processes
        while missing := self.missing(since, kinds, processes):
            self._last = missing
            assert now() < since + limit, f"no success since {limit:.0f} s: {missing}"
            await asyncio.sleep(0.01)
        return now() - since

    async def finish(self) -> None:
        """Ends all clients after their last acknowledgement, and followers when they have received everything."""
        self._stop.set()
        self.ended = now()
        count = len(self._clients)
        await asyncio.gather(*self._tasks[:count])
        clocks = await asyncio.to_thread(self._clocks)
        for one in self._followers:
            one.end = clocks[one.session]
        # a follower that has everything already waits for an event that does not come
        following = [task for task, one in zip(self._tasks[count:], self._followers, strict=True) if one.last < one.end]
        if following:
            await asyncio.wait(following, timeout=CATCH_UP)
        await self.cancel()

    def _clocks(self) -> dict[str, int]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            _settle(connection)
            return dict(connection.execute("select session_id, last_seq from sessions").fetchall())

    async def cancel(self) -> None:
        """Cancels what still runs and closes all connections."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.caller.close()
        self.history.close()
        for error in results:
            if isinstance(error, Exception):
                raise error


def _settle(connection: "psycopg.Connection[Any]", limit: float = 30.0) -> None:
    """Waits until no run is queued or running, so that sessions get no more events. The checker reports those left."""
    deadline = now() + limit
    while now() < deadline and connection.execute("select 1 from runs where finished_at is null").fetchone():
        time.sleep(0.05)


@contextlib.asynccontextmanager
async def loading(load: Load) -> AsyncIterator[Load]:
    """Runs a load during the context."""
    load.start()
    try:
        await load.steady()
        yield load
        await load.finish()
    except BaseException:
        with contextlib.suppress(Exception):
            await load.cancel()
        raise
