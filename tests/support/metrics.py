"""Reads the metrics of an application in the test process, or of a served port."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Api

LABELS = ("method", "route", "status", "query", "way", "kind", "outcome", "provider", "model", "type", "tool")


class Figures:
    """The values of metrics by sample: `figures("amplifier_runs_total", outcome="completed")`."""

    def __init__(self, families: Any) -> None:
        self.families = list(families)
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """Returns the value of the sample with exactly these labels, 0 if there is none."""
        return self._values.get((name, frozenset(labels.items())), 0.0)

    def labels(self, name: str) -> list[dict[str, str]]:
        """Returns the labels of all samples of this name."""
        return [dict(labels) for known, labels in self._values if known == name]


def figures(api: Api) -> Figures:
    """Returns the metrics of an application that was made with METRICS_PORT, as they are now."""
    measurements = api.app.state.measurements
    measurements.read()
    return Figures(measurements.metrics.registry.collect())


def parsed(text: str) -> Figures:
    """Returns the metrics in an answer of the port."""
    return Figures(text_string_to_metric_families(text))
