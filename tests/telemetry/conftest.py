"""Fixtures for tests of telemetry."""

import pytest

from amplifier.telemetry import tracing
from tests.support.spans import Spans


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """The spans of all requests and runs of the test process."""
    found = Spans()
    monkeypatch.setattr(tracing, "tracer", found.tracer())
    return found
