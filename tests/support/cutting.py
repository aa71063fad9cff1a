"""A proxy for PostgreSQL that cuts a connection at a chosen point of the protocol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

Lost = Literal["request", "answer"]
_SIZE = 1 << 20  # bytes that are passed on at once


class Cutter:
    """Passes all bytes on. When armed, it cuts the connection that sends the n-th message.

    It cuts before it passes the message on (`request` is lost) or before the response (`answer` is lost).
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = conninfo_to_dict(dsn)
        self._host, self._port = str(parts["host"]), str(parts.get("port", "5432"))
        self.socket = folder / ".s.PGSQL.5432"
        login = f"{quote(str(parts['user']))}:{quote(str(parts.get('password', '')))}"
        self.dsn = f"postgresql://{login}@/{parts['dbname']}?{urlencode({'host': folder})}"
        self._left = 0
        self._lost: Lost = "request"

    def arm(self, point: int, lost: Lost) -> None:
        """Cuts at the n-th message from now on."""
        self._left, self._lost = point, lost

    def disarm(self) -> bool:
        """Disarms the proxy. Returns whether it has cut a connection."""
        left, self._left = self._left, 0
        return left == 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection until either side closes it or it is cut."""
        if self._host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            there = await asyncio.open_connection(self._host, int(self._port))
        deaf = asyncio.Event()
        back = asyncio.create_task(_pass_on(there[0], writer, deaf))
        with contextlib.suppress(ConnectionError):
            while said := await reader.read(_SIZE):
                cut = self._left == 1
                self._left -= self._left > 0
                if cut and self._lost == "request":
                    break
                if cut:
                    deaf.set()
                there[1].write(said)
                if cut:
                    await asyncio.wait_for(asyncio.shield(back), 10)  # PostgreSQL has answered
                    break
        back.cancel()
        there[1].close()
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
    """Passes on PostgreSQL's responses, up to the first one that must get lost."""
    with contextlib.suppress(ConnectionError):
        while said := await reader.read(_SIZE):
            if deaf.is_set():
                return
            writer.write(said)


@contextlib.asynccontextmanager
async def cutting(dsn: str, folder: Path) -> AsyncIterator[Cutter]:
    """Starts the proxy, whose socket is in the folder."""
    cutter = Cutter(dsn, folder)
    server = await asyncio.start_unix_server(cutter.serve, cutter.socket)
    try:
        yield cutter
    finally:
        server.close()
