"""The pool of database connections: shares them between users, limits every wait, and raises outages as Unavailable.

`connections.py` opens the connections.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import asyncpg

from amplifier import sign_in
from amplifier.database import pooler
from amplifier.database.connections import HAS_CITUS, Verify, milliseconds, open_bare, open_listener, open_pool
from amplifier.database.outages import connecting, not_connected, outage_of
from amplifier.database.shard_errors import name_constraint
from amplifier.errors import Crowded, NoneFree, Unavailable
from amplifier.fair_share import Shares, current
from amplifier.settings import Settings

logger = logging.getLogger(__name__)

_RELEASE_LIMIT = 0.5  # seconds for a cancelled statement to stop; after that its connection is dropped

Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"

_held: ContextVar["Connection | None"] = ContextVar("held", default=None)  # the connection of the task's transaction
_limit: ContextVar[float | None] = ContextVar("limit", default=None)  # seconds, where it is not the pool's


class Figures(NamedTuple):
    """The pool at a moment: open connections, those in use, and statements that wait for one."""

    connections: int
    in_use: int
    waiting: int


def in_transaction() -> bool:
    """Returns whether the current task is in a transaction."""
    return _held.get() is not None


def refuse_in_transaction() -> None:
    """Raises RuntimeError inside a transaction: while a client is awaited there, its connection is not available."""
    if in_transaction():
        raise RuntimeError("a client is awaited inside a transaction: receive and send before it begins or after it")


class Runner(Protocol):
    """An object that runs single statements: the pool, or a replica."""

    async def fetch(self, query: str, /, *args: Any) -> list[Any]:
        """Runs a query and returns all rows."""

    async def fetchrow(self, query: str, /, *args: Any) -> Any:
        """Runs a query and returns the first row, or None."""

    async def fetchval(self, query: str, /, *args: Any) -> Any:
        """Runs a query and returns the first column of the first row, or None."""

    async def execute(self, query: str, /, *args: Any) -> str:
        """Runs a command and returns its status, such as `UPDATE 1`."""


class Database:
    """A pool of connections to one database.

    It opens connections as they are needed, up to DATABASE_POOL_MAX_SIZE, of which one user gets a third at a time.
    Every method raises Unavailable for an outage and for a wait that exceeds its limit.
    """

    def __init__(self, settings: Settings, dsn: str, verify: Verify | None = None) -> None:
        """`verify` raises an error for a new connection of the pool that must not be used."""
        sign_in.use(settings)
        self._verify = verify
        self.reads: Runner = self  # runs the queries that a replica may answer
        self._settings = settings
        self.dsn = dsn
        self._is_configured = dsn == settings.dsn  # a rotated password changes the address of the settings
        self.has_citus = False  # whether the database has the extension, known after `connect`
        self._pool: asyncpg.Pool[Any] | None = None
        # asyncpg's pool opens, checks and replaces connections. Between two statements they wait in `_idle`, because a
        # pass through that pool costs more than a short statement. A holder of a place at the gate finds a connection
        # in `_idle` or free in the pool.
        self.most = most = settings.database_pool_max_size
        self._gate = Shares(most, max(1, most // 3))
        self._idle: list[Connection] = []
        self.in_use: set[Connection] = set()  # without those of `patient`

    @property
    def figures(self) -> Figures:
        """Returns what the pool does now."""
        return Figures(0 if self._pool is None else self._pool.get_size(), self._gate.taken, self._gate.waiting)

    @property
    def direct_dsn(self) -> str:
        """The address of PostgreSQL itself, without a pooler in between."""
        is_another = self._is_configured and self._settings.database_listen_url is not None
        return (self._settings.direct_dsn if is_another else None) or self.dsn

    @property
    def is_connected(self) -> bool:
        """True after `connect`."""
        return self._pool is not None

    async def connect(self) -> None:
        """Opens the pool. Raises Unavailable, and PoolerError if a pooler is not fit for the service."""
        if self._settings.is_pooler(self.dsn):
            await pooler.verify(self._settings, self.dsn)
        # it logs a traceback for each attempt during an outage
        logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
        pool = await open_pool(self._settings, self.dsn, self._verify)
        try:
            with connecting():
                self.has_citus = await pool.fetchval(HAS_CITUS)
        except BaseException:
            pool.terminate()
            raise
        if self.has_citus:
            await pool.close()
            pool = await open_pool(self._settings, self.dsn, self._verify, has_citus=True)
        self._pool = pool

    async def close(self) -> None:
        """Closes all connections. Waits for those in use, at most DATABASE_STATEMENT_TIMEOUT, then terminates them."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._settings.database_statement_timeout):
                await self._return_idle()
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def dedicated(self) -> "asyncpg.Connection[Any]":
        """Opens a connection outside the pool, for LISTEN. Raises Unavailable."""
        return await open_listener(self._settings, self.direct_dsn)

    async def bare(self, seconds: float) -> "asyncpg.Connection[Any]":
        """Opens a connection outside the pool, without the service's role and limits. Raises Unavailable."""
        with connecting():
            return await open_bare(self._settings, self.dsn, "amplifier-api watch", seconds)

    async def replace_silent(self, seconds: float) -> int:
        """Replaces idle connections that do not answer within `seconds`. Returns their number."""
        assert self._pool is not None  # noqa: S101
        await self._pool.expire_connections()  # those that no caller has had since they were opened or returned
        tested = []
        while self._idle and self._gate.take_at_once(None):
            tested.append(self._idle.pop())
        return sum(await asyncio.gather(*(self._is_replaced(one, seconds) for one in tested)))

    async def _is_replaced(self, connection: Connection, seconds: float) -> bool:
        """Tests a connection for which the caller has a place, and frees the place. Returns whether it was dropped."""
        self.in_use.add(connection)
        try:
            async with asyncio.timeout(seconds):
                await connection.execute("select")
        except BaseException as error:
            if _is_open(connection):
                connection.terminate()
            await self._discard(connection, None, error)
            if not isinstance(error, Exception):
                raise
            return True
        self._release(connection, None)
        return False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lends a pooled connection for several statements. Raises Unavailable, also for an outage in the context."""
        user = current.get()
        connection = await self._acquire(user)
        try:
            yield connection
        except BaseException as error:
            await self._discard(connection, user, error)
            if isinstance(error, Exception) and (outage := outage_of(error)) is not None:
                raise outage from error
            raise
        else:
            self._release(connection, user)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Runs the statements of the context, in this task, in one transaction. A nested one joins the outer one."""
        if _held.get() is not None:
            yield
            return
        async with self.connection() as connection, connection.transaction():
            token = _held.set(connection)
            try:
                yield
            finally:
                _held.reset(token)

    @contextlib.asynccontextmanager
    async def patient(self, seconds: float) -> AsyncIterator[None]:
        """Opens a transaction whose statements, in this task, may each take this long. Raises TooSlow after that."""
        async with self.transaction():
            self.in_use.discard(_held.get())  # the caller may work between two statements
            await self.execute(f"set local statement_timeout = {milliseconds(seconds)}")
            with self.limited(seconds + 1):
                yield

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cancels on the server each statement of the context, in this task, that takes longer. Raises TooSlow.

        This process measures the time, which costs no round trip. The wait for a connection does not count.
        """
        token = _limit.set(seconds)
        try:
            yield
        finally:
            _limit.reset(token)

    async def attempt(self, statement: Awaitable[Result | None]) -> Result | None:
        """Awaits `statement` in a savepoint and returns its result.

        If that is None, rolls back to the savepoint to release its row locks, so that the next statement can lock rows
        in the global order without deadlocks. Outside a transaction it only awaits the statement.
        """
        held = _held.get()
        if held is None:
            return await statement
        savepoint = held.transaction()
        await savepoint.start()
        try:
            result = await statement
        except BaseException:
            await savepoint.rollback()
            raise
        await (savepoint.rollback() if result is None else savepoint.commit())
        return result

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
        """Runs a command and returns its status, such as `UPDATE 1`."""
        return await self._run("execute", query, args)  # type: ignore[no-any-return]

    async def _run(self, method: str, query: str, args: tuple[Any, ...]) -> Any:
        if (held := _held.get()) is not None:
            return await getattr(held, method)(query, *args, timeout=self._limit_of_statement())
        user = current.get()
        connection = await self._acquire(user)
        try:
            result = await getattr(connection, method)(query, *args, timeout=self._limit_of_statement())
        except BaseException as error:
            await self._discard(connection, user, error)
            if isinstance(error, Exception) and (outage := outage_of(error)) is not None:
                raise outage from error
            raise
        self._release(connection, user)
        return result

    def _limit_of_statement(self) -> float | None:
        """Returns the seconds after which this process cancels a statement, None for those of the pool.

        On Citus that is the limit for locks, because `lock_timeout` is not in force on the workers.
        """
        limit = _limit.get()
        return self._settings.database_lock_timeout + 1 if limit is None and self.has_citus else limit

    async def _acquire(self, user: Hashable) -> Connection:
        """Waits for a place within the user's share and returns a connection, if possible one that is idle.

        Raises Unavailable after DATABASE_ACQUIRE_TIMEOUT, and Crowded if the user's own requests take the whole share.
        """
        try:
            limit = self._settings.database_acquire_timeout
            until = asyncio.get_running_loop().time() + limit
            await self._gate.take(user, limit)
            if self._idle:
                return await self._take(user)
            async with asyncio.timeout_at(until):
                return await self._take(user)
        except TimeoutError as error:
            if isinstance(user, str) and self._gate.is_full(user):
                raise Crowded from error
            raise NoneFree from error
        except Exception as error:
            if (outage := not_connected(error)) is None:
                raise
            raise outage from error

    async def _take(self, user: Hashable) -> Connection:
        """Returns a connection for a place that was taken for the user. Gives the place back on an error."""
        try:
            if self._pool is None:
                raise Unavailable("The database is not connected yet.")
            while self._idle:
                connection = self._idle.pop()
                if _is_open(connection):
                    self.in_use.add(connection)
                    return connection
                await self._pool.release(connection)
            connection = await self._pool.acquire()
            self.in_use.add(connection)
            return connection
        except BaseException:
            self._gate.give_back(user)
            raise

    def _release(self, connection: Connection, user: Hashable) -> None:
        """Keeps a connection for the next statement, after one that succeeded."""
        self.in_use.discard(connection)
        self._idle.append(connection)
        self._gate.give_back(user)

    async def _discard(self, connection: Connection, user: Hashable, error: BaseException) -> None:
        """Returns a connection to asyncpg's pool after a failed statement. The pool replaces it if it is broken."""
        assert self._pool is not None  # noqa: S101
        self.in_use.discard(connection)
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None  # it shows the row, and the error may be logged
            if self.has_citus:
                name_constraint(error)
        try:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # after a failover: replace all connections
                await self._pool.expire_connections()
                await self._return_idle()
            await self._pool.release(connection, timeout=_RELEASE_LIMIT)
        except Exception as failure:
            if outage_of(failure) is None:
                raise
            logger.debug("a broken connection was dropped: %r", failure)
        finally:
            self._gate.give_back(user)

    async def _return_idle(self) -> None:
        assert self._pool is not None  # noqa: S101
        while self._idle:
            await self._pool.release(self._idle.pop(), timeout=_RELEASE_LIMIT)


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the server closed it, and the pool took it back at once
        return False
