"""Checks a history against the promises: pure functions of what was recorded and what is stored.

`check` returns what was violated. Rules about writes, numbers and streams are in `written.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.faults import written
from tests.faults.history import Call, Record, Seen
from tests.faults.stored import Stored
from tests.faults.violations import Violation

LATER = {0, 503}  # statuses that a fault may cause
# besides 2xx: a repeated key whose first request is under way; a message to a session with a full queue
ALLOWED = {kind: LATER | {409} for kind in ("append", "revoke", "restore")} | {"message": LATER | {409, 429}}
NOT_FOUND = 404


class Rules(NamedTuple):
    """The limits of a test.

    `limits` has the seconds for an answer by kind, "" for all others. `suspended` has the times in which a process
    could not answer, by its number. `strict` forbids refused and lost calls.
    """

    limits: Mapping[str, float] = {"": 10.0}
    suspended: Mapping[int, Sequence[tuple[float, float]]] = {}
    strict: bool = False


def check(records: Sequence[Record], stored: Stored, rules: Rules = Rules()) -> list[Violation]:  # noqa: B008
    """Returns all violations of the promises."""
    calls = [one for one in records if isinstance(one, Call)]
    seen = [one for one in records if isinstance(one, Seen)]
    access = _Access(calls)
    return [
        *written.check(calls, seen, stored),
        *_stale(calls, stored),
        *_late(calls, rules),
        *_unexpected(calls, rules, access),
        *_revoked(calls, seen, stored, access),
    ]


def succeeded(call: Call) -> bool:
    """Returns whether a call was answered with success."""
    return 200 <= call.status < 300


def _stale(calls: Sequence[Call], stored: Stored) -> Iterator[Violation]:
    """Finds reads and searches that miss what their user had written before they began."""
    places = {one.marker: one.seq for one in stored.messages if one.role == "user"}
    own: dict[tuple[str, str], list[tuple[float, int, str]]] = {}
    for call in calls:
        if call.kind == "append" and succeeded(call):
            seq = places.get(call.marker, call.last_seq)
            own.setdefault((call.user, call.session), []).append((call.end, seq, call.marker))
    for call in calls:
        if call.kind == "read" and succeeded(call):
            before = [one for one in own.get((call.user, call.session), ()) if one[0] <= call.start]
            missing = {marker for _, seq, marker in before if seq > call.after} - set(call.found)
            if missing or any(seq > call.last_seq for _, seq, _ in before):
                yield Violation("stale", f"{call} misses {sorted(missing)}")
        if call.kind in ("search", "message") and succeeded(call) and call.marker not in call.found:
            yield Violation("stale", f"{call} does not have what was asked for")


def _late(calls: Sequence[Call], rules: Rules) -> Iterator[Violation]:
    for call in calls:
        limit = rules.limits.get(call.kind, rules.limits.get("", 10.0))
        times = rules.suspended.get(call.process, ())
        if call.end - call.start > limit and not any(a <= call.end and call.start <= b for a, b in times):
            yield Violation("late", f"{call.end - call.start:.2f} s of {limit}: {call}")


def _unexpected(calls: Sequence[Call], rules: Rules, access: "_Access") -> Iterator[Violation]:
    for call in calls:
        allowed = set() if rules.strict else ALLOWED.get(call.kind, LATER)
        if succeeded(call) or (call.status == NOT_FOUND and access.may_be_out(call)):
            continue
        if call.status not in allowed and (rules.strict or not call.is_final):
            yield Violation("status", f"{call.status}: {call}")
        elif call.status in (409, 429, 503) and not (call.retry_after or call.is_final):
            yield Violation("status", f"no Retry-After: {call}")
        elif call.is_final and call.status not in LATER:
            yield Violation("status", f"a run ended badly: {call}")


class _Access:
    """The times in which users were out: from the acknowledgement of a removal to the first attempt to restore it."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._changes: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
        by_key: dict[str, list[Call]] = {}
        for call in calls:
            if call.kind in ("revoke", "restore"):
                by_key.setdefault(call.key, []).append(call)
        for attempts in by_key.values():
            first, acked = attempts[0], [one.end for one in attempts if succeeded(one)]
            end = min(acked) if acked else float("inf")
            place = (first.marker, first.session)  # the marker of a change of access is the user
            self._changes.setdefault(place, []).append((first.kind, min(one.start for one in attempts), end))
        for changes in self._changes.values():
            changes.sort(key=lambda one: one[1])

    def surely_out(self, user: str, session: str) -> list[tuple[float, float]]:
        """Returns from the end of each removal to the begin of the next restoration."""
        changes = self._changes.get((user, session), [])
        ends = [*(one[1] for one in changes[1:]), float("inf")]
        return [(end, until) for (kind, _, end), until in zip(changes, ends, strict=False) if kind == "revoke"]

    def may_be_out(self, call: Call) -> bool:
        """Returns whether the user may have been out during the call."""
        changes = self._changes.get((call.user, call.session), [])
        ends = [*(one[2] for one in changes[1:]), float("inf")]
        spans = [(start, until) for (kind, start, _), until in zip(changes, ends, strict=False) if kind == "revoke"]
        return any(start <= call.end and call.start <= until for start, until in spans)


def _revoked(calls: Sequence[Call], seen: Sequence[Seen], stored: Stored, access: _Access) -> Iterator[Violation]:
    """Finds answers and events for users whose access had been revoked."""
    for call in calls:
        spans = access.surely_out(call.user, call.session)
        if succeeded(call) and any(start < call.start and call.end < until for start, until in spans):
            yield Violation("revoked", f"answered after the removal: {call}")
    removals: dict[tuple[str, str], list[int]] = {}
    for event in stored.events:
        if event.type == "participant.removed":
            removals.setdefault((event.user, event.session), []).append(event.seq)
    for one in seen:
        spans = access.surely_out(one.user, one.session)
        numbers = removals.get((one.user, one.session), [])
        for (start, until), removed in zip(spans, numbers, strict=False):
            if start < one.at < until and one.seq > removed:
                yield Violation("revoked", f"delivered after the removal {removed}: {one}")
