"""The spans of a process. Without a tracer there are none, and nothing of OpenTelemetry is imported.

`exporting.py` installs the tracer and passes its spans on. A span never has a text of a session, an argument of a
query, a credential or the message of an error: errors are recorded by their type.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Literal, TypeAlias

from amplifier.telemetry import trace_context
from amplifier.telemetry.sampling import Sampler
from amplifier.telemetry.served import Served
from amplifier.telemetry.trace_context import TraceContext

Kind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
Sink: TypeAlias = "Callable[[Span], None]"

_MOST_LINKS = 16
_PROBES = "/health"  # what begins so is asked for every few seconds, and would be most of a quiet service's traces


class Span:
    """A timed part of a trace. Times are in nanoseconds since 1970.

    A span that is not `recording` only carries the context of a client to providers and logs. `share` is that of
    `sampling.py`. `error` is the type of the error with which it ended.
    """

    __slots__ = (
        "_clock",
        "attributes",
        "context",
        "ended",
        "error",
        "kind",
        "links",
        "name",
        "parent_id",
        "share",
        "started",
        "token",
        "tracer",
    )

    def __init__(
        self, tracer: "Tracer", name: str, kind: Kind, context: TraceContext, parent_id: int, share: float
    ) -> None:
        self.tracer, self.name, self.kind, self.context, self.parent_id = tracer, name, kind, context, parent_id
        self.share = share
        self.attributes: dict[str, str | int | float | list[str]] = {}
        self.links: Sequence[TraceContext] = ()
        self.error: str | None = None
        self.started, self.ended = time.time_ns(), 0
        # between two readings of this clock passes the right time, also when the other is set
        self._clock = time.perf_counter()
        self.token: Token[Span | None] | None = None

    @property
    def recording(self) -> bool:
        """Returns whether the span is exported."""
        return self.context.sampled

    def child(self, name: str, kind: Kind) -> "Span":
        """Returns a new span within this one."""
        context = self.context._replace(span_id=_new_span_id())
        return Span(self.tracer, name, kind, context, self.context.span_id, self.share)

    def add_query(self, name: str, started: float, error: str | None) -> None:
        """Adds a statement that has ended just now. `started` is a reading of `time.perf_counter`."""
        if not self.recording:
            return
        span = self.child(name, "client")
        span.started = self.started + round((started - self._clock) * 1e9)
        span.attributes = {
            "db.system.name": "postgresql",
            "db.operation.name": name.rpartition(".")[2],
            "db.query.summary": name,
        }
        if error is not None and len(error) == 5:
            span.attributes["db.response.status_code"] = error  # the SQLSTATE
        span.end(error)

    def end(self, error: str | None = None) -> None:
        """Ends the span and passes it on. Only the first call counts."""
        if self.ended:
            return
        self.error = error
        self.ended = self.started + max(0, time.time_ns() - self.started)
        if self.recording:
            self.tracer.pass_on(self)


class Tracer:
    """Makes the first spans of traces, and passes ended spans on to `sinks`."""

    def __init__(self, sampler: Sampler, sinks: Sequence[Sink]) -> None:
        self._sampler, self.sinks = sampler, sinks

    def pass_on(self, span: Span) -> None:
        """Passes an ended span on."""
        for sink in self.sinks:
            sink(span)

    def request(self, parent: TraceContext | None) -> Span | None:
        """Returns the span of a request, or None if it is not recorded and its client sent none."""
        trace_id = _new_trace_id() if parent is None else parent.trace_id
        share = self._sampler.request(parent, trace_id)
        if parent is None:
            return self._first(trace_id, 0, share, "server") if share else None
        span = self._first(trace_id, parent.span_id, share, "server")
        span.context = span.context._replace(state=parent.state)
        return span

    def run(self, origin: TraceContext | None) -> Span | None:
        """Returns the span of a run. `origin` is the span of the request that sent its message."""
        if origin is not None and origin.sampled:
            return self.within(origin, "invoke_agent", "internal")
        share = self._sampler.run()
        if origin is None:
            return self._first(_new_trace_id(), 0, share, "internal") if share else None
        return self._first(origin.trace_id, 0, share, "internal")

    def within(self, parent: TraceContext, name: str, kind: Kind) -> Span:
        """Returns a new span within a span that may be of another process."""
        return Span(self, name, kind, parent._replace(span_id=_new_span_id()), parent.span_id, 1)

    def _first(self, trace_id: int, parent_id: int, share: float, kind: Kind) -> Span:
        context = TraceContext(trace_id, _new_span_id(), share > 0)
        return Span(self, "", kind, context, parent_id, share)


tracer: Tracer | None = None  # of this process; `exporting.py` sets it

# The innermost span of the task.
current: ContextVar[Span | None] = ContextVar("span", default=None)


def begin(scope: Any) -> Span | None:
    """Begins the span of a request, if it gets one. `end_request` must follow in the same task."""
    if tracer is None or scope["path"].startswith(_PROBES):
        return None
    span = tracer.request(trace_context.read(scope["headers"]))
    if span is not None:
        span.token = current.set(span)
    return span


def end_request(span: Span, served: Served) -> None:
    """Ends the span of a request, unless `end_early` has."""
    if span.token is not None:
        current.reset(span.token)
    _finish(span, served, served.status)


def end_early(scope: Any, status: int) -> None:
    """Ends the span of a request whose answer is a stream: what follows lasts as long as the client wants."""
    span = current.get()
    if span is not None:
        _finish(span, Served(scope), status)
        current.set(None)


def _finish(span: Span, served: Served, status: int) -> None:
    if span.ended or not span.recording:
        return
    route = served.route
    span.name = f"{served.method} {route}"
    span.attributes |= {
        "http.request.method": served.method,
        "http.route": route,
        "http.response.status_code": status,
        "amplifier.request_id": served.request_id,
    }
    if served.caller is not None:
        span.attributes["amplifier.app_id"] = served.caller.app_id
    span.end(str(status) if status >= 500 else "disconnected" if not status else None)


def ids() -> tuple[str, str] | None:
    """Returns the ids of the current trace and span in hexadecimal form, for logs."""
    span = current.get()
    return None if span is None else (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")


def recorded() -> TraceContext | None:
    """Returns the current span if it is exported."""
    span = current.get()
    return span.context if span is not None and span.recording else None


def origin() -> TraceContext | None:
    """Returns the current span, to continue its trace elsewhere."""
    span = current.get()
    return None if span is None else span.context


def headers() -> dict[str, str]:
    """Returns the headers of a request that is sent within the current span."""
    span = current.get()
    return {} if span is None else span.context.headers


@contextmanager
def entered(span: Span | None) -> Iterator[Span | None]:
    """Makes `span` the current one within the context and ends it. Without a span it does nothing."""
    if span is None:
        yield None
        return
    token = current.set(span)
    error: str | None = None
    try:
        yield span
    except BaseException as raised:
        error = error_type(raised)
        raise
    finally:
        current.reset(token)
        span.end(span.error or error)


def inner(name: str, kind: Kind) -> Span | None:
    """Returns a new span within the current one, or None if nothing is recorded."""
    span = current.get()
    return span.child(name, kind) if span is not None and span.recording else None


def continued(origins: Sequence[TraceContext], name: str, kind: Kind) -> Span | None:
    """Returns a new span within the first of the origins, linked to the others. Returns None without origins."""
    if tracer is None or not origins:
        return None
    span = tracer.within(origins[0], name, kind)
    span.links = origins[1:_MOST_LINKS]
    return span


def error_type(error: BaseException) -> str | None:
    """Returns the SQLSTATE of an error of the database, else the name of the error's class. A message may say more."""
    if isinstance(error, asyncio.CancelledError):
        return None
    for one in (error, error.__cause__):
        if isinstance(state := getattr(one, "sqlstate", None), str):
            return state
    return type(error).__name__


def _new_trace_id() -> int:
    return random.getrandbits(128) or 1


def _new_span_id() -> int:
    return random.getrandbits(64) or 1
