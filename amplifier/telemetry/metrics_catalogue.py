"""All metrics with their names, helps, labels and buckets. `metrics.py` counts, `server/measurements.py` reads gauges.

Names and base units follow Prometheus' conventions: seconds, bytes, `_total` for counters. No label has an id, a path
or a text of a caller.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

REQUEST_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELIVERY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SEARCH_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_AGENT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# what is searched, and the order of the hits
_WAYS = (
    "messages_by_rank",
    "messages_recent",
    "one_session_by_rank",
    "one_session_recent",
    "sessions",
    "facets",
    "by_meaning",
)


class Durations(Histogram):
    """A histogram that also takes observations that were counted elsewhere."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """Adds the observations of each bucket, the last one without a limit, and their sum."""
        self._sum.inc(seconds)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Catalogue:
    """The metrics of one process. With several workers, `multiprocess_mode` says how gauges are put together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        self._describe_requests()
        self._describe_embeddings()
        self._describe_database()
        self._describe_live()
        self._describe_agents()
        self._describe_process()

    def _describe_requests(self) -> None:
        self.requests = self._counter("http_requests", "Requests that ended", "method", "route", "status")
        self.request_seconds = Durations(
            "amplifier_http_request_duration_seconds",
            "Time of requests, without streams, sockets and answers of agents",
            ("method", "route"),
            registry=self._registry,
            buckets=REQUEST_BUCKETS,
        )
        self.rate_limited = self._counter("rate_limit_refusals", "Requests refused by a rate limit")
        self.search_seconds = self._histogram("search_duration", "Time of searches", _SEARCH_BUCKETS, "way")
        self.searches_stopped = self._counter("searches_stopped", "Searches stopped by SEARCH_TIMEOUT", "way")
        for way in _WAYS:
            self.search_seconds.labels(way), self.searches_stopped.labels(way)

    def _describe_embeddings(self) -> None:
        self.embedded_messages = self._counter(
            "embedded_messages", "Messages that were embedded, or that cannot be", "outcome"
        )
        self.embeddings_waiting = self._gauge(
            "embeddings_waiting", "Messages that wait for their embeddings, in the whole database", "livemax"
        )
        self.embedding_calls = self._counter(
            "embedding_calls", "Calls of the model that embeds messages and questions", "purpose", "outcome"
        )
        self.embedding_seconds = self._histogram(
            "embedding_call_duration", "Time of calls of the model that embeds", _AGENT_BUCKETS, "purpose"
        )
        self.embedding_tokens = self._counter("embedding_tokens", "Tokens of the model that embeds", "purpose")

    def _describe_database(self) -> None:
        self.query_calls = self._counter("query_calls", "Calls of each query", "query")
        self.query_seconds = self._counter(
            "query_seconds", "Time of each query's calls, with waits for a connection", "query"
        )
        self.pool_connections = self._gauge("pool_connections", "Open connections of the pool", "livesum")
        self.pool_in_use = self._gauge("pool_connections_in_use", "Connections that run a statement", "livesum")
        self.pool_most = self._gauge(
            "pool_connections_max", "DATABASE_POOL_MAX_SIZE, summed up over processes", "livesum"
        )
        self.pool_waiting = self._gauge("pool_waiting", "Statements that wait for a connection", "livesum")
        self.replica_reads = self._counter(
            "replica_reads", "Reads that a replica may answer, by who did: replica, or why the primary", "outcome"
        )
        self.schema = self._gauge("schema_version", "Number of the newest migration that the database has", "livemax")
        self.schema_missing = self._gauge(
            "schema_missing_migrations", "Migrations of this release that the database lacks", "livemax"
        )

    def _describe_live(self) -> None:
        self.streams = self._gauge("streams", "Open streams and sockets, of a session or of hints", "livesum", "kind")
        self.followers = self._gauge("followers", "Users with an open stream, summed up over processes", "livesum")
        self.followed_sessions = self._gauge("followed_sessions", "Sessions that are followed", "livesum")
        self.delivery_seconds = self._histogram(
            "delivery_delay", "From the commit of an event to its writing to a follower", _DELIVERY_BUCKETS
        )
        self.listening = self._gauge("listener_connected", "Processes whose LISTEN connection is open", "livesum")
        self.reconnects = self._counter("listener_reconnects", "LISTEN connections opened again after a loss")
        self.queue_usage = self._gauge(
            "notification_queue_usage_ratio", "Used part of the database's notification queue", "livemax"
        )

    def _describe_agents(self) -> None:
        self.runs_running = self._gauge("runs_running", "Runs that are executed", "livesum")
        self.runs_queued = self._gauge("runs_queued", "Runs that wait, in the whole database", "livemax")
        self.runs_queued_seconds = self._gauge(
            "runs_queued_oldest_seconds", "Time that the oldest waiting run has waited", "livemax"
        )
        self.runs = self._counter("runs", "Runs that ended", "outcome")
        for outcome in ("completed", "failed", "cancelled", "refused"):
            self.runs.labels(outcome)
        self.run_seconds = self._histogram("run_duration", "Time of runs", _AGENT_BUCKETS)
        self.leases_lost = self._counter("run_leases_lost", "Runs that a living process lost to another one")
        self.runs_taken_over = self._counter("runs_taken_over", "Runs of dead processes, ended by another one")
        self.model_calls = self._counter("model_calls", "Calls of models", "provider", "model", "outcome")
        self.model_seconds = self._histogram(
            "model_call_duration", "Time of calls of models", _AGENT_BUCKETS, "provider", "model"
        )
        self.model_tokens = self._counter("model_tokens", "Tokens of models", "provider", "model", "type")
        self.tool_seconds = self._histogram("tool_call_duration", "Time of calls of tools", _AGENT_BUCKETS, "tool")

    def _describe_process(self) -> None:
        self.build = self._gauge("build_info", "Always 1; the labels name the release", "livemax", "version", "python")
        self.workers = self._gauge("workers", "Serving processes", "livesum")
        self.measured_at = self._gauge(
            "measured_timestamp_seconds",
            "Time of the last reading, of the process that read longest ago",
            "livemin",
        )
        self.loop_lag = self._histogram("event_loop_lag", "How late a timer of the event loop was", _LAG_BUCKETS)
        # the names of prometheus-client's ProcessCollector, which does not work with several processes
        self.process_cpu = Counter(
            "process_cpu_seconds", "User and system CPU time spent in seconds", registry=self._registry
        )
        self.process_gauges = {
            name: Gauge(name, text, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]
            for name, text, mode in (
                ("process_resident_memory_bytes", "Resident memory size in bytes", "livesum"),
                ("process_virtual_memory_bytes", "Virtual memory size in bytes", "livesum"),
                ("process_open_fds", "Number of open file descriptors", "livesum"),
                ("process_max_fds", "Maximum number of open file descriptors", "livesum"),
                ("process_start_time_seconds", "Start time of the newest process since the epoch", "livemax"),
            )
        }

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"amplifier_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, mode: str, *labels: str) -> Gauge:
        return Gauge(f"amplifier_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"amplifier_{name}_seconds", text, labels, registry=self._registry, buckets=buckets)
