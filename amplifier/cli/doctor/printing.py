"""Prints findings: as lines of text, with colours on a terminal, or as one JSON document."""

import sys
from collections import Counter
from collections.abc import Sequence

import msgspec

from amplifier.cli.doctor.findings import Finding, is_ok

_COLOURS = {"ok": "32", "warning": "33", "failed": "31", "skipped": "2"}  # of terminals (ECMA-48)
_NAME_WIDTH = 20


class Document(msgspec.Struct, frozen=True):
    """The answer of `--json`."""

    checks: Sequence[Finding]
    ok: bool


def print_finding(finding: Finding) -> None:
    """Prints a finding, and below it what is wrong and what mends it."""
    status = f"{finding.status:<8}"
    if sys.stdout.isatty():
        status = f"\x1b[{_COLOURS[finding.status]}m{status}\x1b[0m"
    print(f"{status} {finding.name:<{_NAME_WIDTH}} {' '.join(finding.seen.split())}", flush=True)
    remedy = "remedy" if finding.problem else "hint"
    for label, text in (("problem", finding.problem), (remedy, finding.remedy)):
        if text:
            print(_indented(f"{label}: ", text), flush=True)


def ignore(_: Finding) -> None:
    """Prints nothing: a document is printed in the end."""


def print_total(findings: Sequence[Finding]) -> None:
    """Prints how many checks had which result."""
    counts = Counter(finding.status for finding in findings)
    warnings = f"{counts['warning']} warning{'' if counts['warning'] == 1 else 's'}"
    print(f"\n{counts['failed']} failed, {warnings}, {counts['ok']} ok, {counts['skipped']} skipped")


def print_json(findings: Sequence[Finding]) -> None:
    """Prints the findings as one document."""
    print(msgspec.json.format(msgspec.json.encode(Document(findings, is_ok(findings)))).decode())


def _indented(label: str, text: str) -> str:
    """Returns a text that begins below the finding. Its lines are not broken, since they may be commands to paste."""
    margin = " " * 9
    return f"{margin}{label}" + f"\n{margin}{' ' * len(label)}".join(text.splitlines())
