"""Transcripts in every format, cut and shuffled, become valid for models, and no message is lost."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.transcripts.findings import Finding
from amplifier.transcripts.integrity import LOST, closing, diagnose, repaired, valid
from amplifier.transcripts.plain import is_plain
from tests.end_to_end.test_main_job import transcripts

Message = dict[str, Any]
SYSTEM: Message = {"role": "system", "content": "Be brief."}
REMINDER: Message = {"role": "user", "content": "<system-reminder>Budget: 200</system-reminder>"}
ASKED: Message = {"role": "user", "content": "Go on"}
SAID: Message = {"role": "assistant", "content": "Done"}


def call(*ids: str, dialect: str = "amplifier") -> Message:
    """Returns an assistant's message with calls."""
    shapes = {
        "amplifier": lambda id: {"id": id, "tool": "run", "arguments": {}},
        "openai": lambda id: {"id": id, "type": "function", "function": {"name": "run", "arguments": "{}"}},
        "plain": lambda id: {"id": id, "name": "run", "arguments": {}},
        "tool_call": lambda id: {"type": "tool_call", "id": id, "name": "run", "input": {}},
        "tool_use": lambda id: {"type": "tool_use", "id": id, "name": "run", "input": {}},
    }
    calls = [shapes[dialect](id) for id in ids]
    if dialect.startswith("tool_"):
        return {"role": "assistant", "content": [{"type": "text", "text": "Let me see"}, *calls]}
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(*ids: str, dialect: str = "amplifier", content: str = "ok") -> Message:
    """Returns a message with the results of calls. Most formats allow the result of one call only."""
    if dialect == "tool_use":
        return {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": id, "content": content} for id in ids],
        }
    if dialect == "tool_call":
        return {
            "role": "tool",
            "content": [{"type": "tool_result", "tool_call_id": id, "output": content} for id in ids],
        }
    (id,) = ids
    return {"role": "user" if dialect == "plain" else "tool", "tool_call_id": id, "name": "run", "content": content}


