"""Finds connections whose server or network vanished without closing them, long before a statement's limit does.

Such a connection takes every byte and never answers. The kernel finds it where the other host no longer acknowledges
(`limit`); where a firewall or a proxy still does, `Watch` asks the server through a new connection.
"""

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, Protocol

import asyncpg

from amplifier.errors import Unavailable

logger = logging.getLogger(__name__)

_LOOK = 0.5  # seconds between two looks at the connections in use
_SILENT = 1.5  # seconds without a byte of an answer, after which the server is asked
_ANSWER = 0.5  # seconds for an idle connection to answer, once another one turned out to be dead
_UNACKNOWLEDGED = 3000  # milliseconds that sent bytes may wait for the other host
_KEEPALIVE = (30, 2, 3)  # seconds of silence, seconds between probes, probes; below the idle limits of NAT gateways

# A session that waits for its client is idle, in a transaction or not, or has parsed a statement and is still active.
_WAITS = "(state like 'idle%' or wait_event is not distinct from 'ClientRead')"
# The state is null where it is not visible, as in a role without rights.
_ASK = f"""
select pg_backend_pid() as own, coalesce(array_agg(pid), '{{}}') as at_work
from pg_stat_activity
where pid = any($1::int[]) and {_WAITS} is not true
"""  # noqa: S608
# What a lost connection left behind: a transaction that keeps its locks.
_END = f"""
select count(pg_terminate_backend(pid))
from pg_stat_activity
where pid = any($1::int[]) and usename = session_user and application_name = 'amplifier-api' and {_WAITS}
"""  # noqa: S608


class _Pool(Protocol):
    """The pool, as far as it is watched."""

    @property
    def in_use(self) -> Iterable[Any]:
        """The connections that callers hold, as long as they do nothing else between two statements."""

    async def bare(self, seconds: float) -> Any:
        """Opens a connection outside the pool. Raises Unavailable."""

    async def replace_silent(self, seconds: float) -> int:
        """Replaces idle connections that do not answer within `seconds`. Returns their number."""


def limit(connection: Any) -> None:
    """Lets the kernel break a TCP connection whose other host vanished."""
    wire = _socket(connection)
    if wire is None:
        return
    idle, interval, count = _KEEPALIVE
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)


class Watch:
    """Drops connections that wait for an answer which the server does not work on."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool

    async def keep_watching(self) -> None:
        """Looks at the connections in use. Never returns."""
        while True:
            await asyncio.sleep(_LOOK)
            silent = {one: seconds for one in self._pool.in_use if (seconds := _unanswered(one)) > _SILENT}
            if silent:
                try:
                    await self._ask(silent)
                except (Unavailable, TimeoutError) as error:  # the outage goes on; statements end at their limits
                    logger.debug("the database could not be asked about silent connections: %r", error)
                except Exception as error:  # of any kind: the next look tries again
                    logger.warning("silent connections were not checked: %r", error)

    async def _ask(self, silent: dict[Any, float]) -> None:
        """Drops those that the server does not work for, and ends what they left there."""
        bare = await self._pool.bare(_SILENT)
        try:
            async with asyncio.timeout(_SILENT):
                # a login sees its own sessions. In a transaction that ends with the connection, because the session of
                # the server may be one that a pooler gives to others next
                await bare.execute("begin; set local role none")
                row = await bare.fetchrow(_ASK, [one.get_server_pid() for one in silent])
                if row["own"] != bare.get_server_pid():
                    return  # a pooler, which numbers sessions as it likes
                dead = [one for one, seconds in silent.items() if _is_dead(one, seconds, row["at_work"])]
                if dead:
                    await self._replace(dead, bare)
        finally:
            bare.terminate()

    async def _replace(self, dead: list[Any], bare: Any) -> None:
        """Drops connections, tests those that are idle, and ends the sessions at the server."""
        lost = [one.get_server_pid() for one in dead]
        testing = asyncio.ensure_future(self._pool.replace_silent(_ANSWER))
        await asyncio.sleep(0)  # the idle ones are set aside before a caller whose statement fails takes one
        await bare.execute(_END, lost)
        for one in dead:
            one.terminate()
        logger.warning(
            "%d connections to the database had no answer to a statement, and %d idle ones none to a test:"
            " they were replaced",
            len(dead),
            await testing,
        )


def _is_dead(connection: Any, seconds: float, at_work: list[int]) -> bool:
    """Returns whether the server has no statement of a connection that has sent nothing in the meantime."""
    return _unanswered(connection) > seconds and connection.get_server_pid() not in at_work


def _unanswered(connection: Any) -> float:
    """Returns the seconds since the last byte was sent if no byte was received later, else 0.

    An answer within the same millisecond counts as none: the server's view decides. Returns 0 where that is not known:
    for Unix sockets, which break with their server, and outside Linux.
    """
    wire = None if sys.platform != "linux" else _socket(connection)
    if wire is None:
        return 0.0
    # in struct tcp_info: tcpi_last_data_sent and tcpi_last_data_recv, milliseconds ago
    sent, _, received = struct.unpack_from("3I", wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 56), 44)
    return sent / 1000 if received >= sent else 0.0


def _socket(connection: Any) -> Any:
    """Returns the TCP socket of an open connection, or None."""
    try:
        if connection.is_closed():
            return None
    except asyncpg.InterfaceError:  # the pool took it back
        return None
    wire = connection._transport.get_extra_info("socket")
    return wire if wire is not None and wire.family in (socket.AF_INET, socket.AF_INET6) else None
