"""Puts the messages of a request into the form that all APIs demand, before a provider writes it in its own format.

Calls get ids and names that are unique in the request. The results of a message's calls follow directly after it, in
the order of the calls, each call has one, and a result without a call is a note in a user's message.
"""

from collections.abc import Callable, Iterable
from typing import Any

from amplifier_core.message_models import Message

from amplifier.runtime.modules.providers import notes
from amplifier.runtime.modules.providers.messages import plain
from amplifier.runtime.modules.providers.pairing import Pairing
from amplifier.transcripts import tool_blocks
from amplifier.transcripts.integrity import LOST
from amplifier.transcripts.parts import Call, Part, Result, Text, Thinking
from amplifier.transcripts.reader import read

Rename = Callable[[str], str]
# A message: system, developer, user, assistant or tool, and its parts, or the text of one that has nothing else. Calls
# are in an assistant's, results are all that one of a tool has.
Entry = tuple[str, Any]

_CALLING = {"tool_calls"}
_SAYING = ("user", "assistant")


def conversation(messages: Iterable[Message], named: Rename = str, identified: Rename = str) -> list[Entry]:
    """Returns the entries of a request's messages, in order.

    `named` returns the name that a tool is sent under, `identified` another id for each call.
    """
    made = _Conversation(named, identified)
    append = made.entries.append
    for message in messages:
        known = message.__dict__
        role, content = known["role"], known["content"]
        if (
            role in _SAYING
            and type(content) is str
            and content
            and not message.__pydantic_extra__
            and known["tool_call_id"] is None
            and (not made.is_open or made.ends_with(role))
        ):
            append((role, content))  # most messages: a tenth of the time
        elif role == "tool" and type(content) is str and known["tool_call_id"] and not message.__pydantic_extra__:
            made.answer(Result(known["tool_call_id"], [Text(content)] if content else [], name=known["name"]))
        else:
            made.add(*_understood(message))
    made.close()
    return made.entries


def parts_of(entry: Entry) -> list[Part]:
    """Returns the parts of an entry, also of a text."""
    parts: list[Part] = [Text(entry[1])] if isinstance(entry[1], str) else entry[1]
    return parts


def _understood(message: Message) -> Entry:
    """Returns the role and parts of a message. Usual messages are not read in full, which takes ten times longer."""
    role, content, extra = message.role, message.content, message.model_extra
    if isinstance(content, str):
        said: list[Part] = [Text(content)] if content else []
        if message.tool_call_id is None and role not in ("tool", "function"):
            if not extra:
                return (role, said)
            if role == "assistant" and extra.keys() == _CALLING:
                return (role, said + tool_blocks.calls(extra["tool_calls"]))
    reading = read(plain(message))
    return (reading.role or role, reading.parts)


class _Conversation:
    """Builds entries. `is_open` is True while the last entry may need results, or be continued."""

    def __init__(self, named: Rename, identified: Rename) -> None:
        self.entries: list[Entry] = []
        self.is_open = False
        self._named, self._identified = named, identified
        self._strays: list[Part] = []  # notes of results without a call
        self._begin_calls()

    def _begin_calls(self) -> None:
        self._calls: list[Call] = []  # of the last entry
        self._given: list[str | None] = []  # their ids in the message
        self._results: dict[int, Result] = {}  # by the identities of their calls
        self._free: Pairing[Call] | None = None  # calls without a result, once results come in another order

    def add(self, role: str, parts: list[Part]) -> None:
        if role == "assistant":
            self._add_assistant(parts)
        else:
            self._add_other(role, parts)
        last: Any = self.entries[-1][1] if self.entries else None
        self.is_open = bool(self._calls or self._strays or (last and isinstance(last[-1], Thinking)))

    def ends_with(self, role: str) -> bool:
        """Closes the last entry if a text of this role cannot belong to it, and returns whether it did."""
        if role == "user" or (self._calls and len(self._results) == len(self._calls)):
            self.close()
            return True
        return False

    def close(self) -> None:
        """Ends the results of the last calls: adds those that are missing, and then what belongs to no call."""
        if self._calls:
            results = [self._results.get(id(call)) or Result(call.id, [Text(LOST)], True) for call in self._calls]
            self.entries.append(("tool", results))
            self._begin_calls()
        if self._strays:
            self.entries.append(("user", self._strays))
            self._strays = []
        self.is_open = False

    def _add_other(self, role: str, parts: list[Part]) -> None:
        said: list[Part] = []
        for part in parts:
            if isinstance(part, Result) and part.hosted is None:
                self.answer(part)
            elif isinstance(part, Call):
                said.append(Text(notes.call(part)))
            else:
                said.append(part)
        if said or not parts:
            self.close()
            self.entries.append((role if role in ("system", "developer") else "user", said))

    def _add_assistant(self, parts: list[Part]) -> None:
        current = self._continued()
        for part in parts:
            if isinstance(part, Result) and part.hosted is None:
                self.answer(part)
                current = None
                continue
            if current is None:
                self.close()
                current = []
                self.entries.append(("assistant", current))
            if isinstance(part, Call) and part.hosted is None:
                self._call(part)
            current.append(part)

    def _continued(self) -> list[Any] | None:
        """Returns the parts of the last entry if an assistant's message that follows belongs to it.

        The Responses API has a message for each call and each thought.
        """
        if not self.is_open or self._results or self._strays or self.entries[-1][0] != "assistant":
            return None
        parts: list[Any] = self.entries[-1][1]
        return parts

    def _call(self, call: Call) -> None:
        self._given.append(call.id)
        call.id, call.name = self._identified(call.id or "call"), self._named(call.name)
        self._calls.append(call)
        if self._free is not None:
            self._free.add(self._given[-1], call.name, call)

    def answer(self, result: Result) -> None:
        """Gives a result to its call. One without a call is a note."""
        self.is_open = True
        call = self._called(result)
        if call is None:
            self._strays.append(Text(notes.stray(result)))
        else:
            result.call_id, result.name = call.id, call.name
            self._results[id(call)] = result

    def _called(self, result: Result) -> Call | None:
        """Returns the call of a result: the next one, if its id says so."""
        place = len(self._results)
        if self._free is None:
            if place < len(self._calls) and result.call_id and self._given[place] == result.call_id:
                return self._calls[place]
            self._free = Pairing()
            for given, call in list(zip(self._given, self._calls, strict=True))[place:]:
                self._free.add(given, call.name, call)
        return self._free.take(result.call_id, self._named(result.name) if result.name else None)
