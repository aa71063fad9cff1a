"""Pairs the calls and results of a transcript, and says what each message does in its turn.

`turns.py` looks at one message, `integrity.py` judges and repairs the whole.
"""

from collections import deque
from typing import Literal, NamedTuple

from amplifier.transcripts import parts, turns
from amplifier.transcripts.glance import glance
from amplifier.transcripts.open_calls import Call, Group, OpenCalls, first_open
from amplifier.transcripts.parts import Message, Reading
from amplifier.transcripts.reader import answer_of, read
from amplifier.transcripts.result_parts import without

# what a message does in its turn; one that is left out is not sent to models
Effect = Literal["begin", "call", "result", "answer", "left out", ""]


class Dead(NamedTuple):
    """A result without a call, or a second result: its message's index, its place in the message, and its call id."""

    message: int
    place: int
    call_id: str | None
    problem: Literal["unknown_result", "duplicate_result"]


class Pairs:
    """The calls of a transcript with their results.

    A result belongs to the nearest preceding call with its id, or else to the first one that follows. Calls of one id
    in one answer get their results in order. A result without an id belongs to the next call of its tool. All results
    of a message belong to calls of one group, which the first result determines.
    """

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.effects: list[Effect] = []
        self.readings: dict[int, Reading] = {}  # of all messages but plain texts, by index
        self.groups: dict[int, Group] = {}  # by the indexes of their messages with calls
        self.homes: dict[int, Call] = {}  # of messages with results, by index: the first call that they answer
        self.dead: list[Dead] = []
        self.unordered: set[int] = set()  # indexes of results that only stand in another order than calls
        self._current: Group | None = None  # the group that the next message may belong to
        self.open = OpenCalls()
        self._first: dict[str, Call] = {}  # by id
        self._places: dict[int, set[int]] = {}  # of the dead, by index
        self._mixed: set[int] = set()  # indexes of messages with results and other parts
        self._within: set[int] = set()  # indexes of thoughts within a group
        self._pair()

    def orphans(self) -> list[Call]:
        """Returns the calls without a result."""
        return [call for index, group in self.groups.items() if index == group.end for call in _waiting(group)]

    def displaced(self) -> list[int]:
        """Returns the indexes of results that are not directly after their calls, in order. Ignores dead results."""
        found: list[int] = []
        group, last = None, (False, -1)
        for index, effect in enumerate(self.effects):
            if (call := self.homes.get(index)) is not None:
                place = self.rank(call)
                if call.group is group and place > last:
                    last = place
                else:
                    found.append(index)
                    self.unordered |= {index} if call.group is group and place[0] == last[0] else set()
            elif index in self.groups:
                group, last = self.groups[index], (False, -1)
            elif effect != "left out" and index not in self._within:
                group = None
        return found

    def interrupted(self) -> dict[int, bool]:
        """Returns the indexes of results with texts beside them, of groups that have several such messages.

        The value is False for the last one of its group, whose texts follow all results.
        """
        groups: dict[int, list[int]] = {}
        for index in sorted(self._mixed & self.homes.keys()):
            groups.setdefault(self.homes[index].group.end, []).append(index)
        several = (indexes for indexes in groups.values() if len(indexes) > 1)
        return {index: index != indexes[-1] for indexes in several for index in indexes}

    def rank(self, call: Call) -> tuple[bool, int]:
        """Returns the place of a call's result among those of its group: a message with other parts comes last."""
        return call.result in self._mixed, call.number

    def kept(self, index: int | None, message: Message) -> Message | None:
        """Returns the message at `index` without its dead results, or None if models are not sent it."""
        if index is None:
            return message
        if self.effects[index] == "left out":
            return None
        places = self._places.get(index)
        return without(message, places) if places else message

    def turns(self) -> list[int]:
        """Returns the number of each message's turn, 0 before the first turn."""
        turn, found = 0, []
        for effect in self.effects:
            turn += effect == "begin"
            found.append(turn)
        return found

    def _pair(self) -> None:
        early: list[tuple[int, int, str | None]] = []
        for index, message in enumerate(self.messages):
            if turns.is_text(message) and not turns.is_placeholder(message):
                self._current = None
                self.effects.append(_of_text(message))
                continue
            reading = self.readings[index] = glance(message) or read(message)
            if reading.role is None or turns.is_placeholder(message):
                self.effects.append("left out")
            elif reading.role == "assistant":
                self.effects.append(self._called(index, message, reading))
            else:
                self._current = None
                self.effects.append(self._returned(index, message, reading, early))
        for index, place, identifier in early:
            self._claim(self._first.get(identifier or ""), index, place, identifier)
        for index in self._places:
            self.effects[index] = self._after_loss(index)

    def _called(self, index: int, message: Message, reading: Reading) -> Effect:
        """Records the calls of a message of an assistant, and returns what it does."""
        group = self._current
        if group is None or not _is_of_one_answer(group.message, message):
            group = self._current = Group(message)
        added = [Call(index, group, part.id, part.name) for part in turns.calls(reading)]
        for call in added:
            self.open.add(call)
            if call.id is not None:
                self._first.setdefault(call.id, call)
        if found := turns.results(reading):
            self._answered_within(added, index, found)
        for call in added:
            if call.result is None:
                call.number, group.end = len(group.calls), index
                group.calls.append(call)
                self.groups[index] = group
        if index in self.groups:
            return "call"
        effect = _of_assistant(reading)
        if effect or not group.calls:
            self._current = None
        else:
            self._within.add(index)
        return effect

    def _answered_within(self, added: list[Call], index: int, found: list[parts.Result]) -> None:
        """Assigns results to the calls in the same message that they belong to, or records them as dead."""
        queues: dict[tuple[str | None, str | None], deque[Call]] = {}
        for call in added:
            for key in ((call.id, None), (None, call.name), (None, None)):
                queues.setdefault(key, deque()).append(call)
        for place, result in enumerate(found):
            named = result.name if result.call_id is None else None
            owner = first_open(queues.get((result.call_id, named)))
            if owner is None:
                self._bury(Dead(index, place, result.call_id, "unknown_result"))
            else:
                owner.result = index

    def _returned(
        self, index: int, message: Message, reading: Reading, early: list[tuple[int, int, str | None]]
    ) -> Effect:
        """Assigns the results of a message to their calls, and returns what it does."""
        found = turns.results(reading)
        for place, result in enumerate(found):
            queue = self.open.belonging(result)
            if queue is not None:
                self._claim(queue[0] if queue else None, index, place, result.call_id, known=True)
            else:
                early.append((index, place, result.call_id))
        if len(found) < len(reading.parts) and found:
            self._mixed.add(index)
        return "result" if found else "begin" if turns.is_human(message, reading) else ""

    def _claim(self, call: Call | None, index: int, place: int, identifier: str | None, known: bool = False) -> None:
        """Assigns a result to a call, or records it as dead; `known` if there was a call that has its result."""
        home = self.homes.get(index, call)
        if call is None or call.result is not None or home is None or home.group is not call.group:
            problem: Literal["unknown_result", "duplicate_result"] = (
                "duplicate_result" if known or call is not None else "unknown_result"
            )
            self._bury(Dead(index, place, identifier, problem))
        else:
            call.result = index
            if home.number >= call.number:
                self.homes[index] = call

    def _bury(self, dead: Dead) -> None:
        self.dead.append(dead)
        self._places.setdefault(dead.message, set()).add(dead.place)

    def _after_loss(self, index: int) -> Effect:
        """Returns what a message does without its dead results."""
        if index in self.homes or index in self.groups:
            return self.effects[index]
        left = without(self.messages[index], self._places[index])
        if left is None:
            return "left out"
        reading = read(left)
        if reading.role == "assistant":
            return _of_assistant(reading)
        return "begin" if turns.is_human(left, reading) else ""


def _is_of_one_answer(message: Message, other: Message) -> bool:
    answer = answer_of(message)
    return answer is not None and answer == answer_of(other)


def _waiting(group: Group) -> list[Call]:
    return [call for call in group.calls if call.result is None]


def _of_text(message: Message) -> Effect:
    if message["role"] == "user":
        return "begin" if turns.is_human(message) else ""
    return "answer" if message["role"] == "assistant" and message["content"].strip() else ""


def _of_assistant(reading: Reading) -> Effect:
    """Returns what a message of an assistant without open calls does, by the last part that is no thinking."""
    for part in reversed(reading.parts):
        if isinstance(part, parts.Result) and part.hosted is None:
            return "result"
        if not isinstance(part, parts.Thinking | parts.Call | parts.Result) and turns.says(part):
            return "answer"
    return ""
