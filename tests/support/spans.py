"""Spans of the application in the test process, without an exporter."""

import asyncio
from typing import Any

from amplifier.telemetry.sampling import Ratio, Sampler
from amplifier.telemetry.tracing import Span, Tracer
from tests.support.live import LIMIT


class Spans(list[Span]):
    """The spans that have ended."""

    def tracer(self, sampler: Sampler | None = None) -> Tracer:
        """Returns a tracer that adds its spans here; by default it records all."""
        return Tracer(sampler or Ratio(1, follows_parent=False), [self.append])

    def named(self, name: str) -> list[Span]:
        """Returns the spans of this name."""
        return [span for span in self if span.name == name]

    async def one(self, name: str) -> Span:
        """Waits for the first span of this name."""
        async with asyncio.timeout(LIMIT):
            while not (found := self.named(name)):
                await asyncio.sleep(0.01)
        return found[0]

    def inside(self, outer: Span) -> dict[str, Span]:
        """Returns the spans within another one, by name."""
        return {
            span.name: span
            for span in self
            if span.context.trace_id == outer.context.trace_id and span.parent_id == outer.context.span_id
        }


def attributes(span: Span, *names: str) -> list[Any]:
    """Returns the values of these attributes."""
    return [span.attributes.get(name) for name in names]
