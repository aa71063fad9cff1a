"""The time by the database's clock, so that processes on hosts whose clocks differ agree when a token has expired."""

import time
from datetime import UTC, datetime

_ahead = time.time() - time.monotonic()  # seconds; the host's clock counts until the database's was read


def agree(seconds: float) -> None:
    """Takes the time of the database's clock, in seconds since 1970, as of now."""
    global _ahead
    _ahead = seconds - time.monotonic()


def now() -> float:
    """Returns the time in seconds since 1970."""
    return time.monotonic() + _ahead


def utc() -> datetime:
    """Returns the time as a datetime."""
    return datetime.fromtimestamp(now(), UTC)
