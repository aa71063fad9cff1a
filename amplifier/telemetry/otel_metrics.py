"""Sends the metrics of prometheus-client to an exporter of OpenTelemetry's SDK, once a minute.

There is one set of metrics: what `GET /metrics` of this process would show is what is sent.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from opentelemetry.sdk.metrics import Counter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as Sent
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric

from amplifier import __version__
from amplifier.telemetry.otel_targets import SCOPE

_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"  # milliseconds
_MINUTE = 60_000
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class Pump:
    """The thread that sends the metrics of this process to one exporter."""

    def __init__(self, exporter: Any, resource: Resource, collect: Callable[[], Iterable[Metric]]) -> None:
        self._exporter, self._collect = exporter, collect
        self._seconds = _interval() / 1000
        self._conversion = Conversion(resource, _is_delta(exporter))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Sends the metrics once more and ends the thread."""
        self._stopped.set()
        self._thread.join()
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._send()
        self._send()

    def _send(self) -> None:
        data = self._conversion.converted(self._collect())
        if data.resource_metrics[0].scope_metrics[0].metrics:
            self._exporter.export(data)


class Conversion:
    """Converts metrics of prometheus-client. With `delta`, counters and histograms are sent as what was added."""

    def __init__(self, resource: Resource, delta: bool) -> None:
        self._resource, self._delta = resource, delta
        self._scope = InstrumentationScope(SCOPE, __version__)
        self._former: dict[_Key, tuple[float, ...]] = {}
        self._since = time.time_ns()

    def converted(self, metrics: Iterable[Metric]) -> MetricsData:
        """Returns the metrics in the form of the SDK. Leaves out those of other types, and what did not change."""
        now = time.time_ns()
        sent = [one for metric in metrics if (one := self._converted(metric, now)) is not None]
        if self._delta:
            self._since = now
        return MetricsData([ResourceMetrics(self._resource, [ScopeMetrics(self._scope, sent, "")], "")])

    def _converted(self, metric: Metric, now: int) -> Sent | None:
        kind = AggregationTemporality.DELTA if self._delta else AggregationTemporality.CUMULATIVE
        data: Any
        if metric.type == "counter":
            data = Sum(self._sums(metric, now), kind, is_monotonic=True)
        elif metric.type == "gauge":
            values = ((one.labels, one.value) for one in metric.samples)
            data = Gauge([NumberDataPoint(labels, self._since, now, value) for labels, value in values])
        elif metric.type == "histogram":
            data = Histogram(self._histograms(metric, now), kind)
        else:
            return None
        unit = _UNITS.get(metric.name.rpartition("_")[2], "")
        return Sent(metric.name, metric.documentation, unit, data) if data.data_points else None

    def _sums(self, metric: Metric, now: int) -> list[NumberDataPoint]:
        points = []
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                added = self._added(metric.name, sample.labels, (sample.value,))
                if added is not None:
                    points.append(NumberDataPoint(sample.labels, self._since, now, added[0]))
        return points

    def _histograms(self, metric: Metric, now: int) -> list[HistogramDataPoint]:
        points = []
        for labels, bounds, counts, total in _series(metric):
            added = self._added(metric.name, labels, (total, *counts))
            if added is not None:
                total, *counts = added
                numbers = [int(count) for count in counts]
                unknown: Any = None
                points.append(
                    HistogramDataPoint(
                        labels, self._since, now, sum(numbers), total, numbers, bounds, min=unknown, max=unknown
                    )
                )
        return points

    def _added(self, name: str, labels: Mapping[str, str], values: tuple[float, ...]) -> tuple[float, ...] | None:
        """Returns the values to send, or None if nothing was added since the last time."""
        if not self._delta:
            return values
        key = (name, tuple(labels.items()))
        former = self._former.get(key, (0.0,) * len(values))
        self._former[key] = values
        return None if values == former else tuple(map(float.__sub__, map(float, values), map(float, former)))


def _series(metric: Metric) -> Iterable[tuple[dict[str, str], list[float], list[float], float]]:
    """Yields labels, bounds, the number of observations in each bucket, and their sum."""
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in metric.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        series = found.setdefault(tuple(labels.items()), {"labels": labels, "up_to": [], "sum": 0.0})
        if sample.name.endswith("_bucket"):
            series["up_to"].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            series["sum"] = sample.value
    for series in found.values():
        up_to = sorted(series["up_to"])
        counts = [count - before for (_, count), (_, before) in zip(up_to, [(0, 0), *up_to], strict=False)]
        yield series["labels"], [bound for bound, _ in up_to[:-1]], counts, series["sum"]


def _is_delta(exporter: Any) -> bool:
    return exporter._preferred_temporality.get(Counter) is AggregationTemporality.DELTA


def _interval() -> float:
    try:
        return max(100.0, float(os.environ.get(_INTERVAL) or _MINUTE))
    except ValueError:
        return _MINUTE
