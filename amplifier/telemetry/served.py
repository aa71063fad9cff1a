"""The record of one request that the access log, the metrics and the traces share.

`api/routes.py` makes it, `queries/query.py` adds the time of statements, and every observer of the application receives
it when the request has ended. Without observers there is none.
"""

import random
import re
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

NO_ROUTE = "none"  # in place of a route where no route took the request: paths are of any number and may hold secrets
NO_METHOD = "none"  # in place of a method where the request was refused before it was read
REFUSED_STATUS = "amplifier.refused"  # in a scope: the status that the protocol sent instead of the application's

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")


class Served:
    """A request while it is served. Times are in seconds; `seconds` is set at its end.

    `query_seconds` sums up the statements of the request, waits for a connection included. `trace` has the ids of its
    trace and span in hexadecimal form, if it is traced.
    """

    __slots__ = ("observers", "queries", "query_seconds", "scope", "seconds", "started", "trace")

    def __init__(self, scope: Any, observers: "Sequence[Observer]" = ()) -> None:
        self.scope, self.observers = scope, observers
        self.trace: tuple[str, str] | None = None
        self.started = time.perf_counter()
        self.queries, self.query_seconds, self.seconds = 0, 0.0, 0.0

    @property
    def method(self) -> str:
        """The method, HEAD as GET; WEBSOCKET for a socket."""
        return self.scope.get("method", "WEBSOCKET")  # type: ignore[no-any-return]

    @property
    def route(self) -> str:
        """The template of the path, such as `/sessions/{session_id}`."""
        return self.scope.get("path_template") or NO_ROUTE

    @property
    def status(self) -> int:
        """The status of the answer, 101 for a socket that was accepted, 0 if the client received none."""
        return self.scope.get(REFUSED_STATUS) or self.scope["state"].get("status", 0)  # type: ignore[no-any-return]

    @property
    def request_id(self) -> str:
        """The id that the client receives as X-Request-ID."""
        return request_id(self.scope)

    @property
    def caller(self) -> Any:
        """The `web.request.Caller`, or None without one."""
        return self.scope.get("user")

    @property
    def is_stream(self) -> bool:
        """Returns whether the answer lasts as long as the client wants, or an agent, so that its time measures neither
        the service nor the database."""
        scope = self.scope
        return "amplifier.ending" in scope or "amplifier.draining" in scope or self.method == "WEBSOCKET"

    def add_query(self, seconds: float) -> None:
        """Adds a statement of the request."""
        self.queries += 1
        self.query_seconds += seconds

    def end(self) -> None:
        """Measures the time until now."""
        self.seconds = time.perf_counter() - self.started

    def open(self) -> None:
        """Passes the record of a stream or socket that begins to the observers with a method `opened`."""
        for observe in self.observers:
            if (opened := getattr(observe, "opened", None)) is not None:
                opened(self)


Observer: TypeAlias = Callable[[Served], None]

# The request that the task serves; None in background tasks, and without observers.
current: ContextVar[Served | None] = ContextVar("served", default=None)


def request_id(scope: Any) -> str:
    """Returns the request's id: the X-Request-ID of the client if it is well-formed, else a new one. Keeps it."""
    state = scope["state"]
    if (known := state.get("request_id")) is not None:
        return known  # type: ignore[no-any-return]
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            state["request_id"] = found = value.decode() if _REQUEST_ID.match(value) else _new_id()
            return found
    state["request_id"] = found = _new_id()
    return found


def _new_id() -> str:
    return f"{random.getrandbits(128):032x}"


def opened() -> None:
    """Passes the record of the stream or socket that begins to its observers."""
    if (served := current.get()) is not None:
        served.open()


def refuse(app: Any, client: Any, status: int) -> None:
    """Passes the record of a request that the protocol refused before routing to the observers of its application.

    `app` may be the application, or one that wraps it as its attribute `app`.
    """
    while app is not None and not hasattr(app, "observers"):
        app = getattr(app, "app", None)
    if app is not None and app.observers:
        scope = {"method": NO_METHOD, "client": client, "headers": (), "state": {"status": status}}
        served = Served(scope, app.observers)
        for observe in app.observers:
            observe(served)
