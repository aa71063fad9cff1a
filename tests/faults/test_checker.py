"""The checker finds what is wrong in forged histories, and nothing in a history that is right."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults import history
from tests.faults.checker import Rules, check
from tests.faults.history import Call, History, Record, Seen
from tests.faults.stored import Event, Message, Stored

S = "session"
MESSAGES = [
    Message(S, 2, "user", "mark1"),
    Message(S, 3, "user", "mark2"),
    Message(S, 6, "user", "mark3"),
    Message(S, 7, "assistant", "mark3"),
]
EVENTS = [
    Event(S, 1, "participant.added", "guest"),
    Event(S, 4, "participant.removed", "guest"),
    Event(S, 5, "run.completed", "", "run"),
    Event(S, 8, "participant.added", "guest"),
]
STORED = Stored(MESSAGES, EVENTS, {S: 8})
TYPES = {one.seq: one.type for one in EVENTS}
MARKERS = {one.seq: one.marker for one in MESSAGES}


def call(kind: str, start: float, end: float, status: int = 200, user: str = "ann", **more: object) -> Call:
    """Returns a call to the first process."""
    return Call(kind, 0, user, S, start, end, status, **more)  # type: ignore[arg-type]


def seen(seq: int, at: float, follower: str = "f", user: str = "ann") -> Seen:
    """Returns an event as a follower receives it."""
    return Seen(follower, user, S, 0, at, seq, TYPES.get(seq, "message.created"), MARKERS.get(seq, ""))


def right() -> list[Record]:
    """Returns a history without violations: each fault appears in it, as clients may see it."""
    return [
        call("follow", 0, 0.1, key="f"),
        call("follow", 0, 0.1, key="g", user="guest"),
        call("append", 1, 2, 0, key="a", marker="mark1"),
        call("append", 2.1, 3, 201, key="a", marker="mark1", first_seq=2, last_seq=2),
        call("read", 3.1, 3.2, found=["mark1"], last_seq=2),
        call("append", 3.3, 4, 503, key="b", marker="mark2", retry_after=True),
        call("append", 4.1, 5, 201, key="b", marker="mark2", first_seq=3, last_seq=3),
        call("search", 5.1, 5.2, marker="mark1", found=["mark1"]),
        *(seen(seq, 5.3) for seq in (1, 2, 3)),
        *(seen(seq, 5.3, "g", "guest") for seq in (1, 2, 3)),
        call("revoke", 6, 7, 204, "owner", key="r", marker="guest"),
        call("read", 7.1, 7.2, 404, "guest"),
        seen(4, 7.3),
        seen(5, 7.3),
        call("message", 7, 8, 0, key="m", marker="mark3"),
        call("message", 8.1, 9, 200, key="m", marker="mark3", found=["mark3"]),
        call("restore", 10, 11, 201, "owner", key="s", marker="guest"),
        call("follow", 11.1, 11.2, key="g", user="guest", after=3),
        *(seen(seq, 11.3, "g", "guest") for seq in (4, 5, 6, 7, 8)),
        *(seen(seq, 11.3) for seq in (6, 7, 8)),
        call("append", 12, 13, 503, key="c", marker="mark4", retry_after=True),  # never acknowledged, not there
    ]


def rules_of(records: Sequence[Record], stored: Stored = STORED, rules: Rules = Rules()) -> set[str]:  # noqa: B008
    """Returns the names of the rules that are violated."""
    return {one.rule for one in check(records, stored, rules)}


def test_right_history_has_no_violation() -> None:
    assert check(right(), STORED) == []


def without(seq: int) -> Stored:
    """Returns what would be stored without a message, its number given to an event."""
    return Stored(
        [one for one in MESSAGES if one.seq != seq], [*EVENTS, Event(S, seq, "message.created", "")], STORED.clocks
    )


@pytest.mark.parametrize(
    ("stored", "rule"),
    [
        (without(2), "lost"),
        (without(7), "lost"),
        (STORED._replace(messages=[*MESSAGES, Message(S, 9, "user", "mark2")], clocks={S: 9}), "doubled"),
        (STORED._replace(messages=[*MESSAGES, Message(S, 9, "user", "mark4")], clocks={S: 9}), "stream"),
        (STORED._replace(messages=[*MESSAGES, Message(S, 9, "assistant", "mark3")], clocks={S: 9}), "doubled"),
        (STORED._replace(messages=[*MESSAGES, Message(S, 9, "user", "mark5")], clocks={S: 9}), "invented"),
        (STORED._replace(messages=[one._replace(seq=9 - one.seq) for one in MESSAGES]), "misplaced"),
        (STORED._replace(messages=[one._replace(session="other") for one in MESSAGES[:1]] + MESSAGES[1:]), "misplaced"),
        (STORED._replace(clocks={S: 9}), "gap"),
        (STORED._replace(events=EVENTS[1:]), "gap"),
        (STORED._replace(events=[*EVENTS, Event(S, 7, "run.completed", "")]), "gap"),
        (STORED._replace(events=[*EVENTS, Event(S, 9, "run.failed", "", "run")], clocks={S: 9}), "doubled"),
        (STORED._replace(unfinished=["run"]), "unfinished"),
    ],
)
def test_wrong_rows_are_found(stored: Stored, rule: str) -> None:
    assert rule in rules_of(right(), stored)


def test_number_below_one_acknowledged_before_is_found() -> None:
    """The answers do not say the numbers, so that only the order is wrong."""
    appends = [
        call("append", 1, 2, 201, marker="mark2"),
        call("append", 3, 4, 201, marker="mark1"),
    ]
    assert rules_of(appends, Stored(MESSAGES[:2], [EVENTS[0]], {S: 3})) == {"order"}
    appends[1].start = 1.5  # both were under way: any order is right
    assert rules_of(appends, Stored(MESSAGES[:2], [EVENTS[0]], {S: 3})) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records.remove(seen(3, 5.3)),
        lambda records: records.insert(records.index(seen(4, 7.3)), seen(3, 7.2)),
        lambda records: records.remove(seen(8, 11.3)),
        lambda records: records.insert(records.index(seen(5, 7.3)) + 1, records.pop(records.index(seen(4, 7.3)))),
        lambda records: setattr(records[records.index(seen(2, 5.3))], "marker", "mark2"),
        lambda records: records.append(call("follow", 1, 2, key="another")),
    ],
    ids=["lost", "doubled", "lost at the end", "order", "other content", "nothing"],
)
def test_wrong_stream_is_found(change: Callable[[list[Record]], object]) -> None:
    records = right()
    change(records)
    assert rules_of(records) == {"stream"}


@pytest.mark.parametrize(
    "stale",
    [
        call("read", 5.1, 5.2, found=["mark2"], last_seq=3),
        call("read", 5.1, 5.2, found=["mark1", "mark2"], last_seq=2),
        call("read", 5.1, 5.2, found=[], last_seq=3, after=2),
        call("search", 5.1, 5.2, marker="mark2"),
        call("message", 7, 9, marker="mark3", found=["mark1"]),
    ],
)
def test_read_older_than_own_write_is_found(stale: Call) -> None:
    assert rules_of([*right(), stale]) == {"stale"}


def test_read_during_own_write_may_miss_it() -> None:
    assert rules_of([*right(), call("read", 2.9, 3.2, found=[], last_seq=1)]) == set()


@pytest.mark.parametrize("status", [0, 200, 503])
def test_late_answer_is_found(status: int) -> None:
    late = call("search", 20, 31, status, marker="mark1", found=["mark1"], retry_after=True)
    assert rules_of([*right(), late]) == {"late"}
    assert rules_of([*right(), late], rules=Rules({"": 10.0, "search": 12.0})) == set()
    assert rules_of([*right(), late], rules=Rules(suspended={0: [(25, 26)]})) == set()
    assert rules_of([*right(), late], rules=Rules(suspended={1: [(25, 26)], 0: [(32, 33)]})) == {"late"}


@pytest.mark.parametrize(
    "odd",
    [
        call("append", 20, 21, 500),
        call("append", 20, 21, 503),
        call("read", 20, 21, 409, retry_after=True),
        call("read", 20, 21, 404),
        call("message", 20, 21, 502, is_final=True),
        call("read", 5.5, 5.8, 404, "guest"),
        call("read", 11.5, 11.8, 404, "guest"),
    ],
)
def test_unexpected_status_is_found(odd: Call) -> None:
    assert rules_of([*right(), odd]) == {"status"}


def test_strict_rules_forbid_refused_and_lost_calls() -> None:
    interrupted = call("message", 20, 21, 503, marker="mark4", is_final=True)
    assert rules_of([*right(), interrupted]) == set()
    violations = check([*right(), interrupted], STORED, Rules(strict=True))
    assert {one.rule for one in violations} == {"status"}
    assert len(violations) == 5


@pytest.mark.parametrize(
    "leak",
    [
        call("read", 7.1, 9.9, 200, "guest"),
        call("follow", 7.1, 9.9, 200, "guest", key="g"),
        call("search", 8, 8.1, 200, "guest", marker="mark1", found=["mark1"]),
    ],
)
def test_answer_after_removal_is_found(leak: Call) -> None:
    assert rules_of([*right(), leak]) == {"revoked"}


def test_event_after_removal_is_found() -> None:
    records = right()
    records[records.index(seen(5, 11.3, "g", "guest"))] = seen(5, 9.9, "g", "guest")
    assert rules_of(records) == {"revoked"}
    records = right()
    records[records.index(seen(3, 5.3, "g", "guest"))] = seen(3, 9.9, "g", "guest")
    assert rules_of(records) == set(), "it was committed before"


def test_history_is_read_as_written(tmp_path: Path) -> None:
    written = History(tmp_path / "history.jsonl")
    for one in right():
        written.add(one)
    written.close()
    assert history.read(tmp_path / "history.jsonl") == right()
