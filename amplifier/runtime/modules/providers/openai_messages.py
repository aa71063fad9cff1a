"""Writes messages, tools and response formats for OpenAI's chat completions API and compatible servers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from amplifier_core.message_models import Message, ResponseFormat, ToolSpec

from amplifier.runtime.modules.providers import attachments, notes
from amplifier.runtime.modules.providers.conversation import Entry, conversation, parts_of
from amplifier.runtime.modules.providers.messages import Plain, chosen_tool
from amplifier.runtime.modules.providers.names import Distinct, Names, short
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Result, Text, Thinking

_UNTHOUGHT = " "  # servers that demand a model's reasoning refuse an empty text


class Accepted(NamedTuple):
    """The members of requests that a server accepts and others refuse."""

    developer: bool = False  # the role; without it, `system`, which every server accepts
    vision: bool = True
    audio: bool = False
    reasoning: bool = False  # demands the reasoning of turns with calls back
    signatures: bool = False  # demands what it sent with a call as `extra_content` back, as Gemini
    short_ids: bool = False  # as Mistral, which also refuses a user's message directly after a result


def convert(messages: list[Message], names: Names, accepted: Accepted) -> list[Plain]:
    """Converts all messages, in order."""
    ids = Distinct(spelled=short) if accepted.short_ids else Distinct()
    entries = conversation(messages, names.sent, ids.fresh)
    thoughtful = _with_calls(entries) if accepted.reasoning else set()
    sent: list[Plain] = []
    for index, (role, parts) in enumerate(entries):
        if type(parts) is str and not (thoughtful and index in thoughtful):
            sent.append({"role": role, "content": parts})
        elif role == "assistant":
            sent.extend(_assistant(parts_of(entries[index]), index in thoughtful, accepted.signatures))
        elif role == "tool":
            sent.extend(_results(parts, accepted))
        elif role == "user":
            sent.extend(_user(parts, accepted))
        else:
            sent.append({"role": role if accepted.developer else "system", "content": notes.text_of(parts)})
    return sent or [{"role": "user", "content": notes.BLANK}]


def convert_tools(tools: list[ToolSpec], names: Names) -> list[Plain]:
    """Converts the tools that the model may call."""
    return [{"type": "function", "function": _function(tool, names)} for tool in tools]


def convert_choice(choice: str | dict[str, Any], names: Names) -> Any:
    """Converts the choice of the tool that the model must call."""
    chosen = chosen_tool(choice)
    if not chosen.startswith("="):
        return chosen
    return {"type": "function", "function": {"name": names.sent(chosen[1:])}}


def convert_format(wanted: ResponseFormat) -> Plain | None:
    """Converts the format of the answer; None for plain text."""
    if wanted.type == "json":
        return {"type": "json_object"}
    if wanted.type == "json_schema":
        given = wanted.json_schema
        schema = dict(given) if "schema" in given else {"schema": given}
        strict = {} if wanted.strict is None else {"strict": wanted.strict}
        return {"type": "json_schema", "json_schema": {"name": "response"} | schema | strict}
    return None


def _function(tool: ToolSpec, names: Names) -> Plain:
    described = {"description": tool.description} if tool.description else {}
    return {"name": names.sent(tool.name), **described, "parameters": tool.parameters}


def _with_calls(entries: list[Entry]) -> set[int]:
    """Returns the indexes of an assistant's entries in turns in which it called tools."""
    found: set[int] = set()
    turn: list[int] = []
    called = False
    for index, (role, parts) in enumerate([*entries, ("user", [])]):
        if role == "user":
            found.update(turn if called else ())
            turn, called = [], False
        elif role == "assistant":
            turn.append(index)
            called = called or (type(parts) is not str and any(isinstance(part, Call) for part in parts))
    return found


def _assistant(parts: list[Part], thoughtful: bool, signed: bool) -> Iterator[Plain]:
    """Yields an assistant's message, none if it has neither text nor calls, which some servers refuse."""
    calls: list[Plain] = []
    said: list[Part] = []
    for part in parts:
        if isinstance(part, Call) and part.hosted is None:
            calls.append(_call(part, signed))
        else:
            said.append(part)
    text = notes.text_of(said)
    message: Plain = {"role": "assistant", "content": text or None if calls else text}
    if thoughtful:
        thought = "\n".join(part.text for part in parts if isinstance(part, Thinking) and part.text)
        message["reasoning_content"] = thought or _UNTHOUGHT
    if calls:
        yield message | {"tool_calls": calls}
    elif text or thoughtful:
        yield message


def _call(call: Call, signed: bool) -> Plain:
    function = {"name": call.name, "arguments": notes.as_json(call.arguments)}
    written: Plain = {"id": call.id, "type": "function", "function": function}
    return written | {"extra_content": call.extra_content} if signed and call.extra_content else written


def _results(results: list[Result], accepted: Accepted) -> Iterator[Plain]:
    """Yields the results, and then a user's message with the images in them, which a result cannot contain."""
    shown: list[Plain] = []
    for result in results:
        texts: list[Part] = []
        for part in result.content:
            image = _image(part, accepted) if isinstance(part, Image) and not accepted.short_ids else None
            if image is not None:
                shown.append(image)
                texts.append(Text(notes.BELOW))
            else:
                texts.append(part)
        text = notes.text_of(texts)
        text = f"{notes.FAILED}{text}" if result.is_error else text
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}
    if shown:
        yield {"role": "user", "content": [{"type": "text", "text": notes.SHOWN}, *shown]}


def _user(parts: list[Part], accepted: Accepted) -> Iterator[Plain]:
    content = [_part(part, accepted) for part in parts]
    if all(block["type"] == "text" for block in content):
        text = notes.text_of(parts)
        content_or_text: Any = text
    else:
        content_or_text = [block for block in content if block["type"] != "text" or block["text"]]
    if content_or_text:
        yield {"role": "user", "content": content_or_text}


def _part(part: Part, accepted: Accepted) -> Plain:
    found: Plain | None = None
    if isinstance(part, Image):
        found = _image(part, accepted)
    elif isinstance(part, File) and accepted.vision:
        found = _file(part)
    elif isinstance(part, Audio) and accepted.audio:
        found = _recording(part)
    return found or {"type": "text", "text": notes.words(part)}


def _image(image: Image, accepted: Accepted) -> Plain | None:
    url = attachments.web_address(image.url)
    if attachments.has_bytes(image.data) and image.media_type in attachments.IMAGES:
        url = f"data:{image.media_type};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url}} if url and accepted.vision else None


def _file(file: File) -> Plain | None:
    if file.file_id and file.file_id.startswith("file-"):
        return {"type": "file", "file": {"file_id": file.file_id}}
    if file.data and file.media_type == attachments.PDF:
        data = f"data:{file.media_type};base64,{file.data}"
        return {"type": "file", "file": {"filename": file.name or "file.pdf", "file_data": data}}
    return None


def _recording(audio: Audio) -> Plain | None:
    form = attachments.RECORDINGS.get(audio.media_type or "")
    if not audio.data or form is None:
        return None
    return {"type": "input_audio", "input_audio": {"data": audio.data, "format": form}}
