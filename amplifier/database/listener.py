"""Maintains one LISTEN connection per process, dispatches verified notifications, and reports its loss and return."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg

from amplifier.database.pool import Database
from amplifier.database.signatures import CHANNEL, KEYS, Signatures

logger = logging.getLogger(__name__)

_HEARTBEAT = 10.0  # seconds between signs of life; a dead peer is noticed no sooner otherwise
_FULL = 0.5  # of the queue of notifications; nothing is lost when it overflows, but everybody hears later
_BACK_OFF = (0.1, 5.0)  # seconds before the first and at most before any later attempt


class Audience(Protocol):
    """Who wants to know."""

    def hear(self, payload: str) -> None:
        """A notification came."""

    def set_hearing(self, hearing: bool) -> None:
        """From now on notifications arrive, or are lost: whoever remembers things must not trust its memory then."""


class Listener:
    """Tells its audiences of every notification on the channel, and when it goes deaf and hears again."""

    def __init__(self, database: Database, audiences: Sequence[Audience]) -> None:
        self._database = database
        self._audiences = audiences
        self._signatures = Signatures()

    async def keep_listening(self) -> None:
        """Listens for ever, over one connection after the other."""
        pause = _BACK_OFF[0]
        while True:
            try:
                connection = await self._database.dedicated()
                try:
                    await self._renew(connection)
                    await connection.add_listener(CHANNEL, self._receive)
                    self._set_hearing(True)
                    pause = _BACK_OFF[0]
                    await self._until_lost(connection)
                finally:
                    self._set_hearing(False)
                    connection.terminate()
            except Exception as error:  # whatever it was: a process that stopped listening would stay deaf
                logger.warning("the listening connection is gone, retrying: %r", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACK_OFF[1])

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if (verified := self._signatures.verified(str(payload))) is not None:
            for audience in self._audiences:
                audience.hear(verified)

    async def _renew(self, connection: "asyncpg.Connection[Any]") -> None:
        """Reads the keys, which an operator may have replaced, and the database's clock."""
        row = await connection.fetchrow(KEYS)
        assert row is not None  # noqa: S101
        self._signatures.renew(*row)

    def _set_hearing(self, hearing: bool) -> None:
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
                await self._renew(connection)
                # also moves the tail of the queue on, which nobody else does once it was full
                used = await connection.fetchval("select pg_notification_queue_usage()")
                if used > _FULL:
                    logger.warning(
                        "the database's queue of notifications is %d %% full: some listener is stuck", used * 100
                    )
