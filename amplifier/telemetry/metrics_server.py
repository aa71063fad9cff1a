"""Serves the metrics on METRICS_PORT, from the process that `serve` started; with several workers, the sum of theirs.

The workers write into memory-mapped files of a private folder (prometheus-client's multiprocess mode). Nothing of this
is on the service's own port, where one of several workers would answer for itself, and where strangers ask.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from amplifier.errors import OperatorError
from amplifier.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Sum:
    """Collects the metrics of all workers from their files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._collector = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Returns the sums. What dead workers counted stays in them, and their gauges are removed."""
        for pid in {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("gauge_live*_*.db")}:
            if not _is_alive(pid):
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        collected: Iterable[Metric] = self._collector.collect()  # type: ignore[no-untyped-call]
        return collected


@contextlib.contextmanager
def folder_for_workers() -> Iterator[CollectorRegistry]:
    """Makes the folder, which worker processes of this one inherit, and yields the registry of their sums."""
    with tempfile.TemporaryDirectory(prefix="amplifier-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[FOLDER] = folder
        registry = CollectorRegistry()
        registry.register(Sum(Path(folder)))
        try:
            yield registry
        finally:
            del os.environ[FOLDER]


@contextlib.contextmanager
def serving(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """Serves the registry on METRICS_PORT in a thread for as long as the context lasts. Raises OperatorError."""
    assert settings.metrics_port is not None  # noqa: S101
    try:
        started: Any = start_http_server(settings.metrics_port, settings.metrics_address, registry)
    except OSError as error:
        raise OperatorError(f"METRICS_PORT={settings.metrics_port} cannot be served: {error.strerror}") from None
    server, thread = started
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
