"""The answer of `/stream`: one run as server-sent events of the form `data: {"type": ..., ...}`."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import Receive, Scope, Send

from amplifier.errors import Problem
from amplifier.live.frames import Frame, escaped
from amplifier.live.subscriber import Subscriber
from amplifier.runtime.runner import Runner
from amplifier.telemetry import tracing
from amplifier.web.event_stream import STREAM_HEADERS, Opening, drained, watched
from amplifier.web.request import Caller
from amplifier.web.responses import IGNORED
from amplifier.web.scope_keys import DRAINING

if TYPE_CHECKING:
    from amplifier.runtime.execution import Execution

_LAST_WORDS = 0.7  # seconds for runs of this process to send their last events
_PLACE = re.compile(r"([0-9a-f-]{36}):(\d{1,18})(:queued)?\Z")
_ENDS = ("run.completed", "run.failed", "run.cancelled")
_LOST = {  # the error that ends a stream before its run ends
    "access.revoked": "You do not take part in the session any more",
    "session.deleted": "The session was deleted",
    "service.stopping": "The service stops: come back with Last-Event-ID",
    "token.expired": "The token has expired: come back with a new one and Last-Event-ID",
}


class Place(msgspec.Struct):
    """A place in a run: after the session's event `seq`; `queued` before the run has begun."""

    run_id: str
    seq: int
    queued: bool

    def __str__(self) -> str:
        return f"{self.run_id}:{self.seq}{':queued' if self.queued else ''}"


def place(last_event_id: str) -> Place:
    """Returns the place in the id of an event of such a stream. Raises Problem 422 for other text."""
    match = _PLACE.match(last_event_id)
    if match is None:
        raise Problem(422, "Last-Event-ID: must be the id of an event of a run's stream")
    return Place(match[1], int(match[2]), match[3] is not None)


class RunSubscriber(Subscriber):
    """Takes a run's events directly from a run in this process: without delay, and each part of a message."""

    most_notes = 1000
    attached = False

    def note(self, note: Frame) -> None:
        if not (self.attached and ":" in note.type):
            super().note(note)

    def take(self, note: Frame) -> None:
        """Adds an event of the run itself."""
        super().note(note)


class RunStream:
    """The answer of `/stream`: the events from a place in a run to its end, or until the client disconnects."""

    def __init__(self, caller: Caller, session_id: str, start: Place, begin: Callable[[], None]) -> None:
        """`begin` begins the run. It is called once, when this stream listens or has failed."""
        self._caller, self._session_id, self._start, self._begin = caller, session_id, start, begin
        self._run_id, self._began = start.run_id, not start.queued
        self._mark = start.run_id.encode()
        self._detach: Callable[[], None] = _nothing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem before anything is sent."""
        try:
            await self._follow(scope, receive, send)
        finally:
            self._let_begin()

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["litestar_app"].state
        runner: Runner = state.runner
        scope[DRAINING] = runner.drain  # type: ignore[literal-required]
        opening = Opening(self._caller, self._session_id, self._start.seq, RunSubscriber)
        async with opening.opened(state) as subscriber, watched(receive, subscriber):
            assert isinstance(subscriber, RunSubscriber)  # noqa: S101

            async def write(frames: list[Frame]) -> None:
                body = b"".join([part for one in frames if (part := await self._shown(one, state, subscriber))])
                await _send(send, body if frames else b": still here\n\n")
                await drained(scope)

            tracing.end_early(scope, 200)
            await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await _send(send, self._connected(scope))
            forget = runner.await_run(self._run_id, partial(self._attach, subscriber))
            self._let_begin()
            stopping = asyncio.create_task(_stop_with(runner, subscriber))
            try:
                ending = await self._ending(state)
                if ending is not None and not subscriber.attached:  # the run had finished before this stream listened
                    return await _send(send, ending, more=False)
                await subscriber.follow(state.hub.catch_up, write)
            finally:
                stopping.cancel()
                forget()
                self._detach()
        return await _send(send, b"", more=False)

    def _connected(self, scope: Any) -> bytes:
        """Returns the first event."""
        connected: dict[str, Any] = {"type": "connected", "session_id": self._session_id}
        if IGNORED in scope["state"]:
            connected["warnings"] = scope["state"][IGNORED]
        return _event(connected, str(self._start))

    def _let_begin(self) -> None:
        begin, self._begin = self._begin, _nothing
        begin()

    def _attach(self, subscriber: RunSubscriber, execution: "Execution") -> None:
        """Takes the events from a run of this process."""
        subscriber.attached = True
        self._detach = execution.feed.listen(subscriber.take, subscriber.fall_behind)

    async def _shown(self, frame: Frame, state: Any, subscriber: RunSubscriber) -> bytes | None:
        """Returns the event in the form of this stream, or None if it is not about its run."""
        if frame.type in _LOST:
            return self._failed(_LOST[frame.type])
        mine = self._mark in frame.data
        if frame.type == "run.started" and mine:
            self._began = True
        if not mine and not (frame.type == "message.created" and self._began):
            return None
        event = self._event(frame)
        if frame.type in _ENDS:
            subscriber.end()
            event += await self._ending(state) or b""
        return event

    def _event(self, frame: Frame) -> bytes:
        """Returns an event of the run."""
        return _event({"type": frame.type, "data": msgspec.Raw(frame.data)}, self._identifier(frame))

    def _identifier(self, frame: Frame) -> str | None:
        return None if frame.seq is None else str(Place(self._run_id, frame.seq, not self._began))

    async def _ending(self, state: Any) -> bytes | None:
        """Returns the last events of a run that has finished, or None."""
        row = await state.queries.runs.get(
            actor_id=self._caller.user_id, session_id=self._session_id, run_id=self._run_id
        )
        if row is None or row["finished_at"] is None:
            return None
        return self._ended(row)

    def _ended(self, row: Any) -> bytes:
        """Returns the last events, from the row of the run."""
        if row["status"] == "completed":
            known = {"type": "response", "content": row["response"] or ""}
            return _event(known | {"finish_reason": row["finish_reason"]}) + _event({"type": "done"})
        error = msgspec.json.decode(row["error"] or b'{"detail": "The run was cancelled"}')
        return self._failed(error["detail"], {name: error[name] for name in ("code", "retry_after") if name in error})

    def _failed(self, detail: str, more: dict[str, Any] | None = None) -> bytes:
        """Returns the `error` event: `detail` as in every error, `message` for clients of the first API."""
        return _event({"type": "error", "message": detail, "detail": detail} | (more or {}))


async def _stop_with(runner: Runner, subscriber: Subscriber) -> None:
    """Ends the stream when the service stops and the run does not: it is queued, or runs in another process."""
    await runner.stopping.wait()
    await asyncio.sleep(_LAST_WORDS)
    subscriber.end(Frame("service.stopping", b"{}"))


def _event(data: dict[str, Any], identifier: str | None = None) -> bytes:
    head = b"" if identifier is None else b"id: %s\n" % identifier.encode()
    return head + escaped(b"data: " + msgspec.json.encode(data)) + b"\n\n"


async def _send(send: Send, body: bytes, more: bool = True) -> None:
    if body or not more:
        await send({"type": "http.response.body", "body": body, "more_body": more})


def _nothing() -> None:
    """Does nothing, in place of a callback that has been called or is not set."""
