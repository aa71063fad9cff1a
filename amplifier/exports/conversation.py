"""Messages as models' APIs demand them: each call has one result, directly after the message that calls.

Texts and calls of adjacent messages that are pieces of one answer, as the Responses API and Claude Code divide it,
become one message. A result without a call becomes a text.
"""

import re
from typing import NamedTuple

import msgspec

from amplifier.exports.source import Line
from amplifier.exports.words import words
from amplifier.transcripts.integrity import LOST
from amplifier.transcripts.parts import Call, Part, Result, Text, Thinking

_MOST = 1000  # parts of one message: more of them would have to be kept in memory until their results come
_UNUSABLE = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64  # characters of an id or a name that all APIs take


class Said(NamedTuple):
    """A message: system, user, assistant or tool, its parts, and the line that it began with."""

    role: str
    parts: list[Part]
    line: Line


class Conversation:
    """Puts messages in their form one by one; keeps those of one answer and its results only."""

    def __init__(self) -> None:
        self._answer: Said | None = None
        self._calls: dict[str, tuple[Call, Result | None]] = {}  # of the answer, by the ids that they came with
        self._used: set[int] = set()  # hashes of the ids of all calls: APIs refuse one that is there twice
        self._count = 0

    @property
    def is_waiting(self) -> bool:
        """True while an answer is kept that the next message may belong to."""
        return self._answer is not None

    def add(self, line: Line) -> list[Said]:
        """Returns the messages that are complete once this one is known."""
        reading, done = line.reading, list[Said]()
        if reading.role is None:
            return done
        said: list[Part] = []
        for part in reading.parts:
            if isinstance(part, Result) and part.hosted is None:
                if not self._answered(part):
                    said.append(Text(words(part)))
            elif isinstance(part, Call) and reading.role != "assistant":
                said.append(Text(words(part)))
            elif reading.role == "assistant":
                done += self._continue(part, line)
            else:
                said.append(part)
        if said:
            role = "system" if reading.role in ("system", "developer") else "user"
            done += [*self.end(), Said(role, said, line)]
        return done

    def end(self) -> list[Said]:
        """Returns the last answer and the results of its calls, also of those that have none."""
        if self._answer is None:
            return []
        done, self._answer = [self._answer], None
        if self._calls:
            results: list[Part] = [
                msgspec.structs.replace(result, call_id=call.id, name=call.name)
                if result is not None
                else Result(call.id, [Text(LOST)], True, call.name)
                for call, result in self._calls.values()
            ]
            done.append(Said("tool", results, done[0].line))
            self._calls = {}
        return done

    def _continue(self, part: Part, line: Line) -> list[Said]:
        """Adds a part to the answer, and returns the one before it if the part begins another."""
        done: list[Said] = []
        if self._answer is not None and (
            any(result is not None for _, result in self._calls.values())
            or len(self._answer.parts) >= _MOST
            or (self._answer.line is not line and not self._is_open())
        ):
            done = self.end()
        if self._answer is None:
            self._answer = Said("assistant", [], line)
        if isinstance(part, Call) and part.hosted is None:
            part = self._named(part)
        self._answer.parts.append(part)
        return done

    def _is_open(self) -> bool:
        """Returns whether the next message of the assistant belongs to the answer: after calls and thoughts."""
        return bool(self._calls) or (self._answer is not None and isinstance(self._answer.parts[-1], Thinking))

    def _named(self, call: Call) -> Call:
        """Returns a call with an id that is unique in the transcript and a name that APIs take."""
        self._count += 1
        identifier = _UNUSABLE.sub("_", call.id or f"call_{self._count}")[:_LONGEST]
        if hash(identifier) in self._used:
            identifier = f"{identifier[: _LONGEST - 10]}_{self._count}"
        self._used.add(hash(identifier))
        named = msgspec.structs.replace(call, id=identifier, name=_UNUSABLE.sub("_", call.name)[:_LONGEST])
        given = call.id if call.id is not None and call.id not in self._calls else f"\0{self._count}"
        self._calls[given] = (named, None)
        return named

    def _answered(self, result: Result) -> bool:
        """Gives a result to its call: by id, without one to the next call of its tool. Returns whether there is one."""
        given = result.call_id
        if given not in self._calls or self._calls[given][1] is not None:
            if given is not None and not any(key.startswith("\0") for key in self._calls):
                return False
            free = (key for key, (call, known) in self._calls.items() if known is None and _fits(call, result))
            given = next(free, None)
        if given is None:
            return False
        self._calls[given] = (self._calls[given][0], result)
        return True


def _fits(call: Call, result: Result) -> bool:
    return result.name is None or _UNUSABLE.sub("_", result.name)[:_LONGEST] == call.name
