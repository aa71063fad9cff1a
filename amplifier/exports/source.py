"""The sessions and messages that writers get, and what of a message its reader may see."""

from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, Protocol

import msgspec

from amplifier import json_characters
from amplifier.exports.thoughts import without_thoughts
from amplifier.transcripts import reader
from amplifier.transcripts.parts import Message, Reading

FormatName = Literal["jsonl", "openai", "anthropic", "claude-code", "codex", "amplifier", "markdown", "html"]


class Exported(msgspec.Struct):
    """A session whose transcript is exported. `may_write` says of its reader; those who may not get no thoughts."""

    session_id: str
    external_id: str | None
    title: str | None
    status: str
    tags: msgspec.Raw
    metadata: msgspec.Raw
    messages_total: int
    last_seq: int
    created_at: datetime
    updated_at: datetime
    may_write: bool

    @property
    def name(self) -> str:
        """The title, or the id of a session without one."""
        return " ".join((self.title or "").split()) or self.session_id

    def id_in(self, tool: str) -> str:
        """Returns the id that an imported session had in the tool that is exported to, of every other session its own.

        A session that was imported has it in its `external_id`, which forks do not inherit.
        """
        given = self.external_id or ""
        return given.removeprefix(f"{tool}:") if given.startswith(f"{tool}:") and given[-1] != ":" else self.session_id

    def labels(self) -> dict[str, str]:
        """Returns the tags."""
        return msgspec.json.decode(json_characters.replaced(self.tags), type=dict[str, str])


class Line:
    """A message of a transcript with its circumstances, decoded and read when a writer asks for it."""

    def __init__(
        self,
        seq: int,
        message: msgspec.Raw,
        author_user_id: str,
        author_app_id: str,
        created_at: datetime,
        key: str | None = None,
        *,
        thoughtless: bool = False,
    ) -> None:
        """`thoughtless` leaves out thoughts, and blocks that are marked as internal."""
        self.seq, self.raw, self.author_user_id, self.author_app_id = seq, bytes(message), author_user_id, author_app_id
        self.created_at, self.key, self._thoughtless = created_at.astimezone(UTC), key, thoughtless

    @cached_property
    def message(self) -> Message | None:
        """The message, with U+FFFD for characters that JSON has as escapes only; None if nothing of it may be seen."""
        return without_thoughts(self._whole) if self._thoughtless else self._whole

    @property
    def json(self) -> bytes | None:
        """The message as it was sent. Of one with thoughts that its reader must not see, the rest."""
        if not self._thoughtless or self.message == self._whole:
            return self.raw
        return None if self.message is None else msgspec.json.encode(self.message)

    @cached_property
    def reading(self) -> Reading:
        """The message as it was understood. Without a role if it is no part of the conversation."""
        return Reading(None, []) if self.message is None else reader.read(self.message, hidden=not self._thoughtless)

    @property
    def time(self) -> str:
        """The time of the message in UTC, with milliseconds."""
        return stamp(self.created_at)

    @cached_property
    def _whole(self) -> Message:
        message: Message = msgspec.json.decode(json_characters.replaced(self.raw))
        return message


class Writer(Protocol):
    """Writes one transcript. The texts that it returns, one after the other, are the document."""

    def begin(self) -> str:
        """Returns what is before the first message."""

    def add(self, line: Line) -> str:
        """Returns what the next message adds, which may be text of messages before it."""

    def end(self) -> str:
        """Returns what follows the last message."""


def stamp(time: datetime) -> str:
    """Returns a time in UTC as JavaScript writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: Any) -> str:
    """Returns any JSON value as text on one line."""
    return msgspec.json.encode(value).decode()
