"""One LISTEN connection a process: it hears what changed elsewhere, and knows when it is deaf."""

import asyncio
import logging
from typing import Any, Protocol

import asyncpg

from amplifier.database import Database

logger = logging.getLogger(__name__)

CHANNEL = "amplifier"
_HEARTBEAT = 10.0  # seconds between signs of life; a dead peer is noticed no sooner otherwise
_BACK_OFF = (0.1, 5.0)  # seconds before the first and at most before any later attempt


class Audience(Protocol):
    """Who wants to know."""

    def hear(self, payload: str) -> None:
        """A notification came."""

    def set_hearing(self, hearing: bool) -> None:
        """From now on notifications arrive, or are lost: whoever remembers things must not trust its memory then."""


class Listener:
    """Tells its audience of every notification on the channel, and when it goes deaf and hears again."""

    def __init__(self, database: Database, audience: Audience) -> None:
        self._database = database
        self._audience = audience

    async def keep_listening(self) -> None:
        """Listens for ever, over one connection after the other."""
        pause = _BACK_OFF[0]
        while True:
            try:
                connection = await self._database.dedicated()
                try:
                    await connection.add_listener(CHANNEL, self._receive)
                    self._audience.set_hearing(True)
                    pause = _BACK_OFF[0]
                    await self._until_lost(connection)
                finally:
                    self._audience.set_hearing(False)
                    connection.terminate()
            except Exception as error:  # whatever it was: a process that stopped listening would stay deaf
                logger.warning("the listening connection is gone, retrying: %r", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACK_OFF[1])

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._audience.hear(str(payload))

    async def _until_lost(self, connection: "asyncpg.Connection[Any]") -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not (lost.is_set() or connection.is_closed()):
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await lost.wait()
            except TimeoutError:
                await connection.fetchval("select 1")
