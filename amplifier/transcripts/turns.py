"""Answers the questions about one message that several modules have: does it begin a turn, what does it call or answer.

All of them read the message with `reader.py`, or take the reading of a caller that has it. `tool_calls.py` compares
messages with each other.
"""

from collections.abc import Iterable

from amplifier.transcripts.parts import Call, Message, Part, Reading, Refusal, Result, Text
from amplifier.transcripts.reader import read

# members besides role and content in which the reader finds what was said, calls, results or another message
_CONTENTS = {"parts", "text", "blocks", "items", "images", "message", "payload", "kwargs", "info"}
_CALLS = {"tool_calls", "toolCalls", "toolInvocations", "function_call", "additional_kwargs"}
ELSEWHERE = frozenset(_CONTENTS | _CALLS | {"type", "tool_call_id", "toolCallId"})
_SAYING = frozenset(("system", "developer", "user", "assistant"))
# answers that earlier releases wrote in the name of an assistant when a run or a turn had none
_PLACEHOLDERS = frozenset(
    f"The {what} before it {did}."
    for what, did in (("run failed", "answered"), ("run was cancelled", "answered"), ("turn ended", "was answered"))
)


def is_text(message: Message) -> bool:
    """Returns whether a message is seen at a glance to be a text of one of the usual roles, without calls or results.

    It takes a fortieth of the time of `read`. If it returns False, the message may still be such a text.
    """
    role, content = message.get("role"), message.get("content")
    if not isinstance(content, str) or not isinstance(role, str) or role not in _SAYING:
        return False
    return ELSEWHERE.isdisjoint(message)


def is_human(message: Message, reading: Reading | None = None) -> bool:
    """Returns whether a message begins a turn: a user's, neither a tool result nor from a hook."""
    if is_text(message):
        return (
            message["role"] == "user"
            and not message["content"].startswith("<system-reminder>")
            and not is_of_hook(message)
        )
    reading = reading or read(message)
    if reading.role != "user" or is_of_hook(message) or results(reading):
        return False
    return not said(reading).startswith("<system-reminder>")


def is_of_hook(message: Message) -> bool:
    """Returns whether a hook put a message into the context, by the mark of amplifier-core."""
    metadata = message.get("metadata")
    return isinstance(metadata, dict) and metadata.get("source") == "hook"


def is_placeholder(message: Message) -> bool:
    """Returns whether an earlier release wrote a message in the name of an assistant, for a turn without an answer."""
    if message.get("role") != "assistant" or "metadata" not in message:
        return False
    metadata, content = message["metadata"], message.get("content")
    return (
        isinstance(metadata, dict)
        and "interrupted" in metadata
        and isinstance(content, str)
        and content in _PLACEHOLDERS
        and not message.get("tool_calls")
    )


def text_of(message: Message) -> str:
    """Returns the texts of a message, a line each. Thinking, calls and results are left out."""
    return message["content"] if is_text(message) else said(read(message))


def said(reading: Reading) -> str:
    """Returns the texts of a message that was read, a line each."""
    return "\n".join(part.text for part in reading.parts if isinstance(part, Text))


def says(part: Part) -> bool:
    """Returns whether a part is more than a blank text."""
    return not isinstance(part, Text | Refusal) or not part.text.isspace()


def calls(reading: Reading) -> list[Call]:
    """Returns the calls of a message that tools of the caller execute, not those that the provider executed."""
    return [part for part in reading.parts if isinstance(part, Call) and part.hosted is None]


def results(reading: Reading) -> list[Result]:
    """Returns the results in a message, without those of calls that the provider executed."""
    return [part for part in reading.parts if isinstance(part, Result) and part.hosted is None]


def identified(parts: Iterable[Call | Result]) -> list[str]:
    """Returns the ids of calls, or of the calls that results belong to, as far as the message gives them."""
    ids = (part.id if isinstance(part, Call) else part.call_id for part in parts)
    return [identifier for identifier in ids if identifier is not None]
