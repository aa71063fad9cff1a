"""Connects an application with its metrics: reads once a second what the parts of the service know already."""

import asyncio
import contextlib
import logging
import platform
import re
import time
from collections.abc import AsyncIterator

from litestar.datastructures import State
from prometheus_client import CollectorRegistry, ProcessCollector

from amplifier import __version__
from amplifier.errors import Unavailable
from amplifier.queries.query import Usage
from amplifier.telemetry import recorder
from amplifier.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

_PACE = 1.0  # seconds between two readings
_SLOW_PACE = 15.0  # seconds between two statements about the whole database
_MOST_WAITING = 100_000  # messages without an embedding that are counted
_NUMBER = re.compile(r"\d+")


class Measurements:
    """The metrics of an application. Its `metrics` observe requests, and have the registry that is served."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.metrics = Metrics(CollectorRegistry(), state.listener.database_time)
        self._catalogue = self.metrics.catalogue
        self._usage: dict[str, tuple[Usage, int, float]] = {}
        self._cpu_seconds = 0.0
        self._process = ProcessCollector(registry=None)

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Measures for as long as the context lasts."""
        self._begin()
        recorder.current = self.metrics
        tasks = [asyncio.create_task(self._keep_reading()), asyncio.create_task(self._keep_asking())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            recorder.current = recorder.Recorder()
            self.read()

    def read(self) -> None:
        """Moves everything that this process knows to the metrics."""
        self.metrics.flush()
        self._read_queries()
        self._read_pool()
        self._read_live()
        self._read_process()
        self._catalogue.runs_running.set(self._state.runner.running)
        self._catalogue.measured_at.set(time.time())

    async def ask(self) -> None:
        """Reads what only the database knows. Raises Unavailable."""
        queries, catalogue = self._state.queries, self._catalogue
        row = await queries.runs.count_queued()
        oldest = row["oldest_queued_at"]
        catalogue.runs_queued.set(row["queued"])
        waited = 0.0 if oldest is None else self._state.listener.database_time() - oldest.timestamp()
        catalogue.runs_queued_seconds.set(max(0.0, waited))
        if self._state.questions is not None:
            catalogue.embeddings_waiting.set(await queries.embeddings.count_waiting(most=_MOST_WAITING))
        missing = await queries.service.list_missing_migrations(migrations=self._state.migrations)
        catalogue.schema_missing.set(len(missing))
        applied = set(self._state.migrations) - set(missing)
        catalogue.schema.set(max(map(_number, applied), default=0))

    async def _keep_reading(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PACE
            await asyncio.sleep(_PACE)
            self._catalogue.loop_lag.observe(max(0.0, loop.time() - due))
            self.read()

    async def _keep_asking(self) -> None:
        while True:
            try:
                await self.ask()
            except Unavailable:  # the requests of the service report it
                logger.debug("the metrics of the database stay as they were")
            except Exception as error:  # the next round tries again after any error
                logger.warning("metrics of the database were not read: %r", error)
            await asyncio.sleep(_SLOW_PACE)

    def _begin(self) -> None:
        catalogue = self._catalogue
        catalogue.build.labels(__version__, platform.python_version()).set(1)
        catalogue.workers.set(1)
        catalogue.pool_most.set(self._state.queries.database.most)
        self.read()

    def _read_queries(self) -> None:
        """Adds the calls since the last reading. A query that was reloaded has new statistics, which begin at 0."""
        for query in self._state.queries.all():
            usage, calls, seconds = self._usage.get(query.name, (query.usage, 0, 0.0))
            if usage is not query.usage:
                self._add(query.name, usage.calls - calls, usage.seconds - seconds)
                usage, calls, seconds = query.usage, 0, 0.0
            now = (usage, usage.calls, usage.seconds)
            if now[1] != calls or query.name not in self._usage:
                self._add(query.name, now[1] - calls, now[2] - seconds)
                self._usage[query.name] = now

    def _add(self, query: str, calls: int, seconds: float) -> None:
        self._catalogue.query_calls.labels(query).inc(calls)
        self._catalogue.query_seconds.labels(query).inc(seconds)

    def _read_pool(self) -> None:
        connections, in_use, waiting = self._state.queries.database.figures
        self._catalogue.pool_connections.set(connections)
        self._catalogue.pool_in_use.set(in_use)
        self._catalogue.pool_waiting.set(waiting)

    def _read_live(self) -> None:
        figures, listener = self._state.hub.figures, self._state.listener
        self._catalogue.streams.labels("session").set(figures.session_streams)
        self._catalogue.streams.labels("hints").set(figures.hint_streams)
        self._catalogue.followers.set(figures.users)
        self._catalogue.followed_sessions.set(figures.sessions)
        self._catalogue.listening.set(listener.is_connected)
        self._catalogue.queue_usage.set(listener.queue_usage)

    def _read_process(self) -> None:
        for family in self._process.collect():
            value = family.samples[0].value
            if family.name == "process_cpu_seconds":
                self._catalogue.process_cpu.inc(max(0.0, value - self._cpu_seconds))
                self._cpu_seconds = value
            else:
                self._catalogue.process_gauges[family.name].set(value)


def _number(migration_id: str) -> int:
    """Returns the number at the beginning of a migration's id, 0 without one."""
    number = _NUMBER.match(migration_id)
    return int(number[0]) if number else 0