ROLES = ["assistant", "tool", "tool"]
STRUCTURAL = ("missing_result", "misplaced_result", "unknown_result", "duplicate_result", "unfinished_turn")
DIALECTS = ["amplifier", "openai", "plain", "tool_call", "tool_use"]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Draws a valid transcript. Ids repeat in later turns, as with some models."""
    messages: list[Message] = draw(st.sampled_from([[], [SYSTEM], [SYSTEM, SAID]]))
    messages = list(messages)
    for number in range(draw(st.integers(0, 4))):
        messages.append({"role": "user", "content": f"question {number}"})
        messages += draw(st.sampled_from([[], [REMINDER], [SYSTEM]]))
        for _ in range(draw(st.integers(0, 3))):
            dialect = draw(st.sampled_from(DIALECTS))
            ids = draw(st.lists(st.sampled_from(["call_1", "call_2", "call_3", "a", "b"]), min_size=1, unique=True))
            messages.append(call(*ids, dialect=dialect))
            if dialect.startswith("tool_") and draw(st.booleans()):
                messages.append(result(*ids, dialect=dialect))
            else:
                messages += [result(id, dialect=dialect, content=f"{number}") for id in ids]
        messages.append({"role": "assistant", "content": f"answer {number}"})
    return messages


@st.composite
def sabotaged(draw: st.DrawFn) -> list[Message]:
    """Draws a transcript of which some messages are missing, moved or repeated."""
    messages = draw(conversations())
    kept = [message for message in messages if draw(st.integers(0, 4)) != 0]
    twice = [message for message in kept for _ in range(1 + (draw(st.integers(0, 7)) == 0))]
    for _ in range(draw(st.integers(0, 4))):
        if twice:
            moved = twice.pop(draw(st.integers(0, len(twice) - 1)))
            twice.insert(draw(st.integers(0, len(twice))), moved)
    return draw(st.permutations(twice)) if draw(st.integers(0, 3)) == 0 else twice


def wrong(messages: list[Message], open_end: bool = False) -> list[Finding]:
    return [finding for finding in diagnose(messages, open_end) if finding.needs_repair]


def structural(messages: list[Message], open_end: bool = False) -> list[Finding]:
    """Returns the findings about more than one message, whose faults `valid` mends."""
    return [one for one in diagnose(messages, open_end) if one.problem in STRUCTURAL]


def problems(messages: list[Message]) -> list[tuple[str, int, str | None, int]]:
    return [(one.problem, one.index, one.tool_call_id, one.turn) for one in structural(messages)]


def multiset(messages: list[Message]) -> Counter[str]:
    return Counter(json.dumps(message, sort_keys=True) for message in messages)


@given(conversations())
def test_valid_transcript_has_no_findings(messages: list[Message]) -> None:
    assert structural(messages) == []
    assert valid(messages) is messages
    assert repaired(messages) == list(enumerate(messages))
    assert closing(messages, "cancelled") == []


@given(sabotaged(), st.booleans())
def test_messages_for_model_are_valid(messages: list[Message], open_end: bool) -> None:
    before = json.dumps(messages)
    given = valid(messages, open_end)
    assert structural(given, open_end) == []
    assert valid(given, open_end) is given
    assert json.dumps(messages) == before


@pytest.mark.slow
@given(sabotaged(), st.booleans())
def test_repair_loses_no_message_and_needs_no_other_repair(messages: list[Message], open_end: bool) -> None:
    entries = repaired(messages, open_end)
    assert sorted(index for index, _ in entries if index is not None) == list(range(len(messages)))
    assert all(messages[index] is message for index, message in entries if index is not None)
    after = [message for _, message in entries]
    assert wrong(after, open_end) == []
    assert [message for _, message in repaired(after, open_end)] == after
    assert bool(wrong(messages, open_end)) == (after != messages)
    others = [m for m in messages if m["role"] != "tool" and "tool_call_id" not in m]
    assert multiset(others) <= multiset(after)


@pytest.mark.slow
@given(sabotaged())
def test_plain_transcript_has_no_findings(messages: list[Message]) -> None:
    assert not is_plain(messages) or structural(messages) == []


@pytest.mark.slow
@given(sabotaged(), st.sampled_from(["cancelled", "failed"]))
def test_closing_messages_leave_valid_end(messages: list[Message], status: Any) -> None:
    added = closing(messages, status, "half an ans")
    after = messages + added
    assert closing(after, status) == []
    assert all(
        one.turn != 0 for one in diagnose(after) if one.problem == "unfinished_turn" and one.index >= len(messages)
    )
    if added:
        assert added[-1] == {"role": "assistant", "content": "half an ans", "metadata": {"interrupted": status}}
        assert not any(one.index >= len(messages) for one in wrong(after) if one.problem == "unfinished_turn")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_problem_is_found_in_each_format(dialect: str) -> None:
    asked, answer = call("a", "b", dialect=dialect), [result("a", dialect=dialect), result("b", dialect=dialect)]
    assert problems([ASKED, asked, *answer, SAID]) == []
    assert problems([ASKED, asked, answer[0], SAID]) == [("missing_result", 1, "b", 1)]
    assert problems([ASKED, asked, answer[1], answer[0], SAID]) == [("misplaced_result", 3, "a", 1)]
    assert problems([ASKED, asked, SYSTEM, *answer, SAID]) == [
        ("misplaced_result", 3, "a", 1),
        ("misplaced_result", 4, "b", 1),
    ]
    assert problems([answer[0], ASKED, asked, answer[1], SAID])[0] == ("misplaced_result", 0, "a", 0)
    assert problems([ASKED, asked, *answer, answer[1], SAID]) == [("duplicate_result", 4, "b", 1)]
    assert problems([ASKED, result("c", dialect=dialect), SAID]) == [("unknown_result", 1, "c", 1)]
    assert problems([ASKED, asked, *answer]) == [("unfinished_turn", 3, None, 1)]
    assert problems([ASKED, asked, *answer, ASKED]) == [("unfinished_turn", 3, None, 1)]
    assert problems([ASKED, asked]) == [
        ("missing_result", 1, "a", 1),
        ("missing_result", 1, "b", 1),
        ("unfinished_turn", 1, None, 1),
    ]


def test_missing_results_and_answers_are_inserted() -> None:
    lost = [{"role": "tool", "tool_call_id": id, "name": "run", "content": LOST} for id in "ab"]
    given = valid([ASKED, call("a", "b"), result("b"), ASKED])
    assert given == [ASKED, call("a", "b"), lost[0], result("b"), given[4], ASKED]
    assert (given[4]["role"], given[4]["metadata"]) == ("assistant", {"interrupted": "unknown"})
    assert given[4]["content"] == "(The turn ended before it was answered.)"
    assert valid([ASKED, call("a")], open_end=True) == [ASKED, call("a"), lost[0]]
    assert valid([ASKED, call("b"), SAID]) == [ASKED, call("b"), lost[1], SAID]


def test_results_are_moved_into_order_of_calls() -> None:
    messages = [ASKED, call("a", "b"), SYSTEM, result("b"), REMINDER, result("a"), SAID]
    in_order = [ASKED, call("a", "b"), result("a"), result("b"), SYSTEM, REMINDER, SAID]
    assert valid(messages) == in_order
    assert repaired(messages) == [(index, messages[index]) for index in (0, 1, 5, 3, 2, 4, 6)]


def test_repeated_call_id_is_another_call() -> None:
    first, second = result("call_1", content="first"), result("call_1", content="second")
    turn = [ASKED, call("call_1"), first, SAID]
    assert structural([*turn, ASKED, call("call_1"), second, SAID]) == []
    assert problems([*turn, ASKED, call("call_1"), SAID]) == [("missing_result", 5, "call_1", 2)]
    late = [ASKED, call("call_1"), SAID, ASKED, call("call_1"), first, second, SAID]
    assert problems(late) == [("missing_result", 1, "call_1", 1), ("duplicate_result", 6, "call_1", 2)]


def test_dead_result_is_stored_and_not_sent_to_model() -> None:
    messages = [ASKED, call("a"), result("a"), result("x"), result("a"), {"role": "function", "name": "old"}, SAID]
    assert [one.problem for one in structural(messages)] == ["unknown_result", "duplicate_result", "unknown_result"]
    assert wrong(messages) == []
    assert valid(messages) == [ASKED, call("a"), result("a"), SAID]
    assert repaired(messages) == list(enumerate(messages))


def test_text_beside_dead_result_is_sent_to_model() -> None:
    text = {"type": "text", "text": "Never mind"}
    both = {"role": "user", "content": [*result("x", "a", dialect="tool_use")["content"], text]}
    assert valid([ASKED, call("a"), both, SAID])[2] == {**both, "content": both["content"][1:]}
    assert problems([ASKED, both])[-1] == ("unknown_result", 1, "a", 2)  # the message begins a turn
    assert valid([ASKED, SAID, both]) == [ASKED, SAID, {"role": "user", "content": [text]}]


def test_null_call_id_makes_no_result_of_question() -> None:
    """Some clients write all fields of a message."""
    asked = {**ASKED, "name": None, "tool_calls": None, "tool_call_id": None}
    cut_off = [asked, SAID, asked, call("a"), result("a"), asked]
    assert problems(cut_off) == [("unfinished_turn", 4, None, 2)]
    assert problems([asked, SAID, asked, asked]) == []  # users may send several messages before an answer


def test_interrupted_turn_is_closed() -> None:
    messages = [ASKED, call("a", "b"), result("a")]
    gone, answer = closing(messages, "cancelled", "half an")
    assert (gone["role"], gone["tool_call_id"], gone["name"]) == ("tool", "b", "run")
    assert json.loads(gone["content"]) == {"error": "cancelled", "cancelled": True, "tool": "run"}
    assert answer == {"role": "assistant", "content": "half an", "metadata": {"interrupted": "cancelled"}}
    assert closing(messages, "completed", "Done")[1:] == [SAID]
    assert diagnose([*messages, gone, answer]) == []


def test_failed_turn_gets_no_words_of_assistant() -> None:
    messages = [ASKED, call("a", "b"), result("a")]
    [lost] = closing(messages, "failed")
    assert (lost["role"], lost["tool_call_id"], lost["content"]) == ("tool", "b", LOST)
    assert closing([ASKED], "failed") == []
    assert wrong([*messages, lost, ASKED]) == []
    assert repaired([*messages, lost, ASKED]) == list(enumerate([*messages, lost, ASKED]))
    assert [one["role"] for one in valid([*messages, lost, ASKED])] == ["user", *ROLES, "assistant", "user"]
    assert valid([ASKED, ASKED]) == [ASKED, ASKED]
    finished: list[list[Message]] = [[], [SYSTEM], [ASKED, SAID], [SAID, REMINDER]]
    assert [closing(turn, "failed", "half an") for turn in finished] == [[]] * 4


@pytest.mark.parametrize("seed", range(3))
def test_real_conversations_are_repaired(seed: int) -> None:
    """They are valid but for unfinished turns, and are repaired after some results were moved or removed."""
    dice = random.Random(seed)
    for messages in transcripts():
        assert {one.problem for one in wrong(messages)} <= {"unfinished_turn"}
        spoilt = list(messages)
        results = [message for message in messages if message["role"] == "tool"]
        for message in dice.sample(results, len(results) // 2):
            spoilt.remove(message)
            if dice.random() < 0.7:
                spoilt.insert(dice.randrange(len(spoilt) + 1), message)
        entries = [message for _, message in repaired(spoilt)]
        assert wrong(entries) == []
        assert multiset(spoilt) <= multiset(entries)
        assert structural(valid(spoilt)) == []
