"""Opens connections at the one of several hosts that takes writes, and leaves the others after a promotion.

asyncpg tries hosts one after the other, and one that swallows packets takes the whole time. An address with one host is
left to asyncpg.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg

from amplifier.postgres_urls import Host, hosts_of, target_of

logger = logging.getLogger(__name__)

Connection: TypeAlias = "asyncpg.Connection[Any]"
Opened: TypeAlias = Callable[[Host | None], Awaitable[Connection]]

_HEAD_START = 0.25  # seconds that a host has to answer before the next one is tried as well
_known: "dict[str, Hosts]" = {}  # by address: the pool and the listening connection move together


async def connect(dsn: str, opened: Opened) -> Connection:
    """Returns a connection to an address. `opened` opens it at a host, or with None where the address has one only.

    Raises what `opened` raises, and OSError.
    """
    if (hosts := _known.get(dsn)) is None:
        found = hosts_of(dsn)
        are_for_writes = len(found) > 1 and target_of(dsn) in ("read-write", "primary")
        hosts = _known.setdefault(dsn, Hosts(found if len(found) > 1 else [None], are_for_writes))
    return await hosts.connect(opened)


def end_all(dsn: str) -> None:
    """Ends all connections to an address. Statements under way raise an error."""
    if (hosts := _known.get(dsn)) is not None:
        for connection in list(hosts.connections):
            connection.terminate()


def must_leave(connection: Connection) -> bool:
    """Returns whether the server of a connection reported that it takes writes no more, while another host may."""
    if not any(hosts.are_for_writes and connection in hosts.connections for hosts in _known.values()):
        return False
    reported = connection.get_settings()
    return "on" in (getattr(reported, name, "off") for name in ("in_hot_standby", "default_transaction_read_only"))


class Hosts:
    """The hosts of an address, the one that was found to fit last, and the connections to all of them."""

    def __init__(self, hosts: Sequence[Host | None], are_for_writes: bool) -> None:
        self.are_for_writes = are_for_writes
        self._hosts = hosts
        self._present = hosts[0]
        self.connections: WeakKeyDictionary[Connection, Host | None] = WeakKeyDictionary()

    async def connect(self, opened: Opened) -> Connection:
        """Returns the first connection that `opened` opens. Each host that answers nothing delays it by 0.25 s.

        Raises the error of the host that was the last one to fit, or that of a server that refused the login.
        """
        before = self._present
        left = sorted(self._hosts, key=lambda host: host != before)
        tasks: dict[asyncio.Future[Connection], Host | None] = {}
        errors: list[BaseException] = []
        try:
            while left or tasks:
                if left:
                    host = left.pop(0)
                    tasks[asyncio.ensure_future(opened(host))] = host
                done, _ = await asyncio.wait(
                    tasks, timeout=_HEAD_START if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if (error := task.exception()) is None:
                        return self._keep(task.result(), tasks.pop(task), before)
                    del tasks[task]
                    errors.append(error)
        finally:
            for task in tasks:
                task.add_done_callback(_close)
                task.cancel()
        raise next((error for error in errors if isinstance(error, asyncpg.PostgresError)), errors[0])

    def _keep(self, connection: Connection, host: Host | None, before: Host | None) -> Connection:
        """Notes a connection. If its host is another one than before, ends all connections to others."""
        if host != self._present and self._present != before:
            connection.terminate()
            raise ConnectionError(f"the database moved from {host} meanwhile")
        self.connections[connection] = host
        if host != self._present:
            logger.warning("the database moved from %s to %s", self._present, host)
            self._present = host
            for other in [other for other, its_host in self.connections.items() if its_host != host]:
                other.terminate()
        return connection


def _close(task: "asyncio.Future[Connection]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
