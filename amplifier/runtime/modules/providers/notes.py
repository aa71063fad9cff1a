"""The words for what a model is not sent as it is: images without eyes for them, files, recordings, hosted calls."""

from typing import Any

import msgspec

from amplifier.runtime.modules.providers import attachments
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Refusal, Result, Text, Unknown

BEGINNING = "(The assistant began the conversation.)"
BLANK = "(The message is blank.)"  # APIs refuse blank messages, and Anthropic would continue an assistant's last one
FAILED = "The tool failed: "
BELOW = "(The image is in the next message.)"
SHOWN = "(The images that the tools returned:)"
_LONGEST = 2000  # characters of the arguments and the result of a call that the provider of another model executed


def words(part: Part) -> str:
    """Returns a part as text; an empty text for thinking, which is not repeated to other models."""
    match part:
        case Text(text) | Refusal(text):
            return text
        case Unknown(value):
            return as_json(value)
        case Image():
            return image(part)
        case File():
            return file(part)
        case Audio():
            return audio(part)
        case Call():
            return call(part)
        case Result():
            return returned(part)
    return ""


def image(part: Image) -> str:
    """Returns the note in the place of an image."""
    return f"(An image{_place(part.url)} is not shown here.)"


def file(part: File) -> str:
    """Returns the text of a file, under its name, or the note in its place."""
    part = attachments.with_text(part)
    if part.text is not None:
        return f"{part.name}:\n{part.text}" if part.name else part.text
    kind = f" ({part.media_type})" if part.media_type else ""
    return f"({f'The file {part.name}' if part.name else 'A file'}{kind}{_place(part.url)} is not shown here.)"


def audio(part: Audio) -> str:
    """Returns what is said in a recording, or the note in its place."""
    if part.transcript:
        return part.transcript
    return f"(A recording{_place(part.url)} cannot be heard here.)"


def call(part: Call) -> str:
    """Returns a call that was executed by a provider, as text."""
    return f"({part.name} was called with {as_json(part.arguments)[:_LONGEST]})"


def returned(part: Result) -> str:
    """Returns the result of a call that was executed by a provider, as text."""
    return f"({part.name or 'It'} {'failed' if part.is_error else 'returned'}: {text_of(part.content)[:_LONGEST]})"


def stray(part: Result) -> str:
    """Returns a result without a call, as text."""
    return f"({part.name or 'A tool'} returned: {text_of(part.content)})"


def text_of(parts: list[Part]) -> str:
    """Returns parts as text, a line each."""
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    return "\n".join(filter(None, map(words, parts))) if parts else ""


def as_json(value: Any) -> str:
    """Returns any JSON value as text."""
    return msgspec.json.encode(value).decode()


def _place(url: str | None) -> str:
    address = attachments.web_address(url)
    return f" at {address}" if address else ""
