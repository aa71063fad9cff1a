"""Finds the faults for which models refuse a transcript, and repairs them.

`tool_calls.py` pairs calls and results, `faults.py` looks at single messages, `findings.py` says what to do. In a valid
transcript the results follow directly after their calls, in the order of the calls. Nothing is removed from the stored
transcript, and nothing is added to it in the name of an assistant. Only in the messages that a model receives, results
without a call, second results and what is no message are left out, and a note stands after results that have no answer,
because some models refuse a user's message directly after a result.
"""

import itertools
from collections.abc import Collection
from typing import Literal

import msgspec

from amplifier.transcripts.faults import faults
from amplifier.transcripts.findings import BOTH, Finding, finding
from amplifier.transcripts.open_calls import Call, Group
from amplifier.transcripts.parts import Message
from amplifier.transcripts.plain import is_plain
from amplifier.transcripts.result_parts import divided
from amplifier.transcripts.tool_calls import Pairs

Status = Literal["cancelled", "failed", "completed"]
Entry = tuple[int | None, Message]  # a message with its index in the transcript, None for an added one

LOST = '{"error": "unknown_error", "message": "Tool execution was interrupted and no result was captured."}'
_UNANSWERED = "(The turn ended before it was answered.)"


def diagnose(messages: list[Message], open_end: bool = False) -> list[Finding]:
    """Returns the faults of a transcript, by index.

    The last turn may lack an answer to a user's message; with `open_end` it may also end with calls or results.
    """
    reading = _Reading(messages, open_end)
    pairs, single = reading.pairs, faults(reading.pairs)
    if reading.is_clean and not single:
        return []
    turns = pairs.turns()
    found = [finding("missing_result", call.caller, call.id, turns[call.caller]) for call in pairs.orphans()]
    for index in reading.displaced:
        refusing = () if index in pairs.unordered else BOTH
        found.append(finding("misplaced_result", index, pairs.homes[index].id, turns[index], refusing))
    found += [finding(dead.problem, dead.message, dead.call_id, turns[dead.message]) for dead in pairs.dead]
    found += [finding("unfinished_turn", index, None, turn, ()) for turn, index in reading.unfinished]
    between = [index for index, is_between in reading.interrupted.items() if is_between]
    found += [finding("text_between_results", index, None, turns[index]) for index in between]
    found += [finding(one.problem, one.message, one.call_id, turns[one.message], one.providers) for one in single]
    return sorted(found, key=lambda one: one.index)


def valid(messages: list[Message], open_end: bool = False) -> list[Message]:
    """Returns the messages to send to a model: `messages` itself if nothing is wrong with it, or another list.

    Moves results directly after their calls, adds missing ones, leaves out those without a call and second ones, what
    is no message, and answers that earlier releases wrote for an assistant, and adds a note to unfinished turns. The
    last turn may lack an answer as in `diagnose`.
    """
    if is_plain(messages):
        return messages
    reading = _Reading(messages, open_end)
    if reading.is_clean:
        return messages
    given = ((index, reading.pairs.kept(index, one)) for index, one in _with_answers(reading.entries, reading.ends))
    left = [(index, message) for index, message in given if message is not None]
    return _with_results_first(left, reading.interrupted) if reading.interrupted else [one for _, one in left]


def repaired(messages: list[Message], open_end: bool = False) -> list[Entry]:
    """Returns every message, unchanged, and the missing ones, in an order that needs no repair."""
    return _Reading(messages, open_end).entries


def closing(messages: list[Message], status: Status, text: str = "") -> list[Message]:
    """Returns the messages to append to a last turn that its run did not finish; an empty list if nothing is missing.

    They are a result for each call of the turn that has none and, unless the turn has an answer, `text`: the answer of
    a completed run, or the part of it that the model had produced.
    """
    reading = _Reading(messages, open_end=True)
    pairs, turns = reading.pairs, reading.pairs.turns()
    # a result that is appended belongs to the latest call of its id
    orphans = [call for call in pairs.orphans() if turns[call.caller] == turns[-1] and pairs.open.takes_next(call)]
    closed = [_result(call, _cancelled(call) if status == "cancelled" else LOST) for call in orphans]
    return closed + [_answer(text, status)] * bool(text and (orphans or reading.is_open))


