"""Begins the runs of this process, waits for them and stops them; the interface of the package to the routes.

All state that a run needs is in the database, so that any process can begin the next run of a session. Leases are kept
in `leases.py`. amplifier-core is an extra: nothing here imports it before the service has started.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextvars import Context
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from amplifier.attachments.store import Store
from amplifier.configs.encryption import Keyring
from amplifier.errors import Unavailable
from amplifier.fair_share import work_of
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.attached import Room
from amplifier.runtime.finish import Endings
from amplifier.runtime.host import Host
from amplifier.runtime.kept_histories import Histories
from amplifier.runtime.leases import Leases
from amplifier.runtime.queue import Waiting
from amplifier.runtime.run_slots import Places
from amplifier.settings import Settings
from amplifier.telemetry import run_traces, trace_context
from amplifier.telemetry.trace_context import TraceContext
from amplifier.transcripts.scrubber import Scrubber

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution

logger = logging.getLogger(__name__)

_BEFORE_THE_END = 1.5  # seconds of the grace period that are left to write the outcomes of stopped runs
_FILLED = 10  # queued runs that are read when there is room again
_WITH_SDK = {"provider-anthropic", "provider-openai"}


class Runner:
    """Begins and stops the runs of one process. `available` is false if the extra `runtime` cannot be imported."""

    def __init__(self, queries: Queries, hub: Hub, keyring: Keyring, scrubber: Scrubber, settings: Settings) -> None:
        self._queries, self._hub, self._settings = queries, hub, settings
        self._keyring, self._scrubber = keyring, scrubber
        self._endings = Endings(queries, hub)
        self._going: dict[str, Execution] = {}
        self._places = Places(settings.max_runs_per_process, settings.max_runs_per_user)
        self._waiting = Waiting(queries, hub, settings, self._places, lambda: self._has_room, self.begin)
        self._leases = Leases(queries, hub, settings, self._going, self._endings, self._waiting)
        self._awaited: defaultdict[str, set[Callable[[Execution], None]]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()
        self._host: Host | None = None
        self.available = find_spec("amplifier_core") is not None
        self._draining: asyncio.TimerHandle | None = None
        self.stopping = asyncio.Event()  # set at the end of the grace period: requests stop waiting for runs

    @property
    def process_id(self) -> str:
        """Returns the id of the process, which holds the leases."""
        return self._hub.process_id

    @property
    def running(self) -> int:
        """Returns the number of runs that this process executes."""
        return len(self._going)

    @property
    def lease(self) -> float:
        """Returns the time of a lease in seconds."""
        return self._settings.run_lease

    @property
    def longest(self) -> float:
        """Returns the longest time of a run in seconds."""
        return self._settings.run_timeout

    @property
    def most_queued(self) -> int:
        """Returns the number of messages of a session that may wait."""
        return self._settings.max_queued_runs

    @property
    def most_queued_of_user(self) -> int:
        """Returns the number of messages of a user that may wait, in all sessions."""
        return self._settings.max_queued_runs_per_user

    @property
    def _has_room(self) -> bool:
        """Returns whether this process may begin another run now.

        It may not before all modules are imported, because a lease could expire during the import.
        """
        return self.available and self._host is not None and self._draining is None and self._places.are_left

    def reserve(self, run_id: str, user_id: str) -> bool:
        """Takes a place for a run that the current task is about to begin. Returns whether a place was left.

        If the run does not begin, for example because its transaction fails, the place is free again when the task
        ends.
        """
        if not self._has_room or not self._places.take(run_id, user_id):
            return False
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(lambda _: self.give_back(run_id))
        return True

    def give_back(self, run_id: str) -> None:
        """Frees the place of a run that did not begin."""
        if run_id not in self._going and self._places.free(run_id):
            self._spawn(self._waiting.fill(_FILLED))

    def begin(self, row: Any, origin: TraceContext | None = None) -> None:
        """Executes a run of which this process has the lease. `row` is of `runs.start` or `runs.claim`.

        `origin` is the span of the request that sent the message; for a queued run the row has it.
        """
        from amplifier.runtime.execution import Execution

        assert self._host is not None  # noqa: S101
        if row["traceparent"] is not None:
            origin = trace_context.parse(row["traceparent"].encode())
        execution = self._going[row["run_id"]] = Execution(self._host, row)
        self._hub.runs.begin(execution.session_id)
        for meet in self._awaited.pop(execution.run_id, ()):
            meet(execution)
        self._spawn(self._run(execution, origin))

    def find(self, run_id: str) -> "Execution | None":
        """Returns the run if this process executes it, else None."""
        return self._going.get(run_id)

    def await_run(self, run_id: str, meet: "Callable[[Execution], None]") -> Callable[[], None]:
        """Calls `meet` when the run begins in this process, or at once if it has begun.

        Returns the function that ends the wait.
        """
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
        """Begins the next queued run of the session in the background, unless one is running."""
        self._spawn(self._waiting.claim(session_id))

    def look(self) -> None:
        """Makes the process check its runs now, because one may have been cancelled."""
        self._hub.runs.noticed.set()

    async def keep_running(self) -> None:
        """Imports the modules, then keeps leases until it is cancelled. Returns at once if agents cannot be run."""
        if not self.available:
            return
        try:
            await asyncio.to_thread(self._warm)
        except Exception:
            logger.exception("agents cannot run in this process")
            self.available = False
            return
        await self._leases.keep()

    def drain(self) -> None:
        """Begins no further run, and stops the running ones near the end of the grace period."""
        if self._draining is None:
            seconds = max(0.0, self._settings.shutdown_grace - _BEFORE_THE_END)
            self._draining = asyncio.get_running_loop().call_later(seconds, self._stop_all)

    async def finish(self) -> None:
        """Begins no further run, and waits until the running ones have ended, little longer than the grace period."""
        self.drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_grace + _BEFORE_THE_END)

    def _stop_all(self) -> None:
        self.stopping.set()
        for execution in self._going.values():
            execution.stop("shutdown")

    def _spawn(self, coroutine: Any) -> None:
        """Starts a task in an empty context, without the request and transaction of the caller."""
        task = asyncio.get_running_loop().create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _warm(self) -> None:
        """Imports everything that the first run would wait for."""
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
            self._queries,
            self._hub,
            self._keyring,
            self._scrubber,
            settings,
            Secrets(settings.secrets, settings.secrets_dir),
            Store(settings),
            Room(),
            Histories(),
        )

    async def _run(self, execution: "Execution", origin: TraceContext | None) -> None:
        others_wait = True
        try:
            with run_traces.run(origin, execution.session_id, execution.run_id) as span:
                with work_of(execution.user_id if self._settings.auth_required else None):
                    outcome = await execution.execute()
                failure = None if outcome.failure is None else outcome.failure.type
                run_traces.note_outcome(span, outcome.status, failure, execution.meter.usage)
                others_wait = await self._endings.end(execution, outcome)
        except Unavailable as error:
            logger.warning("run %s/%s ends with its lease: %r", execution.session_id, execution.run_id, error)
        except Exception:  # a defect of the service: the run is ended when the lease expires
            logger.exception("run %s/%s failed and ends with its lease", execution.session_id, execution.run_id)
        finally:
            del self._going[execution.run_id]
            self._hub.runs.end(execution.session_id)
            others_wait_for_room = self._places.free(execution.run_id)
            execution.ended.set()
        if others_wait_for_room:
            await self._waiting.fill(_FILLED)  # users in turn; the next run of this session is among them
        elif others_wait:
            await self._waiting.claim(execution.session_id)
