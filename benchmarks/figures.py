"""Percentiles of measured values, and their comparison with the demanded limits."""

import statistics


def percentile(values: list[float], percent: int) -> float:
    """Returns a percentile of measured values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def at_most(value: float, limit: float | None) -> str:
    """Returns the demanded maximum as a text, with a mark if the value exceeds it."""
    return "" if limit is None else f"at most {limit:g}{'' if value <= limit else ' (MISSED)'}"


def at_least(value: float, limit: float) -> str:
    """Returns the demanded minimum as a text, with a mark if the value is below it."""
    return f"at least {limit:g}{'' if value >= limit else ' (MISSED)'}"
