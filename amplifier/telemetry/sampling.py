"""Decides which requests and runs are traced: by default a bounded number per second, or as OTEL_TRACES_SAMPLER says.

Each sampler returns the share of requests that it records, from above 0 to 1, for a request that it records, and 0 for
any other. Exporters send the share along, so that Application Insights counts each request for those left out.
"""

import random
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from amplifier.errors import OperatorError
from amplifier.telemetry.trace_context import TraceContext

PER_SECOND = 10.0  # traces of requests in a process, by default
_LOW = 2**64 - 1  # the bits of a trace id that OpenTelemetry's samplers compare with the ratio


class Sampler(Protocol):
    """Decides whether a trace is recorded."""

    def request(self, parent: TraceContext | None, trace_id: int) -> float:
        """Decides for a request. `parent` is the span of the client."""

    def run(self) -> float:
        """Decides for a run whose request is not recorded."""


class Limited:
    """Records about as many requests and as many runs per second as it is given, whatever clients ask for.

    It records a request whose client records it, as long as such requests do not exceed the same number.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._own, self._clients, self._runs = (_Budget(per_second, clock) for _ in range(3))

    def request(self, parent: TraceContext | None, trace_id: int) -> float:
        """Decides for a request."""
        if parent is None:
            return self._own.take()
        return self._clients.take() if parent.sampled else 0

    def run(self) -> float:
        """Decides for a run."""
        return self._runs.take()


class _Budget:
    """Grants with a probability that follows from the former second, so that grants are spread over the second."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._per_second, self._clock = per_second, clock
        self._ends = 0.0
        self._seen, self._granted, self._share = 0, 0, 1.0

    def take(self) -> float:
        """Returns the share of this second if it grants, else 0."""
        now = self._clock()
        if now >= self._ends:
            is_next = now < self._ends + 1
            self._share = min(1.0, self._per_second / self._seen) if is_next and self._seen else 1.0
            self._ends, self._seen, self._granted = now + 1, 0, 0
        self._seen += 1
        # twice the number, because the load of the former second is only a guess
        if self._granted >= 2 * self._per_second or (self._share < 1 and random.random() >= self._share):  # noqa: S311
            return 0
        self._granted += 1
        return self._share


class Ratio:
    """The samplers of OpenTelemetry: a ratio of all traces. `follows_parent` lets the flag of a client decide."""

    def __init__(self, ratio: float, follows_parent: bool) -> None:
        self._ratio, self._follows_parent = ratio, follows_parent
        self._bound = round(ratio * (_LOW + 1))

    def request(self, parent: TraceContext | None, trace_id: int) -> float:
        """Decides for a request."""
        if parent is not None and self._follows_parent:
            return float(parent.sampled)
        return self._ratio if trace_id & _LOW < self._bound else 0

    def run(self) -> float:
        """Decides for a run: it is traced with its request, so that the ratio holds for runs, too."""
        return float(self._ratio == 1)


_RATIOS = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}


def sampler(environ: Mapping[str, str]) -> Sampler:
    """Returns the sampler of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. Raises OperatorError for other values."""
    name, argument = environ.get("OTEL_TRACES_SAMPLER", ""), environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    base = name.removeprefix("parentbased_")
    if base in _RATIOS:
        ratio = _RATIOS[base]
        return Ratio(_number(argument, 1.0, 1.0) if ratio is None else ratio, name != base)
    if name not in ("", "rate_limited"):
        names = ", ".join(("rate_limited", *_RATIOS, *(f"parentbased_{one}" for one in _RATIOS)))
        raise OperatorError(f"OTEL_TRACES_SAMPLER must be one of {names}, not {name!r}")
    return Limited(_number(argument, PER_SECOND, 1000.0))


def _number(text: str, default: float, most: float) -> float:
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise OperatorError(f"OTEL_TRACES_SAMPLER_ARG must be a number from 0 to {most:g}, not {text!r}")
    return number
