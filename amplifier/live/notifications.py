"""Tells the other processes what changed: after the commit, many changes in one NOTIFY, a few milliseconds apart.

A NOTIFY inside the transaction of an append would make all commits of the cluster wait for each other. What gets lost
is found by the sweeps of whoever follows, so an error costs a second or two and no event.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

PREFIX = "events "
_EVERYTHING = f"{PREFIX}*".encode()
_MAX_PAYLOAD = 7900  # bytes; PostgreSQL refuses 8,000, and a signature has 50
_MAX_SAID = 7700  # of what is passed on in one notice; the rest is its frame
_MOST = 300  # of anything in one notice; more would not fit anyway
_PASSED_ON = re.compile(r"typing|read|[a-z_]{1,50}:[a-z_]{1,50}")  # never the type of an event of the log


class Gone(msgspec.Struct, array_like=True):
    """A session that people lost: it was deleted, or they were removed."""

    session_id: str
    type: Literal["participant.removed", "session.deleted"]
    user_ids: list[str]


class Said(msgspec.Struct, array_like=True):
    """What is passed on once and never stored: `data` is a JSON object."""

    session_id: str
    type: str
    data: msgspec.Raw


class Notice(msgspec.Struct, omit_defaults=True):
    """What one process tells the others. `everything` (as text `*`): more than fits, look at all that you watch."""

    process: str
    changed: list[str] = []
    present: list[str] = []
    gone: list[Gone] = []
    said: list[Said] = []
    everything: bool = False


class Notifier:
    """Collects what to tell and sends it."""

    def __init__(self, queries: Queries, delay: float) -> None:
        self._queries = queries
        self._delay = delay
        self._wanted = asyncio.Event()
        self.process = uuid.uuid4().hex
        self._reset()

    def _reset(self) -> None:
        self._changed: set[str] = set()
        self._present: set[str] = set()
        self._gone: list[Gone] = []
        self._said: list[Said] = []

    def changed(self, session_id: str) -> None:
        """Something was committed in a session."""
        self._add(self._changed, session_id)

    def present(self, session_id: str) -> None:
        """Somebody came to a session or left it."""
        self._add(self._present, session_id)

    def gone(self, gone: Gone) -> None:
        """People lost a session."""
        if len(self._gone) < _MOST:
            self._gone.append(gone)
            self._wanted.set()

    def said(self, said: Said) -> None:
        """Something to pass on; dropped where there is too much of it."""
        if len(self._said) < _MOST:
            self._said.append(said)
            self._wanted.set()

    async def keep_sending(self) -> None:
        """Sends what was collected, for ever."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self._delay)
            await self.flush()

    async def flush(self) -> None:
        """Sends what was collected, if anything."""
        if not self._wanted.is_set():
            return
        self._wanted.clear()
        notice, said = Notice(self.process, list(self._changed), list(self._present), self._gone), self._said
        self._reset()
        try:
            for payload in self._payloads(notice, said):
                await self._queries.events.notify(payload=payload.decode())
        except Exception as error:  # whatever it was: the sweeps find what nobody was told of
            logger.warning("other processes hear of changes later: %r", error)

    def _payloads(self, notice: Notice, said: list[Said]) -> Iterator[bytes]:
        for parcel in _parcels(said):
            yield _payload(Notice(self.process, said=parcel))
        if notice.changed or notice.present or notice.gone:
            payload = _payload(notice)
            fits = len(payload) <= _MAX_PAYLOAD and max(len(notice.changed), len(notice.present)) <= _MOST
            yield payload if fits else _EVERYTHING

    def _add(self, where: set[str], session_id: str) -> None:
        if len(where) <= _MOST:  # one more than fits says that there are more
            where.add(session_id)
        self._wanted.set()


def _parcels(said: list[Said]) -> Iterator[list[Said]]:
    """What was said, as much in one notice as fits; what alone is too large for one is left out."""
    parcel: list[Said] = []
    size = 0
    for one in said:
        length = len(msgspec.json.encode(one)) + 1
        if length > _MAX_SAID:
            continue
        if size + length > _MAX_SAID:
            yield parcel
            parcel, size = [], 0
        parcel.append(one)
        size += length
    if parcel:
        yield parcel


def read(payload: str) -> Notice | None:
    """The notice in a notification, or none: others use the channel, too."""
    if not payload.startswith(PREFIX):
        return None
    if payload == _EVERYTHING.decode():
        return Notice("", everything=True)
    try:
        notice = _decoder.decode(payload.removeprefix(PREFIX))
        notice.said = [_written_anew(said) for said in notice.said if _PASSED_ON.fullmatch(said.type)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        logger.warning("a notification was not understood: %s", error)
        return None
    return notice


def _written_anew(said: Said) -> Said:
    """Decodes and encodes the data: as it came it may have line breaks, which would end a server-sent event."""
    data = msgspec.json.decode(said.data, type=dict[str, Any])
    return Said(said.session_id, said.type, msgspec.Raw(msgspec.json.encode(data)))


def _payload(notice: Notice) -> bytes:
    return PREFIX.encode() + msgspec.json.encode(notice)


_decoder = msgspec.json.Decoder(Notice)
