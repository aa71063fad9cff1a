"""Maintains one LISTEN connection per process, dispatches verified notifications, and reports its loss and return."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg

from amplifier import clock
from amplifier.database import hosts
from amplifier.database.pool import Database
from amplifier.database.signatures import CHANNEL, KEYS, Signatures
from amplifier.telemetry import recorder

logger = logging.getLogger(__name__)

NOW = "select extract(epoch from clock_timestamp())::double precision"  # the database's clock
# Seconds between two checks of the connection, and for each: a dead peer goes unnoticed without them. The pool leaves a
# host that is dead or takes no writes any more when this connection was opened again at another one.
_HEARTBEAT, _HEARTBEAT_LIMIT = 1.0, 2.0
_FULL = 0.5  # of the queue of notifications; when it overflows nothing is lost, but all notifications are late
_BACK_OFF = (0.1, 1.0)  # seconds before the first attempt to reconnect, and at most before a later one


class Audience(Protocol):
    """An object that handles notifications."""

    def hear(self, payload: str) -> None:
        """Handles the payload of a verified notification."""

    def set_hearing(self, hearing: bool) -> None:
        """Handles the loss of the connection (False) and its return (True). In between, notifications are lost."""


class Listener:
    """Passes every verified notification to its audiences, and reports the connection's loss and return."""

    def __init__(self, database: Database, audiences: Sequence[Audience]) -> None:
        self._database = database
        self._audiences = audiences
        self._signatures = Signatures()
        self.is_connected = False
        self.queue_usage = 0.0  # the used part of the database's queue of notifications
        self.database_time = self._signatures.database_time

    async def keep_listening(self) -> None:
        """Listens, and reconnects when the connection is lost. Never returns."""
        pause, is_first = _BACK_OFF[0], True
        while True:
            try:
                connection = await self._database.dedicated()
                try:
                    await self._renew(connection)
                    await connection.add_listener(CHANNEL, self._receive)
                    self._set_hearing(True)
                    if not is_first:
                        recorder.current.reconnected()
                    pause, is_first = _BACK_OFF[0], False
                    await self._until_lost(connection)
                finally:
                    self._set_hearing(False)
                    connection.terminate()
            except Exception as error:  # of any kind: the process must not stay without notifications
                logger.warning("the listening connection was lost, opening it again: %r", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACK_OFF[1])

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if (verified := self._signatures.verified(str(payload))) is not None:
            for audience in self._audiences:
                audience.hear(verified)

    async def _renew(self, connection: "asyncpg.Connection[Any]") -> None:
        """Reads the signing keys, which an operator may have replaced, and the database's clock."""
        row = await connection.fetchrow(KEYS)
        assert row is not None  # noqa: S101
        self._signatures.renew(*row)
        clock.agree(row["seconds"])

    def _set_hearing(self, hearing: bool) -> None:
        self.is_connected = hearing
        for audience in self._audiences:
            audience.set_hearing(hearing)

    async def _until_lost(self, connection: "asyncpg.Connection[Any]") -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not (lost.is_set() or connection.is_closed()):
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await lost.wait()
            except TimeoutError:
                async with asyncio.timeout(_HEARTBEAT_LIMIT):
                    await self._check(connection)

    async def _check(self, connection: "asyncpg.Connection[Any]") -> None:
        """Renews the keys and reads the queue's state. Raises an error if the connection must be opened again."""
        await self._renew(connection)
        # also advances the tail of the queue, which nothing else does after it was full
        self.queue_usage = used = await connection.fetchval("select pg_notification_queue_usage()")
        if used > _FULL:
            logger.warning("the database's queue of notifications is %d %% full: some listener is stuck", used * 100)
        if hosts.must_leave(connection):
            raise ConnectionError("its server takes no writes any more")
