"""The order in which a transcript is shown to people: turns, speakers, and what was said, called and returned."""

from typing import NamedTuple

from amplifier.exports.source import Line, as_json
from amplifier.exports.words import text_of
from amplifier.transcripts import turns
from amplifier.transcripts.parts import Call, Part, Result

_SPEAKERS = {"tool": "Assistant", "function": "Assistant", "assistant": "Assistant", "user": "User"}


class Place(NamedTuple):
    """The heading before a message: the number of the turn if it begins one, and the speaker if another one begins."""

    turn: int | None
    speaker: str | None


class Headings:
    """Finds the headings of messages, in their order. What an assistant's tools returned belongs to the assistant."""

    def __init__(self) -> None:
        self._turn, self._speaker = 0, ""

    def of(self, line: Line) -> Place:
        """Returns the heading before a message."""
        reading, role = line.reading, line.reading.role or ""
        is_new = line.message is not None and turns.is_human(line.message, reading)
        if is_new:
            self._turn += 1
        speaker = _SPEAKERS.get(role, role.capitalize() or "Entry")
        if reading.author and role not in ("tool", "function"):
            speaker = f"{speaker} {reading.author}"
        is_other, self._speaker = is_new or speaker != self._speaker, speaker
        return Place(self._turn if is_new else None, speaker if is_other else None)


def arguments(call: Call) -> str:
    """Returns the arguments of a call as JSON, a member on each line."""
    members = [f"  {as_json(name)}: {as_json(value)}" for name, value in call.arguments.items()]
    return "{\n" + ",\n".join(members) + "\n}" if members else "{}"


def summary(part: Part) -> str:
    """Returns the beginning of the first argument of a call, which says most about it."""
    if not isinstance(part, Call):
        return ""
    first = next((value for value in part.arguments.values() if isinstance(value, str) and value.strip()), "")
    line = first.strip().splitlines()[0] if first.strip() else ""
    return line if len(line) <= 80 else f"{line[:79]}…"


def returned(result: Result) -> str:
    """Returns what a tool returned as text."""
    return text_of(result.content)
