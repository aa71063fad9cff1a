"""Puts the messages of a request into the form that all APIs demand, before a provider writes it in its own format.

Calls get ids and names that are unique in the request. The results of a message's calls follow directly after it, in
the order of the calls, each call has one, and a result without a call is a note in a user's message.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from amplifier_core.message_models import Message

from amplifier.runtime.modules.providers import notes
from amplifier.runtime.modules.providers.messages import plain
from amplifier.transcripts import tool_blocks
from amplifier.transcripts.parts import Call, Part, Result, Text, Thinking
from amplifier.transcripts.reader import read

Rename = Callable[[str], str]

_CALLING = {"tool_calls"}


class Entry(NamedTuple):
    """A message of the conversation. Calls are in an assistant's, results are all that a `tool` entry has."""

    role: str  # system, developer, user, assistant or tool
    parts: list[Any]


def conversation(messages: Iterable[Message], named: Rename = str, identified: Rename = str) -> list[Entry]:
    """Returns the entries of a request's messages, in order.

    `named` returns the name that a tool is sent under, `identified` another id for each call.
    """
    made = _Conversation(named, identified)
    for message in messages:
        made.add(*_understood(message))
    made.close()
    return made.entries


def _understood(message: Message) -> Entry:
    """Returns the role and parts of a message. Usual messages are not read in full, which takes ten times longer."""
    role, content, extra = message.role, message.content, message.model_extra
    if isinstance(content, str):
        said: list[Part] = [Text(content)] if content else []
        if role == "tool":
            if message.tool_call_id and not extra:
                return Entry(role, [Result(message.tool_call_id, said, name=message.name)])
        elif message.tool_call_id is None and role != "function":
            if not extra:
                return Entry(role, said)
            if role == "assistant" and extra.keys() == _CALLING:
                return Entry(role, said + tool_blocks.calls(extra["tool_calls"]))
    reading = read(plain(message))
    return Entry(reading.role or role, reading.parts)


class _Waiting:
    """A call without a result so far, with the id that the message gave it."""

    __slots__ = ("call", "given", "result")

    def __init__(self, given: str | None, call: Call) -> None:
        self.given, self.call = given, call
        self.result: Result | None = None


class _Conversation:
    def __init__(self, named: Rename, identified: Rename) -> None:
        self.entries: list[Entry] = []
        self._named, self._identified = named, identified
        self._waiting: list[_Waiting] = []  # the calls of the last entry
        self._next = 0  # the place of the first of them without a result
        self._free: _Free | None = None  # those without a result, made when results come in another order
        self._strays: list[Part] = []  # notes of results without a call
        self._answering = False  # True from the first result of these calls on

    def add(self, role: str, parts: list[Part]) -> None:
        if role == "assistant":
            self._add_assistant(parts)
            return
        said: list[Part] = []
        for part in parts:
            if isinstance(part, Result) and part.hosted is None:
                self._answer(part)
            elif isinstance(part, Call):
                said.append(Text(notes.call(part)))
            else:
                said.append(part)
        if said or not parts:
            self.close()
            self.entries.append(Entry(role if role in ("system", "developer") else "user", said))

    def close(self) -> None:
        """Ends the results of the last calls: adds those that are missing, and then what belongs to no call."""
        if self._waiting:
            results = [one.result or Result(one.call.id, [Text(notes.LOST)], True) for one in self._waiting]
            self.entries.append(Entry("tool", results))
            self._waiting, self._next, self._free, self._answering = [], 0, None, False
        if self._strays:
            self.entries.append(Entry("user", self._strays))
            self._strays = []

    def _add_assistant(self, parts: list[Part]) -> None:
        current = self._continued()
        for part in parts:
            if isinstance(part, Result) and part.hosted is None:
                self._answer(part)
                current = None
                continue
            if current is None:
                self.close()
                current = []
                self.entries.append(Entry("assistant", current))
            current.append(self._called(part) if isinstance(part, Call) and part.hosted is None else part)

    def _continued(self) -> list[Any] | None:
        """Returns the parts of the last entry if an assistant's message that follows belongs to it.

        The Responses API has a message for each call and each thought.
        """
        last = self.entries[-1] if self.entries else None
        if last is None or last.role != "assistant" or self._answering or self._strays:
            return None
        is_thought = bool(last.parts) and all(isinstance(part, Thinking) for part in last.parts)
        return last.parts if self._waiting or is_thought else None

    def _called(self, call: Call) -> Call:
        sent = Call(self._identified(call.id or "call"), self._named(call.name), call.arguments)
        sent.cache_control, sent.extra_content = call.cache_control, call.extra_content
        self._waiting.append(_Waiting(call.id or None, sent))
        return sent

    def _answer(self, result: Result) -> None:
        """Gives a result to its call: by the id, or without one by the name of the tool, or else by the order."""
        found = self._first_waiting()
        if found is not None and not (found.given and found.given == result.call_id):
            self._free = self._free or _Free(self._waiting)
            found = self._free.find(result.call_id, self._named(result.name) if result.name else None)
        if found is None:
            self._strays.append(Text(notes.stray(result)))
            return
        self._answering = True
        found.result = Result(found.call.id, result.content, result.is_error, found.call.name)
        found.result.cache_control = result.cache_control

    def _first_waiting(self) -> _Waiting | None:
        while self._next < len(self._waiting) and self._waiting[self._next].result is not None:
            self._next += 1
        return self._waiting[self._next] if self._next < len(self._waiting) else None


class _Free:
    """Calls without a result, found in a time that does not depend on their number."""

    def __init__(self, waiting: list[_Waiting]) -> None:
        self._queues: dict[tuple[str, str | None], deque[_Waiting]] = {}
        for one in waiting:
            for key in _keys(one.given, one.call.name):
                self._queues.setdefault(key, deque()).append(one)

    def find(self, identifier: str | None, name: str | None) -> _Waiting | None:
        """Returns the first call with the id, or without one of the tool, or else any: calls without ids come first."""
        if identifier:
            return self._first(("id", identifier))
        kind = "" if self._first(("", None)) else "any"
        return self._first((kind, name)) or self._first((kind, None))

    def _first(self, key: tuple[str, str | None]) -> _Waiting | None:
        queue = self._queues.get(key)
        while queue and queue[0].result is not None:
            queue.popleft()
        return queue[0] if queue else None


def _keys(given: str | None, name: str) -> list[tuple[str, str | None]]:
    of_kind: list[tuple[str, str | None]] = [("id", given)] if given else [("", name), ("", None)]
    return [*of_kind, ("any", name), ("any", None)]
