"""The format `amplifier`: the folder of a session of the Amplifier CLI, `transcript.jsonl` and `metadata.json`."""

import json
from typing import Any

from amplifier.exports.conversation import Conversation, Said
from amplifier.exports.origin import Origin, entry
from amplifier.exports.source import Exported, Line, as_json
from amplifier.exports.words import text_of, web_address, words
from amplifier.transcripts import reader, turns
from amplifier.transcripts.parts import Call, Image, Message, Part, Result, Text, Thinking

TRANSCRIPT, METADATA = "transcript.jsonl", "metadata.json"
_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_call", "tool_result", "image", "reasoning"})
_CONTENTS = frozenset({"parts", "text", "blocks", "items", "message", "payload", "kwargs", "info", "type"})
_LEFT_OUT = ("system", "developer")  # the CLI makes these anew


class Amplifier:
    """Writes `transcript.jsonl`. A message that the CLI reads stays as it came, every other one becomes one."""

    def __init__(self, session: Exported) -> None:
        self._session, self._conversation = session, Conversation()
        self._turns = 0
        self._origin: Origin | None = None
        self._about: str | None = None  # the file of metadata that was imported

    def begin(self) -> str:
        """Returns nothing."""
        return ""

    def resume(self, origin: Origin) -> None:
        """Takes what is known about the folder that is written again."""
        self._origin, self._about = origin, origin.about()

    def follow(self, lines: list[bytes]) -> None:
        """Takes lines of the file that is written again. Their turns are counted if no file of metadata says them."""
        if self._about is None:
            messages = [message for line in lines if isinstance((message := entry(line)).get("role"), str)]
            self._turns += sum(turns.is_human(message, reader.read(message)) for message in messages)

    def add(self, line: Line) -> str:
        """Returns the lines of the messages that are complete."""
        message = line.message
        if message is None or line.reading.role is None or line.reading.role in _LEFT_OUT:
            return ""
        self._turns += turns.is_human(message, line.reading)
        if self._conversation.is_waiting or not is_native(message):
            return "".join(map(_lines, self._conversation.add(line)))
        made = "".join(map(_lines, self._conversation.end()))
        return made + (line.json or b"").decode().replace("\n", " ").replace("\r", " ") + "\n"

    def end(self) -> str:
        """Returns the last lines."""
        return "".join(map(_lines, self._conversation.end()))

    def metadata(self) -> str:
        """Returns `metadata.json`, once all messages are written."""
        if self._origin is not None and self._about is not None:
            return self._continued(self._origin, self._about)
        session, tags = self._session, self._session.labels()
        known: dict[str, Any] = {
            "session_id": session.id_in("amplifier"),
            "created": session.created_at.isoformat(),
            "bundle": tags.get("bundle", "unknown"),
            "model": tags.get("model", "unknown"),
            "turn_count": self._turns,
        }
        known |= {"working_dir": tags["cwd"]} if "cwd" in tags else {}
        known |= {"name": session.title} if session.title else {}
        return as_json(known) + "\n"

    def _continued(self, origin: Origin, about: str) -> str:
        """Returns the imported file of metadata, with the turns and the title that were added."""
        title = self._session.title
        if not self._turns and title == origin.title:
            return about
        known = json.loads(about)
        former = known.get("turn_count")
        known["turn_count"] = (former if isinstance(former, int) else 0) + self._turns
        if title is not None and title != origin.title:
            known["name"] = title
        return json.dumps(known, indent=2, ensure_ascii=False)


def is_native(message: Message) -> bool:
    """Returns whether the CLI reads a message as it is."""
    content = message.get("content")
    if not isinstance(message.get("role"), str) or not _CONTENTS.isdisjoint(message):
        return False
    if isinstance(content, list):
        return all(isinstance(block, dict) and block.get("type") in _BLOCKS for block in content)
    return content is None or isinstance(content, str)


def _lines(said: Said) -> str:
    return "".join(as_json(message) + "\n" for message in _messages(said))


def _messages(said: Said) -> list[Message]:
    when = {"metadata": {"timestamp": said.line.created_at.isoformat()}}
    if said.role == "tool":
        return [_result(part) | when for part in said.parts if isinstance(part, Result)]
    calls = [part for part in said.parts if isinstance(part, Call) and part.hosted is None]
    blocks = [block for part in said.parts if part not in calls and (block := _block(part)) is not None]
    if all(block["type"] == "text" for block in blocks):
        content: Any = "\n".join(block["text"] for block in blocks)
    else:
        content = blocks
    message: Message = {"role": said.role, "content": content}
    if calls:
        message["tool_calls"] = [{"id": call.id, "tool": call.name, "arguments": call.arguments} for call in calls]
    return [message | when] if content or calls else []


def _result(result: Result) -> Message:
    return {
        "role": "tool",
        "tool_call_id": result.call_id,
        "name": result.name or "tool",
        "content": text_of(result.content),
    }


def _block(part: Part) -> Message | None:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text} if text else None
        case Thinking() if part.sealed and part.by == "anthropic":
            return {"type": "redacted_thinking", "data": part.sealed}
        case Thinking():
            signed = {"signature": part.signature} if part.signature and part.by == "anthropic" else {}
            return {"type": "thinking", "thinking": part.text, **signed} if part.text or signed else None
        case Image() if part.data:
            source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
            return {"type": "image", "source": source}
        case Image() if address := web_address(part.url):
            return {"type": "image", "source": {"type": "url", "url": address}}
    return {"type": "text", "text": words(part)}
