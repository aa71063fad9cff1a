"""Selects the messages of earlier turns that an agent reads: the end of the transcript, and all of the system.

How much of them a model is sent is decided by the context module.
"""

from typing import Any, NamedTuple

from amplifier import json_numbers
from amplifier.errors import Unsendable
from amplifier.runtime.transcript_writer import Message, is_notice, spoken
from amplifier.transcripts.integrity import valid
from amplifier.transcripts.reader import read
from amplifier.transcripts.turns import is_human

_SYSTEM = ("system", "developer")
_USUAL = frozenset((*_SYSTEM, "user", "assistant", "tool", "function"))


class Limits(NamedTuple):
    """The number of messages that an agent reads, and of their bytes. Those of the system may have as many again."""

    messages: int
    bytes: int


class History(NamedTuple):
    """The messages that an agent reads, in a form that models accept.

    `newest` are those of the transcript's end, as they are stored. `left_out` is the number of messages that are not
    read, and `limit` the setting that they exceed. `models` has the validated forms of kept messages by the identity of
    the message, None for those that no turn has sent; turns write them there.
    """

    messages: list[Message]
    newest: list[Message]
    left_out: int = 0
    limit: str | None = None
    models: Any = None

    @property
    def cut(self) -> dict[str, Any]:
        """The data of the event that tells of messages which are left out."""
        return {"messages": len(self.messages), "left_out": self.left_out, "limit": self.limit}

    def place(self, message: Message | None) -> int | None:
        """Returns the place of a message, counted from the end of the transcript, or None if it is not there."""
        places = enumerate(reversed(self.newest), 1)
        return next((place for place, one in places if one is message), None)


def history(row: Any, limits: Limits) -> History:
    """Returns the history of a row of `runs.get_history`. Begins with a turn if earlier messages are left out.

    Raises Unsendable if the limits do not suffice for the newest message, or for the messages of the system.
    """
    newest = json_numbers.read(row["messages"] or "[]")
    if not row["left_out"]:
        return History(sendable(newest), newest)
    _check(row, newest, limits)
    kept = _cut(newest, json_numbers.read(row["older_messages"] or "[]"))
    limit = "RUN_HISTORY_MESSAGES" if len(newest) == limits.messages else "RUN_HISTORY_BYTES"
    return History(sendable(kept), newest, row["left_out"] + len(newest) - len(kept), limit)


def _check(row: Any, newest: list[Message], limits: Limits) -> None:
    if (row["system_bytes"] or 0) > limits.bytes:
        raise Unsendable(
            f"The system and developer messages of the transcript have {row['system_bytes']} bytes, and an agent may "
            f"read {limits.bytes}: raise RUN_HISTORY_BYTES"
        )
    if not newest:
        raise Unsendable(
            f"The newest message of the transcript has more bytes than an agent may read ({limits.bytes}): raise "
            "RUN_HISTORY_BYTES, or continue in a fork of the session that ends before it"
        )


def _cut(newest: list[Message], older: list[Message]) -> list[Message]:
    """Returns the messages from the first complete turn on, after those of the system before it.

    If no turn begins among the newest messages, returns all of them, after the message that began their turn.
    """
    start = next((at for at, message in enumerate(newest) if is_human(message)), None)
    if start is None:
        return [*older, *newest]
    before = (*older, *newest[:start])
    return [message for message in before if _role(message) in _SYSTEM] + newest[start:]


def sendable(messages: list[Message]) -> list[Message]:
    """Returns the conversation's own messages, as models accept them."""
    return [spoken(message) if "metadata" in message else message for message in valid(own(messages))]


def own(messages: list[Message]) -> list[Message]:
    """Returns the messages without those that earlier releases wrote for an agent that did not answer."""
    return [message for message in messages if message.get("role") != "assistant" or not is_notice(message)]


def _role(message: Message) -> str | None:
    role = message.get("role")
    return role if isinstance(role, str) and role in _USUAL else read(message).role
