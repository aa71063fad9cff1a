"""Passes ended spans to the batches of OpenTelemetry's SDK."""

from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from amplifier import __version__
from amplifier.telemetry.otel_targets import SCOPE
from amplifier.telemetry.trace_context import TraceContext
from amplifier.telemetry.tracing import Span

_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_SCOPE = InstrumentationScope(SCOPE, __version__)
_RECORDED = TraceFlags(TraceFlags.SAMPLED)
_NO_STATE = TraceState()
_SHARE = "_MS.sampleRate"  # in percent: Application Insights counts the span for those that were not recorded
_SYSTEM = "gen_ai.system"  # the former name of the provider, which Application Insights reads


class Spans:
    """The spans that wait for one exporter."""

    def __init__(self, exporter: Any, resource: Resource) -> None:
        self._processor = BatchSpanProcessor(exporter)
        self._resource = resource
        self.shutdown = self._processor.shutdown

    def add(self, span: Span) -> None:
        """Adds an ended span. A full queue drops the oldest one."""
        self._processor.on_end(readable(span, self._resource))


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Returns a span in the form of the SDK."""
    attributes: dict[str, Any] = span.attributes
    if span.share < 1:
        attributes = attributes | {_SHARE: span.share * 100}
    if provider := attributes.get("gen_ai.provider.name"):
        attributes = attributes | {_SYSTEM: provider}
    if span.error is not None:
        attributes = attributes | {"error.type": span.error}
    return ReadableSpan(
        span.name,
        context=_context(span.context),
        parent=_context(span.context._replace(span_id=span.parent_id)) if span.parent_id else None,
        resource=resource,
        attributes=attributes,
        links=[Link(_context(one)) for one in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR),
        start_time=span.started,
        end_time=span.ended,
        instrumentation_scope=_SCOPE,
    )


def _context(context: TraceContext) -> SpanContext:
    state = TraceState.from_header([context.state]) if context.state else _NO_STATE
    return SpanContext(context.trace_id, context.span_id, is_remote=False, trace_flags=_RECORDED, trace_state=state)
