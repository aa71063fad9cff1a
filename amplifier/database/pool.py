"""The pool: every wait has a limit, JSON passes through as text, and an absent database is one exception."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import asyncpg
from msgspec import Raw

from amplifier.database import tls
from amplifier.database.outages import connecting, not_connected, outage_of
from amplifier.errors import Crowded, Unavailable
from amplifier.fair_share import Shares, current
from amplifier.settings import Settings

logger = logging.getLogger(__name__)

LISTENER = "amplifier-api listener"  # the name of each process's connection that listens, in pg_stat_activity
ROLE = "amplifier_app"  # owns nothing and can change no schema; whoever logs in must be a member of it
_RELEASE_LIMIT = 0.5  # seconds for a statement that was given up to stop; after that its connection is dropped


Result = TypeVar("Result")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[Any]"

_held: ContextVar["Connection | None"] = ContextVar("held", default=None)  # the connection of the task's transaction
_limit: ContextVar[float | None] = ContextVar("limit", default=None)  # seconds, where it is not the pool's


def refuse_in_transaction() -> None:
    """Raises RuntimeError inside a transaction: a client that is awaited there keeps a connection from all others."""
    if _held.get() is not None:
        raise RuntimeError("a client is awaited inside a transaction: receive and send before it begins or after it")


class Database:
    """A pool of connections to one database, as many as its busiest moment needed.

    Every call raises Unavailable where waiting longer would not help.
    """

    def __init__(self, settings: Settings, dsn: str) -> None:
        self._settings = settings
        self.dsn = dsn
        self._pool: asyncpg.Pool[Any] | None = None
        # The pool makes, checks and replaces connections; between two statements they wait here, because a pass through
        # the pool costs more than such a statement itself. Who holds the gate finds one here or free in the pool.
        most = settings.database_pool_max_size
        self._gate = Shares(most, max(1, most // 3))
        self._idle: list[Connection] = []

    async def connect(self) -> None:
        """Opens the pool. Raises Unavailable."""
        # it logs a traceback for each attempt while the database is away
        logging.getLogger("asyncpg.pool").setLevel(logging.CRITICAL)
        settings = self._settings
        with connecting():
            self._pool = await asyncpg.create_pool(
                self.dsn,
                min_size=settings.database_pool_min_size,
                max_size=settings.database_pool_max_size,
                timeout=settings.database_connect_timeout,
                # the server cancels first; this ends the wait when the server itself does not answer
                command_timeout=settings.database_statement_timeout + 1,
                max_inactive_connection_lifetime=300,
                statement_cache_size=1000,
                ssl=tls.context(self.dsn),
                server_settings=_server_settings(settings),
                init=_pass_json_through,
                reset=_keep,
            )

    async def close(self) -> None:
        """Returns the connections; those in use get a moment to finish."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._settings.database_statement_timeout):
                await self._return_idle()
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def dedicated(self) -> "asyncpg.Connection[Any]":
        """A connection outside the pool, for LISTEN. Raises Unavailable."""
        with connecting():
            return await asyncpg.connect(
                self.dsn,
                timeout=self._settings.database_connect_timeout,
                command_timeout=self._settings.database_statement_timeout + 1,
                ssl=tls.context(self.dsn),
                server_settings=_server_settings(self._settings) | {"application_name": LISTENER},
            )

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection for several statements."""
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
        """Statements that run in the context, in this task, are done all or none; inside another one they join it."""
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
        """A transaction whose statements, in this task, may take so long each."""
        async with self.transaction():
            await self.execute(f"set local statement_timeout = {_milliseconds(seconds)}")
            with self.limited(seconds + 1):
                yield

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Cancels on the server each statement of the context, in this task, that takes longer. Raises TooSlow.

        The limit is kept by this process, which costs no round trip. It does not include the wait for a connection.
        """
        token = _limit.set(seconds)
        try:
            yield
        finally:
            _limit.reset(token)

    async def attempt(self, statement: Awaitable[Result | None]) -> Result | None:
        """What a statement gives. If that is nothing, the transaction gives back the rows that the statement locked:
        the next one may lock others in the order that all statements use, and nobody waits for each other."""
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
        """All rows."""
        return await self._run("fetch", query, args)  # type: ignore[no-any-return]

    async def fetchrow(self, query: str, /, *args: Any) -> Any:
        """The first row or none."""
        return await self._run("fetchrow", query, args)

    async def fetchval(self, query: str, /, *args: Any) -> Any:
        """The first column of the first row or none."""
        return await self._run("fetchval", query, args)

    async def execute(self, query: str, /, *args: Any) -> str:
        """The command's status text."""
        return await self._run("execute", query, args)  # type: ignore[no-any-return]

    async def _run(self, method: str, query: str, args: tuple[Any, ...]) -> Any:
        if (held := _held.get()) is not None:
            return await getattr(held, method)(query, *args, timeout=_limit.get())
        user = current.get()
        connection = await self._acquire(user)
        try:
            result = await getattr(connection, method)(query, *args, timeout=_limit.get())
        except BaseException as error:
            await self._discard(connection, user, error)
            if isinstance(error, Exception) and (outage := outage_of(error)) is not None:
                raise outage from error
            raise
        self._release(connection, user)
        return result

    async def _acquire(self, user: Hashable) -> Connection:
        """A connection that was used before, or one from the pool, which makes it if need be; within the user's share.

        Raises Unavailable, and Crowded while the user's own requests take that share.
        """
        try:
            if self._idle and self._gate.take_at_once(user):
                return await self._take(user)
            async with asyncio.timeout(self._settings.database_acquire_timeout):
                await self._gate.take(user)
                return await self._take(user)
        except TimeoutError as error:
            if isinstance(user, str) and self._gate.is_full(user):
                raise Crowded from error
            raise Unavailable("No database connection became free in time.") from error
        except Exception as error:
            if (outage := not_connected(error)) is None:
                raise
            raise outage from error

    async def _take(self, user: Hashable) -> Connection:
        """A connection for the place at the gate that was taken for the user; when there is none, the place is given
        back."""
        try:
            if self._pool is None:
                raise Unavailable("The database is not connected yet.")
            while self._idle:
                connection = self._idle.pop()
                if _is_open(connection):
                    return connection
                await self._pool.release(connection)
            return await self._pool.acquire()
        except BaseException:
            self._gate.give_back(user)
            raise

    def _release(self, connection: Connection, user: Hashable) -> None:
        """Keeps a connection after a statement that went well for the next one."""
        self._idle.append(connection)
        self._gate.give_back(user)

    async def _discard(self, connection: Connection, user: Hashable, error: BaseException) -> None:
        """Hands a connection whose statement failed back to the pool, which knows what to do with it."""
        assert self._pool is not None  # noqa: S101
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None  # it shows the row, and the error may be logged
        try:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):  # after a failover: all have to go
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


def _server_settings(settings: Settings) -> dict[str, str]:
    return {
        "application_name": "amplifier-api",
        "timezone": "UTC",
        "jit": "off",  # compiling takes longer than any of these statements
        # One plan for all calls. PostgreSQL's own choice plans some statements anew for each call, above all those with
        # arrays: 5.4 ms instead of 0.1 for streams.list_present, 1.8 instead of 0.2 for participants.touch.
        "plan_cache_mode": "force_generic_plan",
        "role": ROLE,
        "statement_timeout": _milliseconds(settings.database_statement_timeout),
        "lock_timeout": _milliseconds(settings.database_lock_timeout),
        "idle_in_transaction_session_timeout": "10000",
    }


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))  # zero would mean no limit


async def _pass_json_through(connection: "asyncpg.Connection[Any]") -> None:
    """JSON stays text on its way: bytes in, msgspec.Raw out. The first byte is the version of jsonb's binary form."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + bytes(value),
        decoder=lambda data: Raw(data[1:]),
    )


async def _keep(_: object) -> None:
    """In place of the pool's reset, a round trip for each release: pooled connections keep no session state here."""
