"""Sends and decodes the notices that inform other processes of changes. `database/listener.py` receives them.

Changes are collected for a few milliseconds after their commits and sent in one NOTIFY. A NOTIFY inside the transaction
of an append would make all commits of the cluster wait for each other. The sweeps of the other processes find changes
whose notice is lost, so that an error delays events by a second or two and loses none.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from amplifier.queries.registry import Queries
from amplifier.telemetry import tracing
from amplifier.telemetry.origins import Origins
from amplifier.telemetry.trace_context import TraceContext

logger = logging.getLogger(__name__)

PREFIX = "events "
_EVERYTHING = f"{PREFIX}*".encode()
_MAX_PAYLOAD = 7900  # bytes; PostgreSQL refuses 8,000, and a signature has 50
_MAX_SAID = 7700  # bytes of events that are never replayed in one notice; its other members need the rest
_MOST_TRACED = 10  # sessions in a notice whose trace it names, of 100 bytes each
_AT_FULL_PACE = (
    10  # processes that may send a notice per delay: each notice costs each process, and the database for each
)
_ACTIVE = 2.0  # seconds in which a process counts after its last notice
_MOST = 300  # items of each kind in one notice; more would not fit anyway
_PASSED_ON = re.compile(r"typing|read|[a-z_]{1,50}:[a-z_]{1,50}")  # never the type of an event of the log


class Gone(msgspec.Struct, array_like=True):
    """A session that users lost: it was deleted, or they were removed from it."""

    session_id: str
    type: Literal["participant.removed", "session.deleted"]
    user_ids: list[str]


class Said(msgspec.Struct, array_like=True):
    """An event that is never stored or replayed. `data` is a JSON object."""

    session_id: str
    type: str
    data: msgspec.Raw


class Notice(msgspec.Struct, omit_defaults=True):
    """A message of one process to the others: the sessions that changed, and events that are never replayed.

    `everything` (sent as `*`) replaces lists that do not fit: the receiver checks all the sessions that it follows.
    `traces` has the `traceparent` of requests that changed a session, by its id.
    """

    process: str
    changed: list[str] = []
    present: list[str] = []
    gone: list[Gone] = []
    said: list[Said] = []
    everything: bool = False
    traces: dict[str, str] = {}


class Notifier:
    """Collects changes and sends them to the other processes in notices."""

    def __init__(self, queries: Queries, delay: float) -> None:
        self._queries = queries
        self._delay = delay
        self._wanted = asyncio.Event()
        self.process = uuid.uuid4().hex
        self.origins = Origins()  # of the changes that are collected
        self._heard: dict[str, float] = {}  # when each other process sent its last notice
        self._reset()

    def _reset(self) -> None:
        self._changed: set[str] = set()
        self._present: set[str] = set()
        self._gone: list[Gone] = []
        self._said: list[Said] = []

    def changed(self, session_id: str) -> None:
        """Adds a session in which an event was committed."""
        self._add(self._changed, session_id)

    def present(self, session_id: str) -> None:
        """Adds a session whose followers changed."""
        self._add(self._present, session_id)

    def gone(self, gone: Gone) -> None:
        """Adds a session that users lost."""
        if len(self._gone) < _MOST:
            self._gone.append(gone)
            self._wanted.set()

    def said(self, said: Said) -> None:
        """Adds an event that is never replayed; drops it if too many are waiting."""
        if len(self._said) < _MOST:
            self._said.append(said)
            self._wanted.set()

    def heard(self, process: str) -> None:
        """Notes that another process has sent a notice."""
        self._heard[process] = time.monotonic()

    @property
    def pause(self) -> float:
        """The seconds for which changes are collected: longer when many processes send, so that all send no more.

        A notice reaches all processes. At a constant pause their work, and the database's, would grow with the square
        of their number.
        """
        latest = time.monotonic() - _ACTIVE
        self._heard = {process: at for process, at in self._heard.items() if at > latest}
        return self._delay * max(1.0, (len(self._heard) + 1) / _AT_FULL_PACE)

    async def keep_sending(self) -> None:
        """Sends notices as changes are added. Never returns."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(self.pause)
            await self.flush()

    async def flush(self) -> None:
        """Sends what was collected, if anything. Logs errors instead of raising them."""
        if not self._wanted.is_set():
            return
        self._wanted.clear()
        notice, said = Notice(self.process, list(self._changed), list(self._present), self._gone), self._said
        origins = self.origins.take_all()
        self._reset()
        try:
            spans = [span for of_session in origins.values() for span in of_session]
            with tracing.entered(tracing.continued(spans, "notify", "producer")):
                for payload in self._payloads(notice, said, origins):
                    await self._queries.events.notify(payload=payload.decode())
        except Exception as error:  # of any kind: the sweeps of the other processes find the changes
            logger.warning("other processes were not notified and find changes within seconds: %r", error)

    def _payloads(self, notice: Notice, said: list[Said], origins: dict[str, list[TraceContext]]) -> Iterator[bytes]:
        for parcel in _parcels(said):
            yield _payload(Notice(self.process, said=parcel))
        if notice.changed or notice.present or notice.gone:
            payload = _payload(notice)
            if origins:
                traced = list(origins.items())[:_MOST_TRACED]
                notice.traces = {session_id: spans[0].traceparent for session_id, spans in traced}
                with_traces = _payload(notice)
                payload = with_traces if len(with_traces) <= _MAX_PAYLOAD else payload
            fits = len(payload) <= _MAX_PAYLOAD and max(len(notice.changed), len(notice.present)) <= _MOST
            yield payload if fits else _EVERYTHING

    def _add(self, where: set[str], session_id: str) -> None:
        if len(where) <= _MOST:  # one more than fits marks that there are more
            where.add(session_id)
        self._wanted.set()


