"""Sends traces, metrics and logs to their targets in threads, without a wait of any request.

Queues are bounded, and what a target does not take in time is dropped. The only module beside `otel_*.py` that imports
OpenTelemetry, when there is a target.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from amplifier.settings import Settings
from amplifier.telemetry import tracing
from amplifier.telemetry.export_failures import Failures
from amplifier.telemetry.sampling import sampler
from amplifier.telemetry.targets import Target, header_secrets, targets

if TYPE_CHECKING:
    from prometheus_client import Metric

logger = logging.getLogger(__name__)

_LAST = 3.0  # seconds for what is not sent yet when the service stops
# What the exporter of Application Insights would do beside its work: send statistics about itself to Microsoft, and ask
# there for its configuration. An operator may set the variables to false.
_ALONE = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


@contextlib.asynccontextmanager
async def exported(
    settings: Settings, process_id: str, collect: "Callable[[], Iterable[Metric]] | None" = None
) -> AsyncIterator[None]:
    """Sends what happens in the context. `collect` returns the metrics. Raises OperatorError."""
    found = targets(settings.app_insights_connection_string)
    if not found:
        yield
        return
    exports = _Exports(found, process_id, collect)
    try:
        yield
    finally:
        await exports.stop()


class _Exports:
    """All exporters of a process."""

    def __init__(self, found: list[Target], process_id: str, collect: "Callable[[], Iterable[Metric]] | None") -> None:
        from amplifier.telemetry import otel_logs, otel_metrics, otel_spans, otel_targets

        for name in _ALONE:
            os.environ.setdefault(name, "true")
        self._secrets = header_secrets(os.environ)
        self._failures = Failures()
        resource = otel_targets.resource(process_id)
        self._parts: list[Any] = []
        sinks: list[tracing.Sink] = []
        handlers: list[logging.Handler] = []
        for target in found:
            exporter = self._failures.watch(otel_targets.exporter(target), target)
            if target.signal == "traces":
                spans = otel_spans.Spans(exporter, resource)
                sinks.append(spans.add)
                self._parts.append(spans)
            elif target.signal == "logs":
                handlers.append(otel_logs.Handler(exporter, resource))
                self._parts.append(handlers[-1])
            elif collect is not None:
                self._parts.append(otel_metrics.Pump(exporter, resource, collect))
        self._handlers = handlers
        for handler in handlers:
            for name in otel_logs.LOGGERS:
                logging.getLogger(name).addHandler(handler)
        if sinks:
            tracing.tracer = tracing.Tracer(sampler(os.environ), sinks)

    async def stop(self) -> None:
        """Sends the rest, for some seconds at most, and ends all threads that end in this time."""
        from amplifier.telemetry import otel_logs

        tracing.tracer = None
        for handler in self._handlers:
            for name in otel_logs.LOGGERS:
                logging.getLogger(name).removeHandler(handler)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            _run_all([part.shutdown for part in self._parts])
            with contextlib.suppress(RuntimeError):  # the loop has not waited so long
                loop.call_soon_threadsafe(ended.set)

        # not in the executor of the event loop, which waits for its threads at the end
        threading.Thread(target=shut_down, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST):
                await ended.wait()
        self._failures.end(gives_back=ended.is_set())


def _run_all(functions: list[Callable[[], Any]]) -> None:
    """Calls the functions in threads that do not keep the process alive, and waits for them."""
    threads = [threading.Thread(target=one, daemon=True) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
