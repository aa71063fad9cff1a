"""Rules about what is stored: each acknowledged write once, numbers in the order of commits, streams without gaps."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.faults.history import Call, Seen
from tests.faults.stored import Stored
from tests.faults.violations import Violation

WRITES = ("append", "message")
ENDS = ("run.completed", "run.failed", "run.cancelled")


class Write(NamedTuple):
    """All attempts at one write: from the start of the first to the first acknowledgement, or None without one."""

    kind: str
    session: str
    marker: str
    start: float
    acknowledged: float | None
    seq: int  # the number in the acknowledgement, 0 if it has none


def writes(calls: Sequence[Call]) -> list[Write]:
    """Returns the writes of a history, by the start of their first attempt."""
    attempts: dict[str, list[Call]] = {}
    for call in calls:
        if call.kind in WRITES:
            attempts.setdefault(call.marker, []).append(call)
    return sorted((_write(marker, found) for marker, found in attempts.items()), key=lambda one: one.start)


def _write(marker: str, attempts: Sequence[Call]) -> Write:
    acked = [one for one in attempts if 200 <= one.status < 300]
    first = min(acked, key=lambda one: one.end, default=None)
    return Write(
        attempts[0].kind,
        attempts[0].session,
        marker,
        min(one.start for one in attempts),
        first.end if first else None,
        first.first_seq if first else 0,
    )


def check(calls: Sequence[Call], seen: Sequence[Seen], stored: Stored) -> list[Violation]:
    """Returns the violations of these rules."""
    found = writes(calls)
    return [
        *_counted(found, stored),
        *_answered(found, stored),
        *_ended_once(stored),
        *_ordered(found, stored),
        *_gapless(stored),
        *_streams(calls, seen, stored),
        *(Violation("unfinished", run_id) for run_id in stored.unfinished),
    ]


def _counted(found: Sequence[Write], stored: Stored) -> Iterator[Violation]:
    """Finds acknowledged writes that are not there, writes that are there twice, and messages that nobody wrote."""
    counts = Counter(one.marker for one in stored.messages if one.role == "user")
    places = {one.marker: one for one in stored.messages if one.role == "user"}
    for write in found:
        if write.acknowledged is not None and not counts[write.marker]:
            yield Violation("lost", f"{write}")
        if counts[write.marker] > 1:
            yield Violation("doubled", f"{counts[write.marker]} times: {write}")
        place = places.get(write.marker)
        if place is not None and (place.session != write.session or (write.seq and place.seq != write.seq)):
            yield Violation("misplaced", f"{place}: {write}")
    for marker in counts.keys() - {write.marker for write in found}:
        yield Violation("invented", f"{places[marker]}")


def _answered(found: Sequence[Write], stored: Stored) -> Iterator[Violation]:
    """Finds acknowledged messages to an agent without exactly one answer."""
    answers = Counter(one.marker for one in stored.messages if one.role == "assistant")
    for write in found:
        if write.kind == "message" and answers[write.marker] != 1 and write.acknowledged is not None:
            yield Violation("lost" if not answers[write.marker] else "doubled", f"answer: {write}")
        elif answers[write.marker] > 1:
            yield Violation("doubled", f"answer: {write}")


def _ended_once(stored: Stored) -> Iterator[Violation]:
    """Finds runs that ended twice, as one that another process took over and that was continued nevertheless."""
    ends = Counter(one.run for one in stored.events if one.type in ENDS)
    for run, count in ends.items():
        if count > 1:
            yield Violation("doubled", f"run {run} ended {count} times")


def _ordered(found: Sequence[Write], stored: Stored) -> Iterator[Violation]:
    """Finds writes with a lower number than one that was acknowledged before they began."""
    places = {one.marker: one.seq for one in stored.messages if one.role == "user"}
    for session in {one.session for one in found}:
        here = [(one, places[one.marker]) for one in found if one.session == session and one.marker in places]
        ends = sorted((one.acknowledged, seq) for one, seq in here if one.acknowledged is not None)
        highest = position = 0
        for write, seq in here:
            while position < len(ends) and ends[position][0] < write.start:
                highest = max(highest, ends[position][1])
                position += 1
            if seq < highest:
                yield Violation("order", f"{seq} after {highest}: {write}")


def _gapless(stored: Stored) -> Iterator[Violation]:
    """Finds sessions whose messages and events do not have the numbers from 1 to the session's clock, each once."""
    numbers: dict[str, list[int]] = {session: [] for session in stored.clocks}
    for one in (*stored.messages, *stored.events):
        numbers.setdefault(one.session, []).append(one.seq)
    for session, seqs in numbers.items():
        clock = stored.clocks.get(session, 0)
        if sorted(seqs) != list(range(1, clock + 1)):
            odd = [(seq, count) for seq, count in Counter(seqs).items() if count > 1 or seq > clock]
            missing = sorted(set(range(1, clock + 1)) - set(seqs))
            yield Violation("gap", f"{session}: clock {clock}, missing {missing[:5]}, doubled or beyond {odd[:5]}")


def _streams(calls: Sequence[Call], seen: Sequence[Seen], stored: Stored) -> Iterator[Violation]:
    """Finds followers that did not receive each stored event once, in order, over all their connections."""
    logs: dict[str, dict[int, tuple[str, str]]] = {}
    for one in stored.messages:
        logs.setdefault(one.session, {})[one.seq] = ("message.created", one.marker)
    for event in stored.events:
        logs.setdefault(event.session, {})[event.seq] = (event.type, "")
    received: dict[tuple[str, str], list[Seen]] = {}
    for call in calls:
        if call.kind == "follow":
            received.setdefault((call.key, call.session), [])
    for item in seen:
        received.setdefault((item.follower, item.session), []).append(item)
    for (follower, session), items in received.items():
        expected = list(range(1, stored.clocks.get(session, 0) + 1))
        got = [one.seq for one in items]
        if got != expected:
            places = zip(got, expected, strict=False)
            at = next((n for n, (a, b) in enumerate(places) if a != b), min(len(got), len(expected)))
            found = f"{got[max(0, at - 2) : at + 3]} at {at} instead of {expected[at : at + 3]}"
            yield Violation("stream", f"{follower} of {session}: {found}")
        for one in items:
            if logs.get(session, {}).get(one.seq) != (one.type, one.marker):
                yield Violation("stream", f"{one} is not what is stored: {logs.get(session, {}).get(one.seq)}")
