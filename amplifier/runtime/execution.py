"""Executes one run as a session of amplifier-core, from the config to the outcome.

`runner.py` begins executions, `finish.py` writes their outcomes.
"""

import asyncio
import contextlib
import logging
import time
from typing import Any, Literal, NamedTuple

from amplifier_core import AmplifierSession

from amplifier import json_numbers
from amplifier.errors import Unavailable, Unsendable
from amplifier.masking import redact
from amplifier.runtime.approvals import Approvals, register
from amplifier.runtime.attached import Attached
from amplifier.runtime.conductor import Conductor
from amplifier.runtime.failures import Failure, Refused, failure
from amplifier.runtime.history import History, Limits, history
from amplifier.runtime.hooks import FEED, KEPT, SHOW, show_and_emit
from amplifier.runtime.host import Host
from amplifier.runtime.metering import Meter
from amplifier.runtime.module_loader import Loader, are_ours
from amplifier.runtime.mount_plan import Plan, PlanRefused, mount_plan
from amplifier.runtime.run_events import CUT, SHOWN, Feed
from amplifier.runtime.transcript_writer import Transcript, cleaned, spoken
from amplifier.runtime.turn import RETRY_DELAY, Turn

logger = logging.getLogger(__name__)
# amplifier-core logs the errors of modules about their configs, with secrets
logging.getLogger("amplifier_core").setLevel(logging.CRITICAL)

Stop = Literal["cancelled", "lost", "shutdown"]
_IN_THREAD_FROM = 64 * 1024  # bytes; reading a larger config on the event loop would delay other runs
_ANSWER_TIMEOUT = 60.0  # seconds to write the answer of a run that could not end with it
_CANCEL_TIMEOUT = 5.0  # seconds that modules get to end after a cancellation


class Outcome(NamedTuple):
    """The result of a run."""

    status: Literal["completed", "failed", "cancelled"]
    response: str | None = None
    failure: Failure | None = None


