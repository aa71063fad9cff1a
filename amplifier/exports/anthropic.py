"""The format `anthropic`: an object with the `system` and `messages` of a request to the Messages API."""

from typing import Any

from amplifier.exports.conversation import Conversation, Said
from amplifier.exports.source import Exported, Line, as_json
from amplifier.exports.words import image_data, text_of, web_address, words
from amplifier.transcripts.parts import Call, File, Image, Part, Result, Text, Thinking

Plain = dict[str, Any]


class Anthropic:
    """Writes an object, a message on each line. System messages at the beginning become `system`."""

    def __init__(self, session: Exported) -> None:
        self._conversation = Conversation()
        self._system: list[str] | None = []  # None once a message is written
        self._is_first = True

    def begin(self) -> str:
        """Returns nothing: a system message may come first."""
        return ""

    def add(self, line: Line) -> str:
        """Returns the messages that are complete."""
        return self._written(self._conversation.add(line))

    def end(self) -> str:
        """Returns the last messages and the end of the object."""
        return self._written(self._conversation.end()) + self._head() + "\n]}\n"

    def _written(self, messages: list[Said]) -> str:
        texts: list[str] = []
        for said in messages:
            if said.role == "system" and self._system is not None:
                self._system.append(text_of(said.parts))
            elif (message := message_of(said)) is not None:
                texts.append(as_json(message))
        if not texts:
            return ""
        head = self._head() + ("\n" if self._is_first else ",\n")
        self._is_first = False
        return head + ",\n".join(texts)

    def _head(self) -> str:
        """Returns the beginning of the object, once."""
        if self._system is None:
            return ""
        text, self._system = "\n\n".join(filter(None, self._system)), None
        return f'{{"system":{as_json(text)},"messages":[' if text else '{"messages":['


def message_of(said: Said) -> Plain | None:
    """Returns a message of the API, or None for one without content, which the API refuses."""
    content = [block for part in said.parts if (block := _block(part, said.role)) is not None]
    if said.role == "assistant":  # the calls at the end, directly before their results
        content.sort(key=lambda block: block["type"] == "tool_use")
    role = "assistant" if said.role == "assistant" else "user"
    return {"role": role, "content": content} if content else None


def _block(part: Part, role: str) -> Plain | None:
    match part:
        case Thinking():
            return _thought(part) if role == "assistant" else None
        case Call(hosted=None) if role == "assistant":
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case Result(hosted=None):
            return _result(part)
        case Text() if role == "system":
            return _text(f"<system>\n{part.text}\n</system>")
        case Image() | File():
            return _shown(part) or _text(words(part))
    return _text(words(part))


def _thought(part: Thinking) -> Plain | None:
    """Returns a thought of Anthropic's: others have no signature, and the API refuses them."""
    if part.by != "anthropic":
        return None
    if part.sealed:
        return {"type": "redacted_thinking", "data": part.sealed}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _result(result: Result) -> Plain:
    shown = [block for part in result.content if isinstance(part, Image) and (block := _shown(part)) is not None]
    text = text_of([part for part in result.content if not (isinstance(part, Image) and _shown(part))])
    content: Any = [*([{"type": "text", "text": text}] if text.strip() else []), *shown] if shown else text
    answered: Plain = {"type": "tool_result", "tool_use_id": result.call_id, "content": content}
    return answered | ({"is_error": True} if result.is_error else {})


def _shown(part: Image | File) -> Plain | None:
    if isinstance(part, Image):
        if data := image_data(part):
            kind, _, encoded = data.removeprefix("data:").partition(";base64,")
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encoded}}
        address = web_address(part.url)
        return {"type": "image", "source": {"type": "url", "url": address}} if address else None
    if part.data and part.media_type == "application/pdf":
        source = {"type": "base64", "media_type": part.media_type, "data": part.data}
        return {"type": "document", "source": source} | ({"title": part.name} if part.name else {})
    return None


def _text(text: str) -> Plain | None:
    return {"type": "text", "text": text} if text.strip() else None
