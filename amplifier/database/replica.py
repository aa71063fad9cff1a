"""Sends reads to a streaming replica once it has replayed what the primary had written when the read began.

So nobody reads what is older than an answer that anybody received before: neither the caller's own write, through
whatever process, nor access that was revoked. The primary answers whatever the replica cannot.
`amplifier/queries/reads.py` lists the queries.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Any, NamedTuple

import asyncpg
import msgspec

from amplifier.database import hosts
from amplifier.database.connections import open_listener
from amplifier.database.pool import Database, in_transaction
from amplifier.errors import Crowded, NoneFree, TooSlow
from amplifier.settings import Settings
from amplifier.telemetry import recorder

logger = logging.getLogger(__name__)

NAME = "amplifier-api replica"  # the application_name of the connection that watches the replica
_PATIENCE = 0.03  # seconds that a read waits for the replica, which replays a commit within some ms
_REST = 0.25  # seconds that reads do not wait for a replica that was behind
_POLL = 0.002  # seconds between two looks at the replica while reads wait
_IDLE_POLL, _ANSWER_LIMIT = 0.5, 0.5  # seconds between two looks otherwise, and for the answer
_BACK_OFF = (0.1, 1.0)  # seconds before the first attempt to connect again, and at most before a later one
_AWAY, _BEHIND, _FAILED, _ON_REPLICA = "away", "behind", "failed", "replica"  # outcomes of the metric
# Up to this position the WAL is on disk, so that it covers each commit that was acknowledged: the service commits
# synchronously. That of the insertion would be ahead by what open transactions write, which reaches no replica yet.
_WRITTEN = """
select
    ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::bigint as timeline,
    (lsn - '0/0')::bigint as bytes
from pg_current_wal_flush_lsn() as lsn
"""
# The timeline of the last restart point: lower than the present one for minutes after a failover, which is safe.
_REPLAYED = """
select
    pg_is_in_recovery() as is_standby,
    (select timeline_id from pg_control_checkpoint())::bigint as timeline,
    coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0) as bytes
