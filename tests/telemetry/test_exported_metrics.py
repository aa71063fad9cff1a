"""Metrics of prometheus-client as they are sent: sums since the start, or what was added."""

from typing import Any

from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from amplifier.telemetry.otel_metrics import Conversion


class Example:
    """A registry with one metric of each type."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("amplifier_query_calls", "Calls.", ["query"], registry=self.registry)
        self.seconds = Histogram("amplifier_seconds", "Time.", ["route"], registry=self.registry, buckets=(1, 2))
        self.pool = Gauge("amplifier_pool_bytes", "Size.", registry=self.registry)
        Info("amplifier_build", "Not sent.", registry=self.registry)

    def sent(self, conversion: Conversion) -> dict[str, Any]:
        """Returns the metrics by name."""
        [resource] = conversion.converted(self.registry.collect()).resource_metrics
        return {metric.name: metric for metric in resource.scope_metrics[0].metrics}


def test_values_since_the_start() -> None:
    example, conversion = Example(), Conversion(Resource({}), delta=False)
    example.calls.labels("sessions.get").inc(3)
    for seconds in (0.5, 1.5, 1.7, 9):
        example.seconds.labels("/x").observe(seconds)
    example.pool.set(7)
    for _ in range(2):
        sent = example.sent(conversion)
        assert sent.keys() == {"amplifier_query_calls", "amplifier_seconds", "amplifier_pool_bytes"}
        [calls] = sent["amplifier_query_calls"].data.data_points
        assert (calls.value, calls.attributes) == (3, {"query": "sessions.get"})
        [seconds_] = sent["amplifier_seconds"].data.data_points
        assert (seconds_.count, seconds_.sum, seconds_.attributes) == (4, 12.7, {"route": "/x"})
        assert (seconds_.bucket_counts, seconds_.explicit_bounds) == ([1, 2, 1], [1, 2])
        assert [one.unit for one in sent.values()] == ["", "s", "By"]


def test_values_added_since_the_last_time() -> None:
    example, conversion = Example(), Conversion(Resource({}), delta=True)
    example.calls.labels("sessions.get").inc(3)
    example.seconds.labels("/x").observe(0.5)
    assert example.sent(conversion)["amplifier_query_calls"].data.data_points[0].value == 3
    example.calls.labels("sessions.get").inc(2)
    example.seconds.labels("/x").observe(1.5)
    sent = example.sent(conversion)
    assert sent["amplifier_query_calls"].data.data_points[0].value == 2
    [seconds] = sent["amplifier_seconds"].data.data_points
    assert (seconds.count, seconds.sum, seconds.bucket_counts) == (1, 1.5, [0, 1, 0])
    assert example.sent(conversion).keys() == {"amplifier_pool_bytes"}, "what did not change is not sent"
