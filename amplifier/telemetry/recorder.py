"""The reports of the service's parts to the metrics, besides requests: searches, runs, model calls, deliveries.

Without metrics the recorder does nothing, and nothing of prometheus-client is imported.
"""

from collections.abc import Mapping
from datetime import datetime


class Recorder:
    """Ignores every report. `metrics.Metrics` counts them. Times are in seconds."""

    def rate_limited(self) -> None:
        """Counts a request that its rate limit refused."""

    def reconnected(self) -> None:
        """Counts a listening connection that was opened again after a loss."""

    def read(self, outcome: str) -> None:
        """Counts a read that a replica may answer: `replica`, or the reason why the primary answered."""

    def searched(self, way: str, seconds: float, completed: bool) -> None:
        """Measures a search. `completed` is False if SEARCH_TIMEOUT stopped it."""

    def delivered(self, committed_at: datetime) -> None:
        """Measures the delay of events that were written to a follower, from the commit of the oldest of them."""

    def run_ended(self, outcome: str, seconds: float | None = None) -> None:
        """Counts a run. `seconds` is None if this process did not execute it."""

    def run_taken_over(self) -> None:
        """Counts a run whose process died and that this one ended."""

    def lease_lost(self) -> None:
        """Counts a run of this process that another one took over."""

    def model_called(self, provider: str, model: str, seconds: float, tokens: Mapping[str, int] | None) -> None:
        """Measures a call of a model. `tokens` are by type, None if the call failed."""

    def embedded(self, outcome: str, count: int) -> None:
        """Counts messages that are embedded, or will not be: `embedded`, `copied`, `empty`, `failed`, `given_up`."""

    def embedding_called(self, purpose: str, seconds: float, tokens: int | None) -> None:
        """Measures a call of the model that embeds, for `messages` or `questions`. `tokens` is None if it failed."""

    def tool_called(self, tool: str, seconds: float) -> None:
        """Measures a call of a tool, with a result or an error."""


current = Recorder()
