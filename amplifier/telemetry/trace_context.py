"""Reads and writes the headers of W3C Trace Context: `traceparent` and `tracestate`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(rb"[\x20-\x7e]{1,512}")
_SAMPLED = 1  # the bit of the flags


class TraceContext(NamedTuple):
    """A span as other processes know it. `state` is the `tracestate` of the client, empty without one."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The value of the header."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request that belongs to the span."""
        return {"traceparent": self.traceparent} | ({"tracestate": self.state} if self.state else {})


def read(headers: Sequence[tuple[bytes, bytes]]) -> TraceContext | None:
    """Returns the span that sent a request. Returns None without one, and for a `traceparent` that is not valid."""
    for name, _ in headers:
        if name == b"traceparent":
            return _read(headers)
    return None  # the usual case


def _read(headers: Sequence[tuple[bytes, bytes]]) -> TraceContext | None:
    parents = [value for name, value in headers if name == b"traceparent"]
    states = [value for name, value in headers if name == b"tracestate"]
    if len(parents) != 1:
        return None
    context = parse(parents[0])
    state = b",".join(states)
    return context._replace(state=state.decode()) if context and _STATE.fullmatch(state) else context


def parse(traceparent: bytes) -> TraceContext | None:
    """Returns the span of a `traceparent`. Returns None if it is not valid.

    Fields that a later version appends are ignored, as the standard demands.
    """
    match = _PARENT.fullmatch(traceparent.strip(b" \t"))
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5] is not None):
        return None
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(match[4], 16) & _SAMPLED))
