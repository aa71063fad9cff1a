"""Which traces are recorded."""

import pytest

from amplifier.errors import OperatorError
from amplifier.telemetry.sampling import Limited, Ratio, sampler
from amplifier.telemetry.trace_context import TraceContext

SAMPLED, UNSAMPLED = TraceContext(1, 1, True), TraceContext(1, 1, False)


class Clock:
    """A time that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_default_records_every_request_of_a_quiet_service() -> None:
    clock = Clock()
    limited = Limited(10, clock)
    for _ in range(5):
        assert [limited.request(None, 1) for _ in range(8)] == [1.0] * 8
        clock.now += 1


def test_default_bounds_what_a_busy_service_records() -> None:
    clock = Clock()
    limited = Limited(10, clock)
    seconds = []
    for _ in range(20):
        seconds.append([share for _ in range(1000) if (share := limited.request(None, 1))])
        clock.now += 1
    assert max(map(len, seconds)) <= 20
    later = [share for second in seconds[1:] for share in second]
    assert set(later) == {0.01}, "each recorded request stands for a hundred"
    assert 100 <= len(later) <= 300


def test_flag_of_clients_cannot_force_more_than_the_same_number() -> None:
    limited = Limited(10, Clock())
    forced = [limited.request(SAMPLED, 1) for _ in range(1000)]
    assert sum(map(bool, forced)) == 20
    assert limited.request(UNSAMPLED, 1) == 0
    assert limited.request(None, 1) == 1, "other clients are recorded all the same"
    assert limited.run() == 1


@pytest.mark.parametrize(
    ("name", "argument", "shares"),
    [
        ("always_on", "", [1, 1, 1]),
        ("always_off", "", [0, 0, 0]),
        ("traceidratio", "0.5", [0.5, 0.5, 0.5]),
        ("parentbased_always_on", "", [1, 1, 0]),
        ("parentbased_always_off", "", [0, 1, 0]),
        ("parentbased_traceidratio", "0.5", [0.5, 1, 0]),
    ],
)
def test_samplers_of_opentelemetry(name: str, argument: str, shares: list[float]) -> None:
    chosen = sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert [chosen.request(parent, 1) for parent in (None, SAMPLED, UNSAMPLED)] == shares


def test_ratio_decides_by_the_trace_id_as_other_services_do() -> None:
    ratio = Ratio(0.25, follows_parent=False)
    assert ratio.request(None, 2**62 - 1) == 0.25
    assert ratio.request(None, 2**62) == 0
    assert ratio.run() == 0, "a run is recorded with its request"


def test_number_of_traces_can_be_set() -> None:
    chosen = sampler({"OTEL_TRACES_SAMPLER": "rate_limited", "OTEL_TRACES_SAMPLER_ARG": "2"})
    assert sum(bool(chosen.request(None, 1)) for _ in range(100)) <= 8


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "rate_limited, always_on"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "from 0 to 1, not '2'"),
        ({"OTEL_TRACES_SAMPLER_ARG": "many"}, "from 0 to 1000, not 'many'"),
        ({"OTEL_TRACES_SAMPLER_ARG": "nan"}, "from 0 to 1000"),
    ],
)
def test_wrong_values_are_refused(environ: dict[str, str], named: str) -> None:
    with pytest.raises(OperatorError, match=named):
        sampler(environ)
