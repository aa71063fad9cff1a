"""Configures the log of a process: its form, its levels, and the fields that each line has.

The lines of all loggers end here: those of the service, of uvicorn and of libraries. Those of requests are in
`access_log.py`.
"""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from amplifier.masking import mask
from amplifier.telemetry import tracing
from amplifier.telemetry.access_log import AccessLog, circumstances
from amplifier.telemetry.log_exceptions import cut, described
from amplifier.telemetry.log_lines import Fields, Renderer, renderer, timestamp
from amplifier.telemetry.log_writer import LogWriter
from amplifier.telemetry.served import current

Format = Literal["json", "text"]

_LONGEST = 8_000  # characters of a message
_handler: "StderrHandler | None" = None  # of this process, once its log is configured


def config(format_: Format, level: str) -> dict[str, Any]:
    """Returns the configuration for `logging.config.dictConfig`, which uvicorn's workers apply, too.

    Libraries log warnings and errors only: below, they log headers, statements and prompts.
    """
    quiet = logging.getLevelName(max(logging.WARNING, logging.getLevelName(level.upper())))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"()": "amplifier.telemetry.logs.StderrHandler", "format_": format_}},
        "root": {"level": quiet, "handlers": ["stderr"]},
        "loggers": {
            "amplifier": {"level": level.upper()},
            "uvicorn": {"propagate": True},
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
        },
    }


def configure(format_: Format, level: str) -> None:
    """Configures the log of this process. Lines that nobody can read are lost without a traceback."""
    import logging.config

    logging.raiseExceptions = False
    logging.config.dictConfig(config(format_, level))


def background() -> AbstractContextManager[None]:
    """Returns a context in which lines are written by a thread, so that no request waits for the log's reader."""
    return nullcontext() if _handler is None else _handler.writer.background()


def has_json() -> bool | None:
    """Returns whether the log of this process has JSON, or None if it is not configured."""
    return None if _handler is None else _handler.has_json


def access_log(level: str) -> AccessLog | None:
    """Returns the observer that writes the access log, or None if the log of this process is not configured."""
    if _handler is None:
        return None
    return AccessLog(_handler.writer.put, _handler.render, logging.getLevelName(level.upper()))


class StderrHandler(logging.Handler):
    """Writes each record as one line to stderr."""

    def __init__(self, format_: Format) -> None:
        global _handler
        super().__init__()
        self.has_json = format_ == "json"
        self.render = renderer(format_, sys.stderr)
        # uvicorn configures the log anew, and what writes to the former handler has to write in the same thread
        self.writer: LogWriter = LogWriter(self._told) if _handler is None else _handler.writer
        _handler = self

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record's line. structlog is loaded by the first one, because it delays the start."""
        try:
            if self.formatter is None:
                self.formatter = formatter(self.render)
            self.writer.put(self.format(record).encode(errors="replace") + b"\n")
        except Exception:
            self.handleError(record)

    def _told(self, dropped: int) -> bytes:
        text = "%d lines of the log were dropped: nothing read stderr"
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, (dropped,), None)
        return self.format(record).encode(errors="replace") + b"\n"


def formatter(render: Renderer) -> logging.Formatter:
    """Returns the formatter of all records: it collects the fields of a line, masks secrets and renders the line."""
    from structlog.stdlib import ProcessorFormatter

    return ProcessorFormatter(processors=[_described, _located, lambda _, __, fields: render(dict(fields)).decode()])


def _described(_: Any, __: str, event: Any) -> Any:
    """Returns the fields of a record itself."""
    record: logging.LogRecord = event["_record"]
    fields: Fields = {
        "time": timestamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name.removesuffix(".error") if record.name.startswith("uvicorn") else record.name,
        "message": mask(cut(event["event"], 2 * _LONGEST, 0))[:_LONGEST],
        **getattr(record, "fields", {}),
    }
    if (raised := event.get("exc_info")) and raised[1] is not None:
        fields["exception"] = described(raised[1])
    return fields


def _located(_: Any, __: str, fields: Any) -> Any:
    """Adds the ids of the request that is served, and of the innermost span."""
    if (served := current.get()) is not None:
        fields |= circumstances(served)
    if (ids := tracing.ids()) is not None:
        fields["trace_id"], fields["span_id"] = ids
    return fields
