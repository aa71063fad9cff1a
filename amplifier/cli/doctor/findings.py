"""The findings of checks, and the order in which checks run: each with a limit of time, after those that it needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from amplifier.errors import one_line
from amplifier.secret import known

Status = Literal["ok", "warning", "failed", "skipped"]
LIMIT = 5.0  # seconds for one check
_LIMIT_OF_ALL = 25.0  # seconds for all checks together; cleaning up may take a few more


class Outcome(msgspec.Struct, frozen=True):
    """The result of a check: what was seen, and if something is wrong with it, what and how to mend it."""

    status: Status
    seen: str
    problem: str | None = None
    remedy: str | None = None


class Finding(msgspec.Struct, frozen=True):
    """The outcome of a named check, and its duration."""

    name: str
    status: Status
    seen: str
    problem: str | None
    remedy: str | None
    milliseconds: float


class Check(NamedTuple):
    """A named check. It is skipped if one in `needs` did not pass, or one in `unless_failed` failed."""

    name: str
    run: Callable[[], Awaitable[Outcome]]
    needs: tuple[str, ...] = ()
    limit: float = LIMIT  # seconds
    always: bool = False  # also after the time of all checks is up
    unless_failed: tuple[str, ...] = ()


class Fault(Exception):
    """Raised by a check that failed, with the same arguments as `failed`."""

    def __init__(self, seen: str, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.outcome = failed(seen, problem, remedy)


def ok(seen: str, remedy: str | None = None) -> Outcome:
    """Returns the outcome of a check that passed. `remedy` says how to have what is merely useful."""
    return Outcome("ok", seen, None, remedy)


def warning(seen: str, problem: str, remedy: str) -> Outcome:
    """Returns the outcome of a check that found a risk. The service works nevertheless."""
    return Outcome("warning", seen, problem, remedy)


def failed(seen: str, problem: str, remedy: str) -> Outcome:
    """Returns the outcome of a check that found a fault which prevents the service from working."""
    return Outcome("failed", seen, problem, remedy)


def skipped(reason: str) -> Outcome:
    """Returns the outcome of a check that does not apply."""
    return Outcome("skipped", reason)


async def examine(checks: Iterable[Check], report: Callable[[Finding], None] = lambda _: None) -> list[Finding]:
    """Runs the checks one after the other and returns their findings, after passing each to `report`.

    Texts show *** in place of secrets. A check that needs one which did not pass is skipped.
    """
    findings: list[Finding] = []
    ends_at = time.monotonic() + _LIMIT_OF_ALL
    for check in checks:
        began = time.monotonic()
        limit = check.limit if check.always else min(check.limit, ends_at - began)
        outcome = _unmet(check, findings) or await _outcome(check, limit)
        seen, problem, remedy = (_masked(text) for text in (outcome.seen, outcome.problem, outcome.remedy))
        duration = round((time.monotonic() - began) * 1000, 1)
        findings.append(Finding(check.name, outcome.status, seen or "", problem, remedy, duration))
        report(findings[-1])
    return findings


def is_ok(findings: Iterable[Finding]) -> bool:
    """Returns whether no check failed. Warnings count as passed."""
    return all(finding.status != "failed" for finding in findings)


def _unmet(check: Check, findings: Sequence[Finding]) -> Outcome | None:
    """Returns the outcome of a check that cannot run because one that it needs failed or was skipped, else None."""
    statuses = {finding.name: finding.status for finding in findings}
    for name in (*check.unless_failed, *check.needs):
        if statuses.get(name) == "failed":
            return skipped(f"because {name} failed")
    for name in check.needs:
        if statuses.get(name) == "skipped":
            return skipped(f"because {name} was skipped")
    return None


async def _outcome(check: Check, limit: float) -> Outcome:
    if limit <= 0:
        remedy = "see how long each took (--json), and run the command again"
        return failed("not examined", f"the checks before took {_LIMIT_OF_ALL:.0f} s", remedy)
    try:
        async with asyncio.timeout(limit):
            return await check.run()
    except Fault as fault:
        return fault.outcome
    except TimeoutError:
        return failed(
            f"no result within {limit:.0f} s",
            "the other side is too slow, or drops what is sent to it",
            "look for load, and for firewalls that close idle connections; then run the command again",
        )
    except Exception as error:  # of any kind: the other checks say more
        return failed(
            f"{type(error).__name__}: {one_line(error)}",
            "the check met an error that it does not know",
            "see the message, and the database's log of this moment",
        )


def _masked(text: str | None) -> str | None:
    """Returns a text without secrets. Checks put none into it, errors of libraries might."""
    for secret in known() if text else ():
        text = text.replace(secret, "***")  # type: ignore[union-attr]
    return text
