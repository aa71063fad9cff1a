"""Messages of ChatGPT's exports as those of OpenAI chat. What was hidden from the user becomes none."""

from collections.abc import Iterator
from typing import Any

import msgspec

_ROLES = frozenset({"system", "user", "assistant", "tool"})
_TO_ALL = (None, "", "all", "user", "assistant")  # recipients that are no tools


class Message(msgspec.Struct):
    """The members of a message that are read."""

    author: Any = None
    content: Any = None
    create_time: Any = None
    recipient: Any = None
    metadata: Any = None


_decoder = msgspec.json.Decoder(Message)


def decoded(text: bytes) -> Message:
    """Returns a message. Raises MsgspecError."""
    return _decoder.decode(text)


def identity(name: str, message: Message) -> bytes:
    """Returns what is the same of a message in each export."""
    return msgspec.json.encode([name, message.author, message.content], order="deterministic")


def message(found: Message, name: str, calls: dict[str, str]) -> dict[str, Any] | None:
    """Returns a message of OpenAI chat, or None. `name` is the id, `calls` has the last call of each tool."""
    author = found.author if isinstance(found.author, dict) else {}
    role, about = author.get("role"), found.metadata if isinstance(found.metadata, dict) else {}
    if not isinstance(role, str) or role not in _ROLES or about.get("is_visually_hidden_from_conversation") is True:
        return None
    content = found.content if isinstance(found.content, dict) else {"content_type": "text", "parts": [found.content]}
    blocks = [*_blocks(content), *_files(about, content)]
    if not blocks:
        return None
    if role == "tool":
        tool = str(author.get("name") or "tool")
        return {"role": "tool", "tool_call_id": calls.get(tool, name), "name": tool, "content": blocks}
    if role == "assistant" and isinstance(found.recipient, str) and found.recipient not in _TO_ALL:
        calls[found.recipient] = name
        function = {"name": found.recipient, "arguments": _arguments(content)}
        return {"role": role, "content": None, "tool_calls": [{"id": name, "type": "function", "function": function}]}
    return {"role": role, "content": blocks}


def _arguments(content: dict[str, Any]) -> str:
    """Returns what a tool was given, as a JSON object."""
    text = "\n".join(block["text"] for block in _blocks(content) if isinstance(block.get("text"), str))
    try:
        if isinstance(msgspec.json.decode(text), dict):
            return text
    except (msgspec.MsgspecError, RecursionError):
        pass
    return msgspec.json.encode({"input": text}).decode()


def _blocks(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields blocks for what a message says."""
    if content.get("content_type") == "thoughts":
        for thought in _list(content.get("thoughts")):
            if isinstance(thought, dict):
                yield {"type": "thinking", "thinking": "\n".join(_texts(thought, ("summary", "content")))}
        return
    if content.get("content_type") == "reasoning_recap":
        yield from ({"type": "thinking", "thinking": text} for text in _texts(content, ("content",)))
        return
    for one in _list(content.get("parts")):
        yield from _part(one)
    names = ("title", "domain", "url", "name", "user_profile", "user_instructions", "model_set_context")
    for text in _texts(content, (*names, "summary", "text", "result")):
        yield {"type": "text", "text": text}


def _part(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, str):
        if part:
            yield {"type": "text", "text": part}
    elif isinstance(part, dict):
        kind, pointer = part.get("content_type"), part.get("asset_pointer")
        if isinstance(pointer, str):
            sort = "image" if kind == "image_asset_pointer" else "recording" if "audio" in str(kind) else "file"
            yield {"type": "text", "text": f"[{sort}: {pointer}]"}
        for text in _texts(part, ("text", "title", "url")):
            yield {"type": "text", "text": text}
        if isinstance(part.get("audio_asset_pointer"), dict):
            yield from _part(part["audio_asset_pointer"])


def _files(about: dict[str, Any], content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the names of files that were attached."""
    for file in _list(about.get("attachments")):
        if isinstance(file, dict) and isinstance(file.get("name"), str) and file["name"]:
            yield {"type": "text", "text": f"[file: {file['name']}]"}


def _texts(values: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    return (value for name in names if isinstance(value := values.get(name), str) and value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
