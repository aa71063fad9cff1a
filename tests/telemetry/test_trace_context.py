"""The headers of W3C Trace Context."""

import pytest

from amplifier.telemetry.trace_context import TraceContext, parse, read

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_traceparent_reads_and_writes_the_same_span() -> None:
    context = parse(PARENT.encode())
    assert context == TraceContext(int(TRACE, 16), int(SPAN, 16), True)
    assert context is not None
    assert context.traceparent == PARENT
    assert parse(PARENT.replace("-01", "-00").encode()) == context._replace(sampled=False)


@pytest.mark.parametrize("given", [f"cc-{TRACE}-{SPAN}-09", f"cc-{TRACE}-{SPAN}-01-what the future brings"])
def test_later_version_is_read_as_far_as_it_is_known(given: str) -> None:
    assert parse(given.encode()) == TraceContext(int(TRACE, 16), int(SPAN, 16), True)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 10_000,
        PARENT.upper(),
        f"{PARENT}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        "00-ü-ü-01",
    ],
)
def test_malformed_traceparent_is_ignored(given: str) -> None:
    assert parse(given.encode()) is None


def test_tracestate_belongs_to_a_valid_traceparent() -> None:
    parent, states = (b"traceparent", PARENT.encode()), [(b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    context = read([(b"host", b"x"), parent, *states])
    assert context is not None
    assert context.headers == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
    assert read(states) is None
    assert read([parent, parent]) is None
    for bad in (b"x" * 513, b"a=\r\n", "a=ü".encode()):
        context = read([parent, (b"tracestate", bad)])
        assert context is not None
        assert context.state == ""
