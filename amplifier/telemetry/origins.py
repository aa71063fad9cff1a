"""The requests and runs whose changes are on their way to followers, so that the delivery continues their traces."""

from amplifier.telemetry.trace_context import TraceContext

_MOST = 100  # sessions; the trace of a further one is left without its delivery
_MOST_OF_SESSION = 8


class Origins:
    """The spans that changed sessions, by session."""

    def __init__(self) -> None:
        self._spans: dict[str, list[TraceContext]] = {}

    def add(self, session_id: str, origin: TraceContext | None) -> None:
        """Adds the span that changed a session."""
        if origin is None or (session_id not in self._spans and len(self._spans) >= _MOST):
            return
        spans = self._spans.setdefault(session_id, [])
        if len(spans) < _MOST_OF_SESSION and origin not in spans:
            spans.append(origin)

    def take(self, session_id: str) -> list[TraceContext]:
        """Removes and returns the spans of a session."""
        return self._spans.pop(session_id, [])

    def take_all(self) -> dict[str, list[TraceContext]]:
        """Removes and returns the spans of all sessions."""
        spans, self._spans = self._spans, {}
        return spans
