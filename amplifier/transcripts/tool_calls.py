"""Pairs the calls and results of a transcript, and finds the beginnings of turns. `integrity.py` judges and repairs."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from amplifier.transcripts.message_formats import RESULTS, Message, is_human, results, tool_calls


class Call:
    """A tool call in a transcript.

    `caller` is the index of its message, `number` its position among that message's calls, and `result` the index of
    the message with its result, if there is one.
    """

    __slots__ = ("caller", "id", "name", "number", "result")

    def __init__(self, caller: int, number: int, id: str, name: str) -> None:
        self.caller, self.number, self.id, self.name = caller, number, id, name
        self.result: int | None = None


class Dead(NamedTuple):
    """A result without a call, or a second result: its message's index, its place in the message, and its call id."""

    message: int
    place: int
    call_id: str | None
    problem: Literal["unknown_result", "duplicate_result"]


class Pairs:
    """The calls of a transcript with their results.

    A result belongs to the nearest preceding call with its id, or else to the first one that follows. All results of a
    message belong to calls of one message, which the first result determines.
    """

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.calls: dict[int, list[Call]] = {}  # by the index of their message
        self.homes: dict[int, Call] = {}  # of messages with results, by index: the first call that they answer
        self.dead: list[Dead] = []
        self.latest: dict[str | None, Call] = {}  # by id
        self._first: dict[str, Call] = {}
        self._places: dict[int, set[int]] = {}  # of the dead, by index
        self._pair()

    def orphans(self) -> list[Call]:
        """Returns the calls without a result."""
        return [call for calls in self.calls.values() for call in calls if call.result is None]

    def displaced(self) -> list[int]:
        """Returns the indexes of results that are not directly after their calls, in order. Ignores dead results."""
        found, caller, number = [], -1, -1
        for index, message in enumerate(self.messages):
            if (call := self.homes.get(index)) is not None:
                if call.caller == caller and call.number > number:
                    number = call.number
                else:
                    found.append(index)
            elif index in self.calls:
                caller, number = index, -1
            elif index not in self._places or self.kept(index, message) is not None:
                caller = -1
        return found

    def kept(self, index: int | None, message: Message) -> Message | None:
        """Returns the message at `index` without its dead results, or None if nothing is left of it."""
        places = self._places.get(index) if index is not None else None
        if not places:
            return message
        content = message.get("content")
        if isinstance(message.get("tool_call_id"), str) or not isinstance(content, list):
            return None
        left, place = [], 0
        for block in content:
            is_result = isinstance(block, dict) and block.get("type") in RESULTS
            if not is_result or place not in places:
                left.append(block)
            place += is_result
        return {**message, "content": left} if left else None

    def turns(self) -> list[int]:
        """Returns the number of each message's turn, 0 before the first turn."""
        turn, turns = 0, []
        for index, message in enumerate(self.messages):
            turn += begins_turn(self.kept(index, message))
            turns.append(turn)
        return turns

    def _pair(self) -> None:
        latest = self.latest
        early: list[tuple[int, int, str | None]] = []
        for index, message in enumerate(self.messages):
            for call in self._called(index, message):
                latest[call.id] = call
            for place, identifier in enumerate(results(message)):
                if identifier in latest:
                    self._claim(latest[identifier], index, place, identifier)
                else:
                    early.append((index, place, identifier))
        for index, place, identifier in early:
            self._claim(self._first.get(identifier or ""), index, place, identifier)

    def _called(self, index: int, message: Message) -> list[Call]:
        """Records the calls of a message and returns them."""
        calls = [Call(index, number, id, name) for number, (id, name, _) in enumerate(tool_calls(message))]
        if calls:
            self.calls[index] = calls
            for call in calls:
                self._first.setdefault(call.id, call)
        return calls

    def _claim(self, call: Call | None, index: int, place: int, identifier: str | None) -> None:
        """Assigns a result to a call, or records it as dead."""
        home = self.homes.get(index, call)
        if call is None:
            self._bury(Dead(index, place, identifier, "unknown_result"))
        elif call.result is not None or home is None or home.caller != call.caller:
            self._bury(Dead(index, place, identifier, "duplicate_result"))
        else:
            call.result = index
            if home.number >= call.number:
                self.homes[index] = call

    def _bury(self, dead: Dead) -> None:
        self.dead.append(dead)
        self._places.setdefault(dead.message, set()).add(dead.place)


def begins_turn(message: Message | None) -> bool:
    """Returns whether `message` is a human's; False for None."""
    return message is not None and is_human(message)


def steps(pairs: Pairs, entries: list[tuple[int | None, Message]]) -> Iterator[str]:
    """Yields the effect of each entry on its turn: `begin`, `call`, `result`, `answer`, or an empty text."""
    for index, message in entries:
        role = message.get("role")
        if role == "user" and begins_turn(pairs.kept(index, message)):
            yield "begin"
        elif role == "assistant":
            yield "call" if index in pairs.calls else "answer"
        else:
            yield "result" if index is None or index in pairs.homes else ""