class Execution:
    """A run that this process executes, made from the row with which it began.

    `turn` has the messages of its turn, and `answer` is the last of them while it is not written. `ended` is set when
    this process has finished with the run.
    """

    def __init__(self, host: Host, row: Any) -> None:
        self._host = host
        self.session_id, self.run_id, self.user_id = row["session_id"], row["run_id"], row["user_id"]
        self._config_id, self._config_json = row["config_id"], row["config_json"]
        self._begun_seq = row["last_seq"]  # the number of the message that the run answers
        self.feed = Feed(host.hub, self.session_id, self.run_id)
        self.turn = Turn(host, self.feed, row)
        self.meter = Meter(host.settings.run_model_timeout, host.settings.run_tool_timeout)
        self._attached = Attached(host.queries, host.store, host.room, self.session_id, self.user_id)
        self.answer = b""
        self.stopped: Stop | None = None
        self.ended = asyncio.Event()
        self._stop = asyncio.Event()
        self._conductor: Conductor | None = None
        self._read: History | None = None
        self._started = time.perf_counter()

    async def scrubbed(self, document: bytes) -> bytes:
        """Returns a JSON document as it may be stored. Waits for its turn, in a run until the end of RUN_TIMEOUT."""
        while True:
            with contextlib.suppress(Unavailable):
                return await self._host.scrubber.json(document)

    @property
    def timing(self) -> dict[str, float]:
        """Returns the seconds until the first part of an answer, in model calls, in tool calls, and in total."""
        ended, first = time.perf_counter(), self.feed.first_delta_at
        seconds = {**self.meter.timing, "total": ended - self._started}
        seconds |= {} if first is None else {"first_delta": first - self._started}
        return {name: round(value, 6) for name, value in seconds.items()}

    def stop(self, reason: Stop) -> None:
        """Asks the run to end. The first reason counts."""
        if self.stopped is None:
            self.stopped = reason
            self._stop.set()

    async def execute(self) -> Outcome:
        """Executes the run and returns its outcome. Errors of modules are part of the outcome and not raised.

        Cancels a run that is asked to stop or exceeds RUN_TIMEOUT, and waits some seconds for its modules to end.
        """
        work, stop = asyncio.create_task(self._work()), asyncio.create_task(self._stop.wait())
        seconds = self._host.settings.run_timeout
        await asyncio.wait({work, stop}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        late = not work.done() and self.stopped is None
        if not work.done():
            conducted = self._conductor.task if self._conductor else None
            (conducted or work).cancel()
            await asyncio.wait({work}, timeout=_CANCEL_TIMEOUT)
            work.cancel()
        with contextlib.suppress(Refused):
            self.answer = self.answer or await self.turn.take(_CANCEL_TIMEOUT)
        self.feed.release(cut_off=True)
        self.feed.flush()
        if late:
            return Outcome(
                "failed", failure=Failure("timeout", f"The run took longer than {seconds:g} s (RUN_TIMEOUT)")
            )
        return self._outcome(work)

    def _outcome(self, work: "asyncio.Task[str]") -> Outcome:
        error = work.exception() if work.done() and not work.cancelled() else None
        if work.done() and not work.cancelled() and error is None:
            response = cleaned(redact(work.result(), self.feed.secrets))
            return Outcome("completed", self._host.scrubber.text(response))
        if self.stopped == "cancelled":
            return Outcome("cancelled", failure=Failure("cancelled", "The run was cancelled"))
        if self.stopped is not None:
            return Outcome("failed", failure=Failure("interrupted", "The service was stopped while the run went on"))
        if error is None:
            error = RuntimeError("a module cancelled the run's task")
        return self._failed(error)

    def _failed(self, error: BaseException) -> Outcome:
        return Outcome("failed", failure=failure(error, self.feed.secrets, f"{self.session_id}/{self.run_id}"))

    async def write_answer(self, answer: bytes, outcome: Outcome) -> Outcome:
        """Writes the answer of a run that completed. Returns the outcome: a failure if the run may not answer.

        Raises Unavailable if the database stays away.
        """
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                await self.turn.write(answer)
        except TimeoutError as error:
            raise Unavailable("The answer of a run could not be written in time.") from error
        except Refused as error:
            self.turn.messages.pop()
            return self._failed(error)
        return outcome

    async def _work(self) -> str:
        host = self._host
        large = len(memoryview(self._config_json)) >= _IN_THREAD_FROM
        plan = await asyncio.to_thread(self._plan) if large else self._plan()
        self.feed.secrets = plan.secrets
        approvals = Approvals(host, self.session_id, self.run_id, plan.secrets)
        session = AmplifierSession(
            plan.mount, session_id=self.session_id, approval_system=approvals, is_resumed=self._begun_seq > 2
        )
        coordinator = session.coordinator
        loader = coordinator.loader = Loader(host.settings.modules, plan.secrets)
        coordinator.register_capability("amplifier.live", self.feed.live)
        coordinator.register_capability(SHOW, self._show)
        reading = asyncio.create_task(self._history(are_ours(plan.mount)))  # runs while the modules are mounted
        try:
            await _initialize(session, loader)
            prompt = await self._prepare(coordinator, await reading)
            register(coordinator, approvals)
            response = await session.execute(prompt)
        finally:
            reading.cancel()
            approvals.close()
            self._attached.close()
            await self._clean_up(session)
        if self._conductor is not None and self._conductor.error is not None:
            raise await self._located(self._conductor.error)
        self.answer = await self.turn.take()
        return str(response)

    def _plan(self) -> Plan:
        config = json_numbers.read(self._config_json)
        clear = self._host.keyring.decrypt(config, self._config_id)
        return mount_plan(clear, self._host.secret, self._host.settings.base_urls)

    async def _prepare(self, coordinator: Any, history: History) -> str:
        """Wraps the mounted modules with the transcript, the limits and the event handlers. Returns the prompt."""
        inner = coordinator.get("context")
        await inner.set_messages(history.messages)
        coordinator.register_capability(KEPT, history.models)
        await coordinator.mount("context", Transcript(inner, self._append, self.feed.secrets, self._attached.filled))
        self._conductor = Conductor(coordinator.get("orchestrator"))
        await coordinator.mount("orchestrator", self._conductor)
        self.meter.watch(coordinator)
        for event in SHOWN:
            coordinator.hooks.register(event, self.feed.handle, name=f"{FEED}{event}")
        if history.left_out:
            await show_and_emit(coordinator, coordinator.hooks, CUT, history.cut)
        return str(spoken(self.turn.messages[0])["content"])

    def _show(self, event: str, data: dict[str, Any]) -> None:
        """Shows an event, and counts the messages that the context module leaves out."""
        if event == CUT:
            self.meter.leave_out(data.get("left_out"), data.get("limit"))
        self.feed.show(event, data)

    async def _history(self, may_share: bool) -> History:
        """Returns the messages of earlier turns, kept ones if this run may share them. Raises Unsendable."""
        settings = self._host.settings
        limits = Limits(settings.run_history_messages, settings.run_history_bytes)
        if may_share:
            self._read = await self._host.histories.read(
                self._host.queries, self.session_id, self._begun_seq - 1, limits
            )
        if self._read is None:
            self._read = history(await self._messages(0, self._begun_seq - 1, limits), limits)
        return self._read

    async def _located(self, error: BaseException) -> BaseException:
        """Returns the error, if it is about a message of an earlier turn, with the number of that message."""
        place = self._read.place(error.message) if self._read and isinstance(error, Unsendable) else None
        if place is None:
            return error
        row = await self._messages(0, self._begun_seq - 1, Limits(place, self._host.settings.run_history_bytes))
        return Unsendable(f"Message {row['first_seq']} of the transcript cannot be sent to a model: {error}")

    async def _messages(self, after: int, up_to_seq: int, limits: Limits) -> Any:
        """Returns the row of `runs.get_history`. Tries again while the database is unavailable."""
        while True:
            with contextlib.suppress(Unavailable):
                return await self._host.queries.runs.get_history(
                    session_id=self.session_id,
                    after=after,
                    up_to_seq=up_to_seq,
                    limit=limits.messages,
                    max_bytes=limits.bytes,
                )
            await asyncio.sleep(RETRY_DELAY)

    async def _append(self, message: bytes) -> None:
        """Adds a message of the agent to the transcript. Raises Refused if the run may not continue."""
        await self.turn.append(await self.scrubbed(message))

    async def _clean_up(self, session: AmplifierSession) -> None:
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                await session.cleanup()
        except Exception as error:  # a module may raise anything; the run is over in any case
            logger.warning("a module of run %s/%s failed to clean up: %s", self.session_id, self.run_id, type(error))


async def _initialize(session: AmplifierSession, loader: Loader) -> None:
    """Mounts all modules. Raises the original error of the first one that fails, which amplifier-core would rewrite."""
    failed = None
    try:
        await session.initialize()
    except Exception as error:
        failed = error
    if loader.failures:
        raise loader.failures[0][1]
    if failed is not None:
        raise failed
    for kind in ("orchestrator", "context"):
        if session.coordinator.get(kind) is None:
            raise PlanRefused(f"session.{kind}: its module mounts none. Name a module of this kind")
