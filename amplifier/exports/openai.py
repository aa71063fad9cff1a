"""The format `openai`: an object with the `messages` of a request to the chat completions API."""

from typing import Any

from amplifier.exports.conversation import Conversation, Said
from amplifier.exports.source import Exported, Line, as_json
from amplifier.exports.words import image_data, text_of, web_address, words
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Result, Thinking

Plain = dict[str, Any]
_RECORDINGS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


class OpenAI:
    """Writes an object of one member, a message on each line."""

    def __init__(self, session: Exported) -> None:
        self._conversation = Conversation()
        self._is_first = True

    def begin(self) -> str:
        """Returns the beginning of the object."""
        return '{"messages":['

    def add(self, line: Line) -> str:
        """Returns the messages that are complete."""
        return self._written(self._conversation.add(line))

    def end(self) -> str:
        """Returns the last messages and the end of the object."""
        return self._written(self._conversation.end()) + "\n]}\n"

    def _written(self, messages: list[Said]) -> str:
        texts = [as_json(message) for said in messages for message in _messages(said)]
        if not texts:
            return ""
        head, self._is_first = ("\n" if self._is_first else ",\n"), False
        return head + ",\n".join(texts)


def _messages(said: Said) -> list[Plain]:
    if said.role == "assistant":
        return _assistant(said.parts)
    if said.role == "tool":
        return [_result(part) for part in said.parts if isinstance(part, Result)]
    if said.role == "system":
        return [{"role": "system", "content": text_of(said.parts)}]
    content = [_block(part) for part in said.parts if not isinstance(part, Thinking)]
    if all(block["type"] == "text" for block in content):
        text = text_of(said.parts)
        return [{"role": "user", "content": text}] if text else []
    return [{"role": "user", "content": content}]


def _assistant(parts: list[Part]) -> list[Plain]:
    calls = [part for part in parts if isinstance(part, Call) and part.hosted is None]
    text = text_of([part for part in parts if not (isinstance(part, Call) and part.hosted is None)])
    thought = "\n".join(part.text for part in parts if isinstance(part, Thinking) and part.text)
    message: Plain = {"role": "assistant", "content": text or None}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return [message] if text or calls else []


def _call(call: Call) -> Plain:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": as_json(call.arguments)},
    }


def _result(result: Result) -> Plain:
    return {"role": "tool", "tool_call_id": result.call_id, "content": text_of(result.content)}


def _block(part: Part) -> Plain:
    if isinstance(part, Image) and (url := image_data(part) or web_address(part.url)):
        return {"type": "image_url", "image_url": {"url": url}}
    if isinstance(part, File) and part.data and part.media_type == "application/pdf":
        data = f"data:application/pdf;base64,{part.data}"
        return {"type": "file", "file": {"filename": part.name or "file.pdf", "file_data": data}}
    if isinstance(part, Audio) and part.data and (form := _RECORDINGS.get(part.media_type or "")):
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    return {"type": "text", "text": words(part)}
