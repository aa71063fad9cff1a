"""Selects the messages of earlier turns that an agent reads: the end of the transcript, and all of the system.

How much of them a model is sent is decided by the context module.
"""

from typing import Any, NamedTuple

import msgspec

from amplifier import json_numbers
from amplifier.errors import Unsendable
from amplifier.runtime.transcript_writer import Message, is_notice, spoken
from amplifier.transcripts.integrity import valid
from amplifier.transcripts.reader import read
from amplifier.transcripts.turns import is_human

_SYSTEM = ("system", "developer")
_USUAL = frozenset((*_SYSTEM, "user", "assistant", "tool", "function"))

Numbered = tuple[int, Message]


class Limits(NamedTuple):
    """How many messages an agent reads, and how many bytes of them. Those of the system may have as many again."""

    messages: int
    bytes: int


class History(NamedTuple):
    """The messages that an agent reads, in a form that models accept.

    `left_out` is the number of earlier messages that are not among them, and `limit` the setting that they exceed.
    `numbered` holds the messages as they are in the transcript, with their numbers.
    """

    messages: list[Message]
    numbered: list[Numbered]
    left_out: int = 0
    limit: str | None = None

    @property
    def cut(self) -> dict[str, Any]:
        """The data of the event that tells of messages which are left out."""
        return {"messages": len(self.messages), "left_out": self.left_out, "limit": self.limit}

    def located(self, error: Unsendable) -> Unsendable:
        """Returns the error with the number of its message, if that is in the transcript."""
        seq = next((seq for seq, message in self.numbered if message is error.message), None)
        return error if seq is None else Unsendable(f"Message {seq} of the transcript: {error}")


def history(row: Any, limits: Limits) -> History:
    """Returns the history of a row of `runs.get_history`. Begins with a turn if earlier messages are left out.

    Raises Unsendable if the limits do not suffice for the newest message, or for the messages of the system.
    """
    newest = _numbered(row["messages"], row["seqs"])
    if not row["left_out"]:
        return _history(newest)
    _check(row, newest, limits)
    kept = _cut(newest, _numbered(row["older_messages"], row["older_seqs"]))
    limit = "RUN_HISTORY_MESSAGES" if len(newest) == limits.messages else "RUN_HISTORY_BYTES"
    return _history(kept, row["left_out"] + len(newest) - len(kept), limit)


def _numbered(messages: str | None, seqs: str | None) -> list[Numbered]:
    return list(zip(msgspec.json.decode(seqs or "[]"), json_numbers.read(messages or "[]"), strict=True))


def _check(row: Any, newest: list[Numbered], limits: Limits) -> None:
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


def _cut(newest: list[Numbered], older: list[Numbered]) -> list[Numbered]:
    """Returns the messages from the first complete turn on, after those of the system before it.

    If no turn begins among the newest messages, returns all of them, after the message that began their turn.
    """
    start = next((at for at, (_, message) in enumerate(newest) if is_human(message)), None)
    if start is None:
        return [*older, *newest]
    before = (*older, *newest[:start])
    return [one for one in before if _role(one[1]) in _SYSTEM] + newest[start:]


def _history(numbered: list[Numbered], left_out: int = 0, limit: str | None = None) -> History:
    messages = [message for _, message in numbered if _role(message) is not None and not is_notice(message)]
    return History([spoken(message) for message in valid(messages)], numbered, left_out, limit)


def _role(message: Message) -> str | None:
    role = message.get("role")
    return role if isinstance(role, str) and role in _USUAL else read(message).role