class _Reading:
    """A transcript, its faults, and the entries of its repaired form."""

    def __init__(self, messages: list[Message], open_end: bool) -> None:
        self.pairs = Pairs(messages)
        self.displaced = self.pairs.displaced()
        self.unfinished: list[tuple[int, int]] = []  # numbers of turns, and the index of the last message of each
        self.is_open = False  # True if the last turn has no answer yet
        self.entries = self._arrange(messages)
        self.ends = self._find_ends(open_end)  # places in the entries where an answer is missing
        has_all = len(self.entries) == len(messages) and "left out" not in self.pairs.effects
        self.interrupted = self.pairs.interrupted()
        self.is_clean = has_all and not (self.displaced or self.pairs.dead or self.ends or self.interrupted)

    def _arrange(self, messages: list[Message]) -> list[Entry]:
        """Returns all messages, with misplaced results moved after their calls and missing ones added."""
        pairs = self.pairs
        ends = {pairs.homes[index].group.end for index in self.displaced}
        ends |= {call.group.end for call in pairs.orphans()}
        if not ends:
            return list(enumerate(messages))
        entries: list[Entry] = []
        for index, message in enumerate(messages):
            if index in pairs.homes and pairs.homes[index].group.end in ends:
                continue
            entries.append((index, message))
            if index in ends:
                entries.extend(self._results(pairs.groups[index]))
        return entries

    def _results(self, group: Group) -> list[Entry]:
        """Returns the results of a group's calls, in the order of the calls, each message once."""
        pairs, entries = self.pairs, list[Entry]()
        for call in sorted(group.calls, key=pairs.rank):
            if call.result is None:
                entries.append((None, _result(call, LOST)))
            elif pairs.homes[call.result] is call:
                entries.append((call.result, pairs.messages[call.result]))
        return entries

    def _find_ends(self, open_end: bool) -> list[int]:
        """Returns where the answers of unfinished turns are missing, and records these turns."""
        entries, ends = self.entries, list[int]()
        turn, last, step = 0, 0, ""
        for position, (index, _) in enumerate(entries):
            now = "result" if index is None else self.pairs.effects[index]
            if now == "begin":
                if step in ("call", "result"):  # users may send several messages before an answer
                    ends.append(position)
                    self.unfinished.append((turn, last))
                turn += 1
            if now and now != "left out":
                step = now
                last = last if index is None else index
        self.is_open = step not in ("", "answer")
        if self.is_open and step != "begin" and not open_end:
            ends.append(len(entries))
            self.unfinished.append((turn, last))
        return ends


def _with_answers(entries: list[Entry], ends: list[int]) -> list[Entry]:
    if not ends:
        return entries
    parts = [entries[start:end] for start, end in itertools.pairwise([0, *ends])]
    closed = [entry for part in parts for entry in (*part, (None, _answer(_UNANSWERED, "unknown")))]
    return closed + entries[ends[-1] :]


def _with_results_first(entries: list[Entry], interrupted: Collection[int]) -> list[Message]:
    """Returns the messages with the texts beside results moved after the last of the results."""
    given: list[Message] = []
    later: list[Message] = []
    for index, message in entries:
        is_divided = index is not None and index in interrupted
        results, others = divided(message) if is_divided else (message, None)
        if not is_divided:
            given += later
            later = []
        given.append(results)
        later += [] if others is None else [others]
    return given + later


def _result(call: Call, content: str) -> Message:
    identified = {} if call.id is None else {"tool_call_id": call.id}
    return {"role": "tool", **identified, "name": call.name, "content": content}


def _cancelled(call: Call) -> str:
    return msgspec.json.encode({"error": "cancelled", "cancelled": True, "tool": call.name}).decode()


def _answer(text: str, status: str) -> Message:
    metadata = {} if status == "completed" else {"metadata": {"interrupted": status}}
    return {"role": "assistant", "content": text, **metadata}
