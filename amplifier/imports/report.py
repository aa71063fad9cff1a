"""Counts the work of an import by tool, and names what it could not do by file and line."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_MOST = 10_000  # remarks that are kept; more are counted


class Remark(NamedTuple):
    """Something about a file, or about one of its lines if `number` is not 0."""

    path: Path
    number: int
    reason: str
    is_loss: bool

    def __str__(self) -> str:
        place = f"{self.path}:{self.number}" if self.number else str(self.path)
        return f"{place}: {self.reason}"


class Report:
    """The counts of one import. `new`, `grown`, `forked`, `same`: sessions; `messages`, `bytes`, `files`."""

    def __init__(self, tell: Callable[[Remark], object] = lambda remark: None) -> None:
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.remarks: list[Remark] = []
        self.losses = self.notes = 0
        self.unknown = 0
        self._tell = tell

    def count(self, tool: str, what: str, number: int = 1) -> None:
        """Adds to a count of a tool."""
        self.counts[tool][what] += number

    def remark(self, path: Path, number: int, reason: str, is_loss: bool = True) -> None:
        """Adds a remark. A loss is something of the file that is not in the transcript."""
        remark = Remark(path, number, reason, is_loss)
        if is_loss:
            self.losses += 1
        else:
            self.notes += 1
        if len(self.remarks) < _MOST:
            self.remarks.append(remark)
        self._tell(remark)

    def file(self, path: Path, reason: str) -> None:
        """Adds a remark about a file or folder that cannot be read."""
        self.remark(path, 0, reason)

    def skip(self, path: Path, reason: str) -> None:
        """Counts a file of another format, and keeps a remark."""
        self.unknown += 1
        self.remark(path, 0, reason, is_loss=False)

    def total(self, what: str) -> int:
        """Returns a count over all tools."""
        return sum(counts[what] for counts in self.counts.values())

    @property
    def changed(self) -> int:
        """The number of sessions that are new or have more than before."""
        return self.total("new") + self.total("grown") + self.total("forked")
