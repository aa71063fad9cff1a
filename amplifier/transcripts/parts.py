"""The typed parts of messages. `reader.py` reads them from messages of every known format."""

from typing import Any, Literal

import msgspec

Message = dict[str, Any]
Role = Literal["system", "developer", "user", "assistant", "function", "tool"]


class Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A part of a message. `cache_control` is the mark of Anthropic's prompt cache at the end of its block."""

    cache_control: dict[str, Any] | None = None


class Text(Part, tag="text"):
    """Something said."""

    text: str


class Thinking(Part, tag="thinking"):
    """Something thought. `sealed` is encrypted: only its provider can read it, and demands it back unchanged.

    `by` is the provider that made `signature` or `sealed`, as far as the format of the message says it.
    """

    text: str = ""
    signature: str | None = None
    sealed: str | None = None
    by: Literal["anthropic", "google", "openai"] | None = None


class Call(Part, tag="call"):
    """A tool call. `id` is None if the message gives none.

    Arguments that are no JSON object are `{"input": ...}`. A call with `hosted` was executed by the provider; `hosted`
    is its block as it came. `extra_content` is what Gemini demands back with the call.
    """

    id: str | None
    name: str
    arguments: dict[str, Any] = {}
    hosted: dict[str, Any] | None = None
    extra_content: dict[str, Any] | None = None


class Result(Part, tag="result"):
    """The result of the call with this id or, if the message gives no id, of a call of the tool with this name."""

    call_id: str | None
    content: list[Part] = []
    is_error: bool = False
    name: str | None = None
    hosted: dict[str, Any] | None = None


class Image(Part, tag="image"):
    """An image, by its address, as base64, or by the id that a provider gave it."""

    media_type: str | None = None
    url: str | None = None
    data: str | None = None
    file_id: str | None = None


class File(Part, tag="file"):
    """A document, as an image is given; `text` is its content if that is plain text."""

    name: str | None = None
    media_type: str | None = None
    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    text: str | None = None


class Audio(Part, tag="audio"):
    """A recording, as an image is given; `transcript` is what is said in it."""

    media_type: str | None = None
    url: str | None = None
    data: str | None = None
    transcript: str | None = None


class Refusal(Part, tag="refusal"):
    """The words with which a model refused to answer."""

    text: str


class Unknown(Part, tag="unknown"):
    """A JSON value of no known format."""

    value: Any


class Reading(msgspec.Struct, omit_defaults=True):
    """A message as it was understood.

    `role` is None for an entry that is no part of the conversation, for example the settings of a session. `author` is
    the name of the speaker, if the message gives one.
    """

    role: Role | None
    parts: list[Part]
    author: str | None = None
