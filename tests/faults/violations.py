"""A violated promise."""

from typing import NamedTuple


class Violation(NamedTuple):
    """The name of the rule, and the records that show it."""

    rule: str  # lost, doubled, invented, misplaced, order, gap, stream, unfinished, stale, late, status, revoked
    text: str
