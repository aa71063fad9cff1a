"""Writes messages of any format as messages of amplifier-core, which providers of other people understand, too.

What amplifier-core has no block for is a text block that says so. The key `original` of it holds the block itself, for
the included providers.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from amplifier.runtime.modules.providers import attachments, notes
from amplifier.runtime.modules.providers.messages import ORIGINAL
from amplifier.runtime.modules.providers.pairing import Pairing
from amplifier.transcripts import media
from amplifier.transcripts.parts import Audio, Call, File, Image, Message, Part, Reading, Result, Text, Thinking
from amplifier.transcripts.reader import read

Block = dict[str, Any]


class Writer:
    """Writes messages in their order. Calls and results without ids get some, by the names of their tools."""

    def __init__(self) -> None:
        self._count = 0
        self._unanswered: Pairing[str] = Pairing()  # ids of the calls that got an id here

    def write(self, message: Message) -> list[Message]:
        """Returns the messages in the place of one: none for an entry that is no part of the conversation."""
        reading = read(message)
        if reading.role is None:
            return []
        given = message.get("metadata")
        more = {"metadata": given} if isinstance(given, dict) else {}
        if reading.role == "assistant":
            return [one | more for one in self._assistant(reading.parts)]
        return [one | more for one in self._others(reading)]

    def _assistant(self, parts: list[Part]) -> Iterator[Message]:
        """Yields an assistant's parts; each series of results in them ends a message."""
        said: list[Part] = []
        for part in parts:
            if isinstance(part, Result) and part.hosted is None:
                if said:
                    yield self._said(said)
                    said = []
                yield self._result(part)
            else:
                said.append(part)
        if said or not parts:
            yield self._said(said)

    def _said(self, parts: list[Part]) -> Message:
        named = [self._with_id(part) if isinstance(part, Call) and part.hosted is None else part for part in parts]
        message: Message = {"role": "assistant", "content": _content(named)}
        calls = [part for part in named if isinstance(part, Call) and part.hosted is None]
        if calls:
            message["tool_calls"] = [_listed(call) for call in calls]
        return message

    def _others(self, reading: Reading) -> Iterator[Message]:
        said: list[Part] = []
        for part in reading.parts:
            if isinstance(part, Result) and part.hosted is None:
                yield self._result(part)
            elif isinstance(part, Call):  # only an assistant can call
                said.append(Text(notes.call(part)))
            else:
                said.append(part)
        if said or not reading.parts:
            role = reading.role if reading.role in ("system", "developer") else "user"
            yield {"role": role, "content": _content(said)}

    def _with_id(self, call: Call) -> Call:
        if call.id:
            return call
        self._count += 1
        identifier = f"call_{self._count}"
        self._unanswered.add(None, call.name, identifier)
        return msgspec.structs.replace(call, id=identifier)

    def _result(self, result: Result) -> Message:
        identifier = result.call_id or self._unanswered.take(None, result.name)
        message: Message = {"role": "tool", "content": _content(result.content)}
        message |= {"tool_call_id": identifier} if identifier else {}
        message |= {"name": result.name} if result.name else {}
        message |= {"is_error": True} if result.is_error else {}
        return message | ({"cache_control": result.cache_control} if result.cache_control else {})


def _listed(call: Call) -> Block:
    return {"id": call.id, "tool": call.name, "arguments": call.arguments} | _extra(call)


def _content(parts: list[Part]) -> str | list[Block]:
    if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache_control is None:
        return parts[0].text
    said = [part for part in parts if not isinstance(part, Call) or part.hosted is not None]
    if len(said) < len(parts) and all(isinstance(part, Text) and part.cache_control is None for part in said):
        return notes.text_of(said)  # as the loop writes calls
    blocks = [block for part in parts if (block := _block(part)) is not None]
    return blocks or ""


def _block(part: Part) -> Block | None:
    block = _unmarked(part)
    return block if block is None or part.cache_control is None else block | {"cache_control": part.cache_control}


def _unmarked(part: Part) -> Block | None:
    match part:
        case Thinking() if part.sealed and part.by == "anthropic":
            return {"type": "redacted_thinking", "data": part.sealed}
        case Thinking():
            signed = {"signature": part.signature} if part.signature and part.by == "anthropic" else {}
            return {"type": "thinking", "thinking": part.text, **signed} if part.text or signed else None
        case Call() if part.hosted is None:
            return {"type": "tool_call", "id": part.id, "name": part.name, "input": part.arguments} | _extra(part)
        case Image() if part.data:
            source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
            return {"type": "image", "source": source}
        case Image() if attachments.web_address(part.url):
            return {"type": "image", "source": {"type": "url", "url": part.url}}
        case File() | Audio() | Image() if not media.is_empty(part):
            return {"type": "text", "text": notes.words(part), ORIGINAL: msgspec.to_builtins(part)}
        case Call(hosted=dict(hosted)) | Result(hosted=dict(hosted)) if _is_anthropic(hosted):
            return {"type": "text", "text": notes.words(part), ORIGINAL: hosted}
    text = notes.words(part)
    return {"type": "text", "text": text} if text else None


def _extra(call: Call) -> Block:
    return {"extra_content": call.extra_content} if call.extra_content is not None else {}


def _is_anthropic(hosted: Block) -> bool:
    kind = str(hosted.get("type"))
    return kind == "server_tool_use" or kind.endswith("_tool_result")
