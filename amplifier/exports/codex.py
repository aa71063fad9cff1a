"""The format `codex`: a rollout of Codex, with items of the Responses API and the events that its lists show."""

from collections.abc import Iterator
from typing import Any

from amplifier.exports.conversation import Conversation, Said
from amplifier.exports.names import session_uuid
from amplifier.exports.source import Exported, Line, as_json, stamp
from amplifier.exports.words import image_data, text_of, web_address, words
from amplifier.transcripts.parts import Call, Image, Part, Result, Thinking

VERSION = "0.106.0"  # of Codex, whose rollouts these are

Item = dict[str, Any]


class Codex:
    """Writes the head of a rollout, and the items of each message."""

    def __init__(self, session: Exported) -> None:
        self._session, self._conversation = session, Conversation()

    def begin(self) -> str:
        """Returns the head of the rollout."""
        session, tags = self._session, self._session.labels()
        payload = {
            "id": session_uuid(session, "codex"),
            "timestamp": stamp(session.created_at),
            "cwd": tags.get("cwd", "/"),
            "originator": "codex_cli_rs",
            "cli_version": VERSION,
            "source": "cli",
        }
        return _line(stamp(session.created_at), "session_meta", payload)

    def add(self, line: Line) -> str:
        """Returns the items of the messages that are complete."""
        return "".join(map(_lines, self._conversation.add(line)))

    def end(self) -> str:
        """Returns the last items."""
        return "".join(map(_lines, self._conversation.end()))


def _lines(said: Said) -> str:
    time, texts = said.line.time, []
    text = text_of([part for part in said.parts if not isinstance(part, Call | Result)])
    if said.role == "user" and text:
        texts.append(_line(time, "event_msg", {"type": "user_message", "message": text, "images": []}))
    for item in _items(said):
        kind = "event_msg" if item["type"] == "agent_reasoning" else "response_item"
        texts.append(_line(time, kind, item))
    if said.role == "assistant" and text:
        texts.append(_line(time, "event_msg", {"type": "agent_message", "message": text}))
    return "".join(texts)


def _items(said: Said) -> Iterator[Item]:
    """Yields the items of a message: one for what is said, and one for each thought, call and result."""
    role = "developer" if said.role == "system" else said.role
    content: list[Item] = []
    for part in said.parts:
        beside = _beside(part)
        if beside is None:
            content += _content(role, part)
            continue
        if content:
            yield {"type": "message", "role": role, "content": content}
            content = []
        yield from beside
    if content:
        yield {"type": "message", "role": role, "content": content}


def _beside(part: Part) -> list[Item] | None:
    """Returns the items of a part that has some of its own, else None."""
    if isinstance(part, Call) and part.hosted is None:
        return [
            {"type": "function_call", "name": part.name, "arguments": as_json(part.arguments), "call_id": part.id or ""}
        ]
    if isinstance(part, Result) and part.hosted is None:
        return [{"type": "function_call_output", "call_id": part.call_id or "", "output": text_of(part.content)}]
    if not isinstance(part, Thinking):
        return None
    if part.sealed and part.by == "openai":
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return [{"type": "reasoning", "summary": summary, "encrypted_content": part.sealed}]
    return [{"type": "agent_reasoning", "text": part.text}] if part.text else []


def _content(role: str, part: Part) -> list[Item]:
    if isinstance(part, Image) and role == "user" and (url := image_data(part) or web_address(part.url)):
        return [{"type": "input_image", "image_url": url}]
    text = words(part)
    return [{"type": "output_text" if role == "assistant" else "input_text", "text": text}] if text else []


def _line(time: str, kind: str, payload: Item) -> str:
    return as_json({"timestamp": time, "type": kind, "payload": payload}) + "\n"
