"""Passes the lines of the service's log to the batches of OpenTelemetry's SDK.

The access log is not among them: requests are in traces and metrics. Lines of libraries are not, either.
"""

import logging
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags

from amplifier.masking import mask
from amplifier.telemetry import tracing
from amplifier.telemetry.served import current

__all__ = ["LOGGERS", "Handler", "ReadableLogRecord"]

LOGGERS = ("amplifier", "uvicorn")
_OWN = "amplifier.telemetry.export"  # its lines report that lines cannot be sent
_LONGEST = 8_000  # characters
_NO_FLAGS, _RECORDED = TraceFlags(0), TraceFlags(TraceFlags.SAMPLED)
_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class Handler(logging.Handler):
    """The lines that wait for one exporter."""

    def __init__(self, exporter: Any, resource: Resource) -> None:
        super().__init__()
        self._processor = BatchLogRecordProcessor(exporter)
        self._resource = resource
        self.shutdown = self._processor.shutdown

    def emit(self, record: logging.LogRecord) -> None:
        """Adds a line. A full queue drops the oldest one."""
        if record.name.startswith(_OWN) or record.name == "uvicorn.access":
            return
        try:
            scope = InstrumentationScope(record.name)
            self._processor.on_emit(ReadWriteLogRecord(_read(record), self._resource, scope))
        except Exception:
            self.handleError(record)


def _read(record: logging.LogRecord) -> LogRecord:
    span, served = tracing.current.get(), current.get()
    attributes: dict[str, str | int] = {}
    if served is not None:
        attributes["amplifier.request_id"] = served.request_id
    if record.exc_info and record.exc_info[1] is not None:
        attributes |= _raised(record.exc_info[1])
    return LogRecord(
        timestamp=int(record.created * 1e9),
        trace_id=span.context.trace_id if span else 0,
        span_id=span.context.span_id if span else 0,
        trace_flags=_RECORDED if span and span.recording else _NO_FLAGS,
        severity_text=record.levelname,
        severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.INFO),
        body=mask(_text(record))[:_LONGEST],
        attributes=attributes,
    )


def _text(record: logging.LogRecord) -> str:
    """Returns the message with the types of errors in place of their texts, which may repeat what was said."""
    if not isinstance(record.args, tuple) or not record.args:
        return record.getMessage()
    arguments = (tracing.error_type(one) if isinstance(one, BaseException) else one for one in record.args)
    return str(record.msg) % tuple(arguments)


def _raised(error: BaseException) -> dict[str, str | int]:
    """Returns the type of an error and the place where it was raised."""
    known: dict[str, str | int] = {"exception.type": tracing.error_type(error) or type(error).__name__}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        code = trace.tb_frame.f_code
        known |= {
            "code.file.path": code.co_filename,
            "code.function.name": code.co_qualname,
            "code.line.number": trace.tb_lineno,
        }
    return known
