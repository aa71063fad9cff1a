"""Reports targets that take no telemetry, once a minute each, in place of the log of the SDKs.

The SDKs log each attempt, with texts of the server and addresses that may contain keys.
"""

import logging
import re
import time
from typing import Any

from amplifier.telemetry.targets import Target

logger = logging.getLogger(__name__)

_PACE = 60.0  # seconds
_PHRASE = re.compile(r"\A([A-Z][A-Za-z ]{1,40})\Z|invalid status '([A-Za-z ]{1,40})'")  # such as Service Unavailable
_LOGGERS = ("opentelemetry", "azure.monitor")


class Failures(logging.Handler):
    """Takes the log of the SDKs, and watches exporters."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._reason: str | None = None
        self._told: dict[str, float] = {}
        self._has_ended = False
        self._before = [(name, logging.getLogger(name).propagate) for name in _LOGGERS]
        for name in _LOGGERS:
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(self)
        # it logs each item that a full queue drops
        logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.CRITICAL)

    def end(self, gives_back: bool) -> None:
        """Reports nothing more. Gives the loggers back, unless the SDKs still try to send and log that."""
        self._has_ended = True
        if gives_back:
            for name, propagate in self._before:
                logging.getLogger(name).propagate = propagate
                logging.getLogger(name).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the reason of the last failure: a status, its phrase, or the type of an error."""
        given = record.args if isinstance(record.args, tuple) else ()
        status = next((one for one in given if isinstance(one, int) and 400 <= one < 600), None)
        error = next((one for one in given if isinstance(one, BaseException)), None)
        if error is None and record.exc_info:
            error = record.exc_info[1]
        status = status or getattr(error, "status_code", None)
        if isinstance(status, int):
            self._reason = f"status {status}"
        elif error is not None:
            self._reason = type(error).__name__
        elif self._reason is None and given and (phrase := _PHRASE.search(str(given[0]))):
            self._reason = phrase[1] or phrase[2]

    def watch(self, exporter: Any, target: Target) -> Any:
        """Makes `export` of an exporter report failures. Returns the exporter."""
        export = exporter.export

        def watched(*arguments: Any, **options: Any) -> Any:
            result = export(*arguments, **options)
            self.note(target, result.name == "SUCCESS")
            return result

        exporter.export = watched
        return exporter

    def note(self, target: Target, succeeded: bool) -> None:
        """Reports a failure of a target, or the first success after one."""
        if self._has_ended:
            return
        told = self._told.get(target.address)
        reason, self._reason = self._reason or "it refuses or does not answer", None
        now = time.monotonic()
        if succeeded:
            if told is not None:
                del self._told[target.address]
                logger.warning("telemetry is delivered to %s again", target.address)
        elif told is None or now - told >= _PACE:
            self._told[target.address] = now
            logger.warning(
                "telemetry is not delivered to %s and dropped: %s, %s", target.address, target.signal, reason
            )
