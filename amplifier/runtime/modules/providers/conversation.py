"""Puts the messages of a request into the form that all APIs demand, before a provider writes it in its own format.

Calls get ids and names that are unique in the request. The results of a message's calls follow directly after it, in
the order of the calls, each call has one, and a result without a call is a note in a user's message.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from amplifier_core.message_models import Message

from amplifier.runtime.modules.providers import notes
from amplifier.runtime.modules.providers.messages import plain
from amplifier.runtime.modules.providers.pairing import Pairing
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


class _Conversation:
    def __init__(self, named: Rename, identified: Rename) -> None:
        self.entries: list[Entry] = []
        self._named, self._identified = named, identified
        self._calls: list[Call] = []  # of the last entry
        self._waiting: Pairing[Call] = Pairing()
        self._results: dict[int, Result] = {}  # by the identities of their calls
        self._strays: list[Part] = []  # notes of results without a call

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
        if self._calls:
            results = [self._results.get(id(call)) or Result(call.id, [Text(notes.LOST)], True) for call in self._calls]
            self.entries.append(Entry("tool", results))
            self._calls, self._waiting, self._results = [], Pairing(), {}
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
        if last is None or last.role != "assistant" or self._results or self._strays:
            return None
        is_thought = bool(last.parts) and isinstance(last.parts[-1], Thinking)
        return last.parts if self._calls or is_thought else None

    def _called(self, call: Call) -> Call:
        identifier = self._identified(call.id or "call")
        sent = msgspec.structs.replace(call, id=identifier, name=self._named(call.name))
        self._calls.append(sent)
        self._waiting.add(call.id, sent.name, sent)
        return sent

    def _answer(self, result: Result) -> None:
        call = self._waiting.take(result.call_id, self._named(result.name) if result.name else None)
        if call is None:
            self._strays.append(Text(notes.stray(result)))
        else:
            self._results[id(call)] = msgspec.structs.replace(result, call_id=call.id, name=call.name)