def _parcels(said: list[Said]) -> Iterator[list[Said]]:
    """Splits events into lists that fit into one notice each. Leaves out an event that is too large for a notice."""
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
    """Decodes the notice in a notification. Returns None for any other notification on the channel."""
    if not payload.startswith(PREFIX):
        return None
    if payload == _EVERYTHING.decode():
        return Notice("", everything=True)
    try:
        notice = _decoder.decode(payload.removeprefix(PREFIX))
        notice.said = [_written_anew(said) for said in notice.said if _PASSED_ON.fullmatch(said.type)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        logger.warning("a notification was not valid and was ignored: %s", error)
        return None
    return notice


def changed_payloads(session_ids: Sequence[str]) -> Iterator[str]:
    """Yields notifications of sessions in which messages were added, for the database function `announce`."""
    for start in range(0, len(session_ids), _MOST):
        payload = _payload(Notice("", changed=list(session_ids[start : start + _MOST])))
        yield (payload if len(payload) <= _MAX_PAYLOAD else _EVERYTHING).decode()


def gone_payloads(gone: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    """Yields notifications of deleted sessions to their participants, for the database function `announce`."""
    for session_id, user_ids in gone:
        waiting = list(user_ids)
        while waiting:
            fitting = len(waiting)
            while fitting > 1 and len(_payload(_deleted(session_id, waiting[:fitting]))) > _MAX_PAYLOAD:
                fitting //= 2
            payload = _payload(_deleted(session_id, waiting[:fitting]))
            if len(payload) <= _MAX_PAYLOAD:
                yield payload.decode()
            waiting = waiting[fitting:]


def _deleted(session_id: str, user_ids: list[str]) -> Notice:
    return Notice("", gone=[Gone(session_id, "session.deleted", user_ids)])


def _written_anew(said: Said) -> Said:
    """Encodes the data anew: the received JSON may have line breaks, which would end a server-sent event."""
    data = msgspec.json.decode(said.data, type=dict[str, Any])
    return Said(said.session_id, said.type, msgspec.Raw(msgspec.json.encode(data)))


def _payload(notice: Notice) -> bytes:
    return PREFIX.encode() + msgspec.json.encode(notice)


_decoder = msgspec.json.Decoder(Notice)
