"""Histories that a process keeps between the turns of its sessions, so that the next turn reads newer messages only.

Each turn compares a kept history with the database, in the statement that reads the newer messages: nothing here is
trusted. Only modules of the service get messages that are kept, because another could change them. A turn finds the
messages as earlier turns validated them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from amplifier import json_numbers
from amplifier.errors import Unavailable
from amplifier.queries.registry import Queries
from amplifier.runtime.history import History, Limits, own, sendable
from amplifier.runtime.transcript_writer import Message
from amplifier.transcripts.plain import is_plain

_MOST_BYTES = 4 * 1024 * 1024  # of JSON in all; as objects, with their validated forms, they take ten times as much
_MOST_OF_ONE = 2 * 1024 * 1024  # bytes of JSON of one session
_MOST = 500  # sessions
_SECONDS = 600.0  # until a history is forgotten that no turn used


class Kept(NamedTuple):
    """The messages of a transcript up to `last_seq`, as they are stored and as models accept them.

    `number` and `hash` identify them in the database. `is_plain` tells that nothing had to be repaired. `models` has
    their validated forms, as `History` describes.
    """

    last_seq: int = 0
    number: int = 0
    hash: int = 0
    bytes: int = 0
    newest: tuple[Message, ...] = ()
    messages: tuple[Message, ...] = ()
    is_plain: bool = True
    models: Mapping[int, Any] = MappingProxyType({})

    def with_newer(self, row: Any, up_to_seq: int) -> "Kept":
        """Returns these messages followed by those of a row of `runs.get_newer_history`."""
        newer = json_numbers.read(row["messages"])
        stays_plain = self.is_plain and is_plain(own(newer))
        newest = (*self.newest, *newer)
        messages = (*self.messages, *sendable(newer)) if stays_plain else tuple(sendable(list(newest)))
        return Kept(
            up_to_seq,
            self.number + row["number"],
            self.hash ^ row["hash"],
            self.bytes + row["bytes"],
            newest,
            messages,
            stays_plain,
            {key: self.models.get(key) for key in map(id, messages)},
        )

    @property
    def history(self) -> History:
        """The messages, for one turn."""
        return History(list(self.messages), list(self.newest), models=self.models)


_TOO_LONG = Kept(last_seq=-1)  # in the place of a history that has more than an agent may read


class Histories:
    """The kept histories of one process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Kept]] = OrderedDict()  # by session, with the time of the last use
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._kept)

    async def read(self, queries: Queries, session_id: str, up_to_seq: int, limits: Limits) -> History | None:
        """Returns the history of a session and keeps it. Returns None if it has to be read otherwise."""
        if (kept := self.find(session_id)) is _TOO_LONG:
            return None
        try:
            row = await queries.runs.get_newer_history(
                session_id=session_id,
                after=kept.last_seq,
                up_to_seq=up_to_seq,
                known=kept.number,
                known_hash=kept.hash,
                limit=limits.messages - kept.number,
                max_bytes=limits.bytes - kept.bytes,
            )
        except Unavailable:
            return None  # `runs.get_history` waits for the database
        if row["messages"] is None:
            self.forget(session_id)
            if not kept.number:
                self.keep(session_id, _TOO_LONG)
            return None
        kept = kept.with_newer(row, up_to_seq)
        self.keep(session_id, kept)
        return kept.history

    def find(self, session_id: str) -> Kept:
        """Returns the kept history of a session, or an empty one."""
        return self._kept[session_id][1] if session_id in self._kept else Kept()

    def keep(self, session_id: str, kept: Kept) -> None:
        """Keeps a history instead of a former one, and forgets those that were not used for longest."""
        self.forget(session_id)
        if kept.bytes > _MOST_OF_ONE:
            return
        loop = asyncio.get_running_loop()
        self._kept[session_id] = loop.time(), kept
        self._bytes += kept.bytes
        while self._bytes > _MOST_BYTES or len(self._kept) > _MOST:
            self.forget(next(iter(self._kept)))
        if self._timer is None:
            self._timer = loop.call_later(_SECONDS, self._expire)

    def forget(self, session_id: str) -> None:
        """Forgets the history of a session, if there is one."""
        if (found := self._kept.pop(session_id, None)) is not None:
            self._bytes -= found[1].bytes

    def _expire(self) -> None:
        """Forgets histories that no turn used for ten minutes, also those of sessions that were deleted."""
        loop, self._timer = asyncio.get_running_loop(), None
        for session_id, (used, _) in list(self._kept.items()):
            if used + _SECONDS <= loop.time():
                self.forget(session_id)
        if self._kept:
            self._timer = loop.call_later(_SECONDS / 10, self._expire)
