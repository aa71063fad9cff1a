"""The runs of this process: begins them, keeps their leases, ends those of processes that died.

Whatever a run needs stands in the database, so that any process can begin the next one of a session. amplifier-core is
an extra: nothing here imports it before the service has started.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextvars import Context
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from amplifier.configs.encryption import Keyring
from amplifier.fair_share import work_of
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.finish import Endings
from amplifier.runtime.queue import Waiting
from amplifier.runtime.run_slots import Places
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution
from amplifier.runtime.host import Host

logger = logging.getLogger(__name__)

_RENEWALS = 5  # in the time of a lease
_REST = 0.05  # seconds between two looks at most, however much other processes tell
_BEFORE_THE_END = 1.5  # seconds of the service's grace that are left for the ends of runs which did not make it
_REAPED = 100  # runs taken over at once, and waiting ones looked at
_FILLED = 10  # waiting runs looked at when there is room again
_WITH_SDK = {"provider-anthropic", "provider-openai"}


class Runner:
    """Runs agents, where the extra `runtime` is installed."""

    def __init__(self, queries: Queries, hub: Hub, keyring: Keyring, settings: Settings) -> None:
        self._queries, self._hub, self._keyring, self._settings = queries, hub, keyring, settings
        self._endings = Endings(queries, hub)
        self._going: dict[str, Execution] = {}
        self._places = Places(settings.max_runs_per_process, settings.max_runs_per_user)
        self._waiting = Waiting(queries, hub, settings, self._places, lambda: self._has_room, self.begin)
        self._awaited: defaultdict[str, set[Callable[[Execution], None]]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()
        self._host: Host | None = None
        self.available = find_spec("amplifier_core") is not None
        self._draining: asyncio.TimerHandle | None = None
        self.stopping = asyncio.Event()  # set when the grace is over, for those who wait for what will not come

    @property
    def process_id(self) -> str:
        """Who has the leases."""
        return self._hub.process_id

    @property
    def lease(self) -> float:
        """Seconds."""
        return self._settings.run_lease

    @property
    def longest(self) -> float:
        """Seconds that a run may take."""
        return self._settings.run_timeout

    @property
    def most_queued(self) -> int:
        """Messages of a session that may wait."""
        return self._settings.max_queued_runs

    @property
    def most_queued_of_user(self) -> int:
        """Messages of a user that may wait, in all sessions."""
        return self._settings.max_queued_runs_per_user

    @property
    def _has_room(self) -> bool:
        """Whether this process may begin another run now: not before everything is imported, for a lease would run out
        meanwhile."""
        return self.available and self._host is not None and self._draining is None and self._places.are_left

    def reserve(self, run_id: str, user_id: str) -> bool:
        """Takes a place for a run that the current task is about to begin. Returns whether there was one.

        A run that does not begin gives the place back when the task ends: its transaction may fail.
        """
        if not self._has_room or not self._places.take(run_id, user_id):
            return False
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(lambda _: self.give_back(run_id))
        return True

    def give_back(self, run_id: str) -> None:
        """Gives back the place of a run that did not begin."""
        if run_id not in self._going and self._places.free(run_id):
            self._spawn(self._waiting.fill(_FILLED))

    def begin(self, row: Any) -> None:
        """Goes on with a run for which the database gave this process the lease. The row is of `runs.start`."""
        from amplifier.runtime.execution import Execution

        assert self._host is not None  # noqa: S101
        execution = self._going[row["run_id"]] = Execution(self._host, row)
        for meet in self._awaited.pop(execution.run_id, ()):
            meet(execution)
        self._spawn(self._run(execution))

    def find(self, run_id: str) -> "Execution | None":
        """The run, if it goes on in this process."""
        return self._going.get(run_id)

    def await_run(self, run_id: str, meet: "Callable[[Execution], None]") -> Callable[[], None]:
        """Calls `meet` when the run begins in this process, or at once; what is returned ends the waiting."""
        if (execution := self._going.get(run_id)) is not None:
            meet(execution)
            return lambda: None
        self._awaited[run_id].add(meet)
        return lambda: self._forget(run_id, meet)

    def _forget(self, run_id: str, meet: "Callable[[Execution], None]") -> None:
        if waiting := self._awaited.get(run_id):
            waiting.discard(meet)
            if not waiting:
                del self._awaited[run_id]

    def claim_soon(self, session_id: str) -> None:
        """Begins the session's next run, if none goes on."""
        self._spawn(self._waiting.claim(session_id))

    def look(self) -> None:
        """Something may have changed for the runs of this process: somebody cancelled one."""
        self._hub.noticed.set()

    async def keep_running(self) -> None:
        """Keeps leases, for ever, and looks for what dead processes left."""
        if not self.available:
            return
        try:
            await asyncio.to_thread(self._warm)
        except Exception:
            logger.exception("no agents can be run here")
            self.available = False
            return
        await asyncio.gather(self._keep_leases(), self._keep_reaping())

    async def _keep_leases(self) -> None:
        """Renews leases, for ever: beside everything else, for what belongs to one session may take its time."""
        while True:
            await self._renew_now()
            deadline = asyncio.get_running_loop().time() + self._settings.run_lease / _RENEWALS
            while await self._told(deadline):
                await self._renew_now()
                await asyncio.sleep(_REST)

    async def _keep_reaping(self) -> None:
        """Ends what dead processes left and begins what waits, for ever."""
        while True:
            try:
                await self._reap()
            except Exception as error:  # whatever it was: the next round tries again
                logger.warning("runs of other processes were not looked after: %r", error)
            await self._waiting.fill(_REAPED)
            await asyncio.sleep(self._settings.run_lease / _RENEWALS)

    def drain(self) -> None:
        """The service stops: no further run begins, and those that go on get the rest of its grace."""
        if self._draining is None:
            seconds = max(0.0, self._settings.shutdown_grace - _BEFORE_THE_END)
            self._draining = asyncio.get_running_loop().call_later(seconds, self._stop_all)

    async def finish(self) -> None:
        """Returns when no run of this process goes on any more, at the end of the grace at the latest."""
        self.drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_grace + _BEFORE_THE_END)

    def _stop_all(self) -> None:
        self.stopping.set()
        for execution in self._going.values():
            execution.stop("shutdown")

    def _spawn(self, coroutine: Any) -> None:
        """A task that knows nothing of the request or transaction in which it begins."""
        task = asyncio.get_running_loop().create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _warm(self) -> None:
        """Imports what the first run would wait for."""
        from amplifier.runtime.host import Host
        from amplifier.runtime.module_loader import unknown, warm
        from amplifier.runtime.modules import providers
        from amplifier.runtime.secret_references import Secrets

        settings = self._settings
        if missing := unknown(settings.modules):
            logger.warning("RUNTIME_MODULES names modules that are not installed: %s", ", ".join(sorted(missing)))
        for name, error in warm(settings.modules):
            logger.warning("the module %s cannot be used: %s", name, error)
        providers.warm(name.removeprefix("provider-") for name in settings.modules & _WITH_SDK)
        self._host = Host(
            self._queries, self._hub, self._keyring, settings, Secrets(settings.secrets, settings.secrets_dir)
        )

    async def _run(self, execution: "Execution") -> None:
        others_wait = True
        try:
            with work_of(execution.user_id if self._settings.auth_required else None):
                outcome = await execution.carry_out()
            others_wait = await self._endings.end(execution, outcome)
        except Exception:  # a fault of ours: the lease runs out, and the run is ended then
            logger.exception("run %s/%s was left to its lease", execution.session_id, execution.run_id)
        finally:
            del self._going[execution.run_id]
            others_wait_for_room = self._places.free(execution.run_id)
            execution.ended.set()
        if others_wait_for_room:
            await self._waiting.fill(_FILLED)  # in turn, the next one of this session among them
        elif others_wait:
            await self._waiting.claim(execution.session_id)

    async def _told(self, deadline: float) -> bool:
        """Whether something was told before the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._hub.noticed.wait()
        except TimeoutError:
            return False
        self._hub.noticed.clear()
        return True

    async def _renew_now(self) -> None:
        try:
            await self._renew()
        except Exception as error:  # whatever it was: the next round tries again
            logger.warning("leases of runs were not renewed: %r", error)

    async def _renew(self) -> None:
        """Renews the leases, ends runs that were cancelled, and stops what another process took over."""
        going = list(self._going.values())
        if not going:
            return
        rows = await self._queries.runs.renew(
            process_id=self.process_id,
            session_ids=[one.session_id for one in going],
            run_ids=[one.run_id for one in going],
            seconds=self._settings.run_lease,
        )
        kept = {row["run_id"]: row for row in rows}
        for execution in going:
            row = kept.get(execution.run_id)
            if row is None:
                execution.stop("lost")
            else:
                execution.feed.followed_elsewhere = row["followed_elsewhere"]
                if row["cancelled"]:
                    execution.stop("cancelled")

    async def _reap(self) -> None:
        """Ends runs whose processes died, each by itself, and begins what waited for them. Raises Unavailable."""
        rows = await self._queries.runs.reap(
            process_id=self.process_id, seconds=self._settings.run_lease, limit=_REAPED
        )
        for row in rows:
            if row["run_id"] in self._going:  # it stood still, and goes on
                continue
            try:
                await self._endings.bury(row)
            except Exception as error:  # whatever it was: when the lease is over it comes after the others
                logger.warning("run %s/%s was not ended: %r", row["session_id"], row["run_id"], error)
            else:
                await self._waiting.claim(row["session_id"])
