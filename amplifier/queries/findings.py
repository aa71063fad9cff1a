"""The finding: one fault of a query, with its place and a remedy; and the error that carries findings."""

from collections.abc import Sequence

import msgspec

from amplifier.errors import OperatorError


class Finding(msgspec.Struct, frozen=True):
    """One fault. `line` counts from 1; `query` is null where it concerns a file or the folder."""

    file: str
    line: int
    query: str | None
    problem: str
    remedy: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " + (f"{self.query}: " if self.query else "")
        return place + self.problem + (f" ({self.remedy})" if self.remedy else "")


class QueriesError(OperatorError):
    """Raised for faulty queries. The message has a line for each finding: file, line, query, problem and remedy."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = list(findings)
