"""Counts requests and the reports of the service's parts for Prometheus, with labels of bounded number.

Requests are added up in plain numbers, and moved to the metrics by `flush`: a metric of prometheus-client takes several
microseconds for each, which is several hundredths of a short request.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from prometheus_client import CollectorRegistry

from amplifier.telemetry.metrics_catalogue import REQUEST_BUCKETS, Catalogue
from amplifier.telemetry.recorder import Recorder
from amplifier.telemetry.served import Served

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET", "none"})
OTHER = "other"
_MOST_NAMES = 50  # of models, of providers and of tools each
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}")
_NO_STATUS = 0
_TOKENS = {f"{type_}_tokens": type_ for type_ in ("input", "output", "reasoning", "cache_read", "cache_write")}
_Key: TypeAlias = tuple[str, str, int]


class _Requests:
    """The requests of one method, route and status since the last flush; `counts` has one more number than buckets."""

    __slots__ = ("counts", "seconds", "streams")

    def __init__(self) -> None:
        self.counts, self.seconds, self.streams = [0] * (len(REQUEST_BUCKETS) + 1), 0.0, 0


class Names:
    """Bounds the values of a label: after 50 names all further ones are `other`, as are those that are no names."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label(self, name: str) -> str:
        """Returns the name, or `other`."""
        if name in self._known:
            return name
        if len(self._known) >= _MOST_NAMES or not _NAME.fullmatch(name):
            return OTHER
        self._known.add(name)
        return name

    def known(self, name: str) -> str:
        """Returns the name if `label` has returned it before, else `other`."""
        return name if name in self._known else OTHER


class Metrics(Recorder):
    """Counts in the metrics of `catalogue`. `clock` returns the database's time in seconds since the epoch."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self.registry, self.catalogue = registry, Catalogue(registry)
        self._clock = clock
        self._requests: dict[_Key, _Requests] = {}
        self._providers, self._models, self._tools = Names(), Names(), Names()

    def observe(self, served: Served) -> None:
        """Counts a request at its end, as an observer of `api/routes.py`."""
        key = (served.method, served.route, served.status)
        requests = self._requests.get(key)
        if requests is None:
            if key[0] not in METHODS:
                key = (OTHER, *key[1:])
            requests = self._requests.setdefault(key, _Requests())
        if served.is_stream:
            requests.streams += 1
        else:
            seconds = served.seconds
            requests.seconds += seconds
            requests.counts[bisect_left(REQUEST_BUCKETS, seconds)] += 1

    def flush(self) -> None:
        """Adds the requests since the last flush to their metrics."""
        requests, self._requests = self._requests, {}
        for (method, route, status), one in requests.items():
            ended = sum(one.counts)
            shown = "none" if status == _NO_STATUS else str(status)
            self.catalogue.requests.labels(method, route, shown).inc(ended + one.streams)
            if ended:
                self.catalogue.request_seconds.labels(method, route).add(one.counts, one.seconds)

    def rate_limited(self) -> None:
        self.catalogue.rate_limited.inc()

    def reconnected(self) -> None:
        self.catalogue.reconnects.inc()

    def read(self, outcome: str) -> None:
        self.catalogue.replica_reads.labels(outcome).inc()

    def searched(self, way: str, seconds: float, completed: bool) -> None:
        self.catalogue.search_seconds.labels(way).observe(seconds)
        if not completed:
            self.catalogue.searches_stopped.labels(way).inc()

    def delivered(self, committed_at: datetime) -> None:
        self.catalogue.delivery_seconds.observe(max(0.0, self._clock() - committed_at.timestamp()))

    def run_ended(self, outcome: str, seconds: float | None = None) -> None:
        self.catalogue.runs.labels(outcome).inc()
        if seconds is not None:
            self.catalogue.run_seconds.observe(seconds)

    def run_taken_over(self) -> None:
        self.catalogue.runs_taken_over.inc()

    def lease_lost(self) -> None:
        self.catalogue.leases_lost.inc()

    def model_called(self, provider: str, model: str, seconds: float, tokens: Mapping[str, int] | None) -> None:
        """Counts a call. A model gets a label of its own when it has answered: configs may name anything."""
        provider = self._providers.label(provider)
        model = self._models.known(model) if tokens is None else self._models.label(model)
        outcome = "failed" if tokens is None else "answered"
        self.catalogue.model_calls.labels(provider, model, outcome).inc()
        self.catalogue.model_seconds.labels(provider, model).observe(seconds)
        for name, count in (tokens or {}).items():
            if name in _TOKENS:
                self.catalogue.model_tokens.labels(provider, model, _TOKENS[name]).inc(count)

    def embedded(self, outcome: str, count: int) -> None:
        self.catalogue.embedded_messages.labels(outcome).inc(count)

    def embedding_called(self, purpose: str, seconds: float, tokens: int | None) -> None:
        self.catalogue.embedding_calls.labels(purpose, "failed" if tokens is None else "answered").inc()
        self.catalogue.embedding_seconds.labels(purpose).observe(seconds)
        self.catalogue.embedding_tokens.labels(purpose).inc(tokens or 0)

    def tool_called(self, tool: str, seconds: float) -> None:
        self.catalogue.tool_seconds.labels(self._tools.label(tool)).observe(seconds)
