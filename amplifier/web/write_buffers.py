"""Limits on data that clients have not read yet: for each connection and for each user."""

import asyncio
from collections import defaultdict
from typing import Any

from amplifier.web.scope_keys import ROUTED

READ_SECONDS = 60.0  # until a client must have read enough of a full buffer
MOST_UNREAD = 32 * 1024 * 1024  # bytes that wait for one user in a process, unless one connection alone has more
FLUSH_SECONDS = 2.0  # until the client must have read the rest of an answer that was ended

_unread: defaultdict[str, dict["Unread", None]] = defaultdict(dict)  # by user, the longest full buffer first


class Unread(asyncio.Protocol):
    """Aborts connections whose client has stopped reading, so that write buffers cannot grow without bound.

    Costs nothing while buffers are below their high-water mark.
    """

    transport: asyncio.Transport
    scope: Any = None
    _stalled: asyncio.TimerHandle | None = None
    _owner = ""

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = asyncio.get_running_loop().call_later(READ_SECONDS, self.transport.abort)
            self._owner = _owner_of(self.scope or {})
            _unread[self._owner][self] = None
            _bound(_unread[self._owner])

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._read()

    def _cut_off_later(self, seconds: float) -> None:
        """Aborts the connection after `seconds`; closing alone waits for the client without a limit."""
        asyncio.get_running_loop().call_later(seconds, self.transport.abort)

    def _read(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
            _unread[self._owner].pop(self, None)
            if not _unread[self._owner]:
                del _unread[self._owner]


def _owner_of(scope: Any) -> str:
    """Returns the user, or the peer's address before authentication."""
    user = scope.get(ROUTED, scope).get("user")
    return f"user {user.user_id}" if user is not None else f"address {(scope.get('client') or ('',))[0]}"


def _bound(connections: dict[Unread, None]) -> None:
    """Aborts a user's connections until the rest hold at most MOST_UNREAD, longest full first, never the newest."""
    size = sum(one.transport.get_write_buffer_size() for one in connections)
    for slowest in list(connections)[:-1]:
        if size <= MOST_UNREAD:
            return
        size -= slowest.transport.get_write_buffer_size()
        slowest.transport.abort()
