"""The access log: a line for each request when it has ended, and one for each stream or socket when it begins.

A line names the route, never the path or the query, which may hold tickets and search words.
"""

import logging
from collections.abc import Callable
from typing import Any

from amplifier.telemetry.log_lines import Fields, Renderer, timestamp
from amplifier.telemetry.served import Served

LOGGER = "amplifier.access"
_IDS = ("session_id", "run_id")  # parameters of paths that a line shows
_LONGEST = 255  # characters of an id; a longer one in a path names nothing
_PROBES = ("/health", "/metrics")  # what these begin is asked for every few seconds, and logged at debug only


class AccessLog:
    """An observer that writes a line for each request: warnings for statuses of 500 and above, else information."""

    def __init__(self, put: Callable[[bytes], None], render: Renderer, level: int) -> None:
        self._put, self._render = put, render
        self._shows_probes, self._shows_all = level <= logging.DEBUG, level <= logging.INFO
        self._shows_failures = level <= logging.WARNING

    def __call__(self, served: Served) -> None:
        """Writes the line of a request that has ended."""
        status = served.status
        if status >= 500:
            if self._shows_failures:
                self._write("warning", served, status)
        elif self._shows_all and (self._shows_probes or not served.route.startswith(_PROBES)):
            self._write("info", served, status)

    def opened(self, served: Served) -> None:
        """Writes the line of a stream or socket that begins."""
        if self._shows_all:
            fields = _fields("info", served, "opened")
            self._put(self._render(fields | circumstances(served)) + b"\n")

    def _write(self, level: str, served: Served, status: int) -> None:
        fields = _fields(level, served, status or "no answer")
        fields["status"] = status
        if served.is_stream:
            fields["seconds"] = round(served.seconds, 1)
        else:
            fields["milliseconds"] = round(served.seconds * 1000, 2)
        if served.queries:
            fields["queries"] = served.queries
            fields["query_milliseconds"] = round(served.query_seconds * 1000, 2)
        self._put(self._render(fields | circumstances(served)) + b"\n")


def _fields(level: str, served: Served, outcome: Any) -> Fields:
    method, route = served.method, served.route
    if "head" in served.scope["state"]:
        method = "HEAD"
    return {
        "time": timestamp(),
        "level": level,
        "logger": LOGGER,
        "message": f"{method} {route} {outcome}",
        "method": method,
        "route": route,
    }


def circumstances(served: Served) -> Fields:
    """Returns the ids of the request, its caller, session and run, the client's address, and the ids of its trace."""
    scope, caller = served.scope, served.caller
    found: Fields = {"request_id": served.request_id}
    if caller is not None:
        found["app_id"], found["user_id"] = caller.app_id, caller.user_id
        if caller.is_acted_as:
            found["acted_as"] = True
    if parameters := scope.get("path_params"):
        for name in _IDS:
            if name in parameters:
                found[name] = parameters[name][:_LONGEST]
    if client := scope.get("client"):
        found["address"] = client[0][:_LONGEST]
    if served.trace is not None:
        found["trace_id"], found["span_id"] = served.trace
    return found