"""
_CLUSTER = "select system_identifier from pg_control_system()"
_SERVER = "select pg_postmaster_start_time()"  # differs between servers, and between the starts of one


class Position(NamedTuple):
    """A place in the WAL. A promotion ends its timeline: what a former primary wrote afterwards does not count."""

    timeline: int
    bytes: int


class Replica:
    """Runs statements that read on the replica, or on the primary where the replica is behind or away."""

    def __init__(self, settings: Settings, dsn: str, primary: Database) -> None:
        self._settings, self._dsn, self._primary = settings, dsn, primary
        self._pool = Database(msgspec.structs.replace(settings, database_pool_min_size=0), dsn, self._verify)
        self._server: object = None  # the one that is watched
        self._written = Shared(self._ask_primary)
        self._replayed = Position(0, 0)
        self._waiting: set[tuple[Position, asyncio.Future[None]]] = set()
        self._is_wanted = asyncio.Event()
        self._fault: str | None = ""  # why the replica is not used; empty before the first attempt to reach it
        self._rests_until = 0.0

    @property
    def is_used(self) -> bool:
        """False while the replica is away or not fit."""
        return self._fault is None

    async def fetch(self, query: str, /, *args: Any) -> list[Any]:
        """Runs a query and returns all rows."""
        return await self._run("fetch", query, args)  # type: ignore[no-any-return]

    async def fetchrow(self, query: str, /, *args: Any) -> Any:
        """Runs a query and returns the first row, or None."""
        return await self._run("fetchrow", query, args)

    async def fetchval(self, query: str, /, *args: Any) -> Any:
        """Runs a query and returns the first column of the first row, or None."""
        return await self._run("fetchval", query, args)

    async def execute(self, query: str, /, *args: Any) -> str:
        """Runs a command on the primary and returns its status, such as `UPDATE 1`."""
        return await self._primary.execute(query, *args)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Uses the replica while it can be used, for as long as the context lasts."""
        task = asyncio.create_task(self._keep_watching())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            await self._pool.close()

    async def _keep_watching(self) -> None:
        """Follows the position of the replica, and reports its loss and return. Never returns."""
        pause = _BACK_OFF[0]
        while True:
            try:
                connection = await open_listener(self._settings, self._dsn, NAME)
                try:
                    await self._begin(connection)
                    pause = _BACK_OFF[0]
                    await self._follow(connection)
                finally:
                    connection.terminate()
            except Exception as error:  # of any kind: reads must not wait for a replica that is away
                self._leave(str(error.__cause__ or error) or repr(error.__cause__ or error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACK_OFF[1])

    async def _run(self, method: str, query: str, args: tuple[Any, ...]) -> Any:
        if in_transaction():
            return await getattr(self._primary, method)(query, *args)
        outcome = await self._outcome()
        if outcome == _ON_REPLICA:
            try:
                result = await getattr(self._pool, method)(query, *args)
            except (TooSlow, NoneFree, Crowded):
                if self.is_used:  # the primary would not be faster; its connections are for writes
                    raise
                outcome = _AWAY
            except Exception as error:  # a conflict with recovery, a lost connection: the primary's answer counts
                logger.debug("the replica did not answer a read: %r", error)
                outcome = _FAILED
        recorder.current.read(outcome)
        return result if outcome == _ON_REPLICA else await getattr(self._primary, method)(query, *args)

    async def _outcome(self) -> str:
        """Waits until the replica has replayed what the primary had written at the call. Returns the outcome."""
        if not self.is_used:
            return _AWAY
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            return _BEHIND
        try:
            wanted = await self._written.answer()
        except asyncpg.PostgresError as error:  # of a server that is in recovery, such as after a failover
            logger.debug("the primary did not tell its position: %r", error)
            return _FAILED
        if self._has(wanted) or await self._replays(wanted):
            return _ON_REPLICA if self.is_used else _AWAY
        self._rests_until = loop.time() + _REST
        return _BEHIND

    def _has(self, wanted: Position) -> bool:
        return wanted.timeline == self._replayed.timeline and wanted.bytes <= self._replayed.bytes

    async def _replays(self, wanted: Position) -> bool:
        """Waits for the replica. Returns whether it replayed up to a position in time."""
        waiting = (wanted, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        self._is_wanted.set()
        try:
            async with asyncio.timeout(_PATIENCE):
                await waiting[1]
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        return True

    async def _ask_primary(self) -> Position:
        row = await self._primary.fetchrow(_WRITTEN)
        return Position(row["timeline"], row["bytes"])

    async def _begin(self, connection: "asyncpg.Connection[Any]") -> None:
        """Opens the pool. Raises ConnectionError if the server is no replica of the primary."""
        if await connection.fetchval(_CLUSTER) != await self._primary.fetchval(_CLUSTER):
            raise ConnectionError("it is of another cluster than the primary")
        self._server = await connection.fetchval(_SERVER)
        if not self._pool.is_connected:
            await self._pool.connect()

    async def _verify(self, connection: "asyncpg.Connection[Any]") -> None:
        """Raises ConnectionError unless a new connection of the pool leads to the server that is watched.

        An address may lead to several servers, and a server that started again replays anew what it had replayed.
        """
        if await connection.fetchval(_SERVER) != self._server:
            raise ConnectionError("it is another server than the one whose position is known")

    async def _follow(self, connection: "asyncpg.Connection[Any]") -> None:
        while True:
            async with asyncio.timeout(_ANSWER_LIMIT):
                row = await connection.fetchrow(_REPLAYED)
            if row is None or not row["is_standby"]:
                raise ConnectionError("it is no standby any more")
            self._replayed = Position(row["timeline"], row["bytes"])
            self._use()
            for wanted, future in self._waiting:
                if self._has(wanted) and not future.done():
                    future.set_result(None)
            if any(not future.done() for _, future in self._waiting):
                await asyncio.sleep(_POLL)
                continue
            self._is_wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_POLL):
                    await self._is_wanted.wait()

    def _use(self) -> None:
        if self._fault is not None:
            logger.info("the replica answers reads")
            self._fault = None

    def _leave(self, fault: str) -> None:
        """Lets the primary answer, also reads under way. Warns if that is new."""
        if fault != self._fault:
            logger.warning("the replica is not used, and the primary answers its reads: %s", fault)
        self._fault = fault
        if self._dsn not in (self._primary.dsn, self._primary.direct_dsn):  # by mistake it may be the primary's address
            hosts.end_all(self._dsn)


class Shared:
    """A question whose answer several callers share. None of them gets the answer to one sent before it asked."""

    def __init__(self, ask: Callable[[], Awaitable[Position]]) -> None:
        self._ask = ask
        self._sent: asyncio.Task[Position] | None = None
        self._next: asyncio.Task[Position] | None = None

    async def answer(self) -> Position:
        """Returns the answer. Raises what asking raises."""
        if self._next is None:
            # in a context of its own: the question is no statement of the first caller
            self._next = asyncio.get_running_loop().create_task(self._send(self._sent), context=Context())
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._next)

    async def _send(self, before: "asyncio.Task[Position] | None") -> Position:
        if before is not None:
            await asyncio.wait({before})
        self._sent, self._next = self._next, None
        return await self._ask()
