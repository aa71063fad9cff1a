"""Messages as items of OpenAI's Responses and Conversations APIs.

Items are returned as they were stored, with the members that clients demand. Messages of other formats become items:
one for what is said, and one for each thought, call and result.
"""

import re
from typing import Any

import msgspec

from amplifier.transcripts import reader
from amplifier.transcripts.parts import (
    Audio,
    Call,
    File,
    Image,
    Message,
    Part,
    Reading,
    Refusal,
    Result,
    Text,
    Thinking,
    Unknown,
)

# items besides messages, and how the ids begin that they get here
_KINDS = {
    "additional_tools": "at",
    "apply_patch_call": "apc",
    "apply_patch_call_output": "apco",
    "code_interpreter_call": "ci",
    "compaction": "cmp",
    "computer_call": "cu",
    "computer_call_output": "cuo",
    "configuration_update": "cfg",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "file_search_call": "fs",
    "function_call": "fc",
    "function_call_output": "fco",
    "image_generation_call": "ig",
    "local_shell_call": "lsh",
    "local_shell_call_output": "lsho",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "program": "prg",
    "program_output": "prgo",
    "reasoning": "rs",
    "shell_call": "sh",
    "shell_call_output": "sho",
    "tool_search_call": "ts",
    "tool_search_output": "tso",
    "web_search_call": "ws",
}
_ROLES = ("user", "assistant", "system", "developer", "critic", "discriminator", "tool", "unknown")
_OF_MESSAGES = {"id", "type", "role", "content", "status", "phase"}
# parts of a message's content, and the members that clients demand
_CONTENTS: dict[str, dict[str, Any]] = {
    "computer_screenshot": {},
    "input_file": {},
    "input_image": {"detail": "auto"},
    "input_text": {},
    "output_text": {"annotations": []},
    "reasoning_text": {},
    "refusal": {},
    "summary_text": {},
}
_OWN_ID = re.compile(r"[a-z]{1,8}_seq([1-9][0-9]{0,17})(?:_([1-9][0-9]{0,5}))?\Z")
_LONGEST_ID = 255  # characters of an id that an item brings along

Item = dict[str, Any]


def items_of(seq: int, message: Message) -> list[Item]:
    """Returns the items that a message is for clients, at least one. Never fails."""
    if _is_item(message) or _is_message(message):
        item = _completed(message)
        given = message.get("id")
        if not isinstance(given, str) or not 0 < len(given) <= _LONGEST_ID or _OWN_ID.match(given):
            given = _identifier(item, seq, 0)
        return [{"id": given, **{name: value for name, value in item.items() if name != "id"}}]
    items = _translated(reader.read(message), message)
    return [{"id": _identifier(item, seq, number), **item} for number, item in enumerate(items)]


def place_of(item_id: str) -> tuple[int, int] | None:
    """Returns the number of the message and of the item in it that an id from `items_of` names.

    Returns None for an id that an item brought along.
    """
    match = _OWN_ID.match(item_id)
    return (int(match[1]), int(match[2] or 0)) if match else None


def fault_of(item: Any) -> str | None:
    """Returns why a client's item cannot be stored, or None."""
    if not isinstance(item, dict):
        return "must be an object"
    kind = item.get("type")
    if kind == "item_reference":
        return "references to items are not taken: send the item itself"
    if not isinstance(kind, str) and not isinstance(item.get("role"), str):
        return "needs a type, or a role and content"
    if kind in (None, "message") and "content" not in item:
        return "needs content"
    return None


def message_item(role: str, text: str) -> Item:
    """Returns an item, still without an id, that says a text."""
    return _said(role, [_text(role, text)])


def _is_item(message: Message) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind in _KINDS


def _is_message(message: Message) -> bool:
    """Returns whether it is a message of the API, whose content needs no translation."""
    if message.get("type", "message") != "message" or not message.keys() <= _OF_MESSAGES:
        return False
    content = message.get("content")
    if message.get("role") not in _ROLES:
        return False
    return isinstance(content, str) or (
        isinstance(content, list) and all(isinstance(part, dict) and part.get("type") in _CONTENTS for part in content)
    )


def _completed(message: Message) -> Item:
    """Returns an item with the members that the client's types demand."""
    kind = message.get("type", "message")
    item: Item = {**message, "type": kind}
    if kind == "message":
        content = message["content"]
        if isinstance(content, str):
            item["content"] = [_text(message["role"], content)]
        else:
            item["content"] = [{**_CONTENTS[part["type"]], **part} for part in content]
    if kind == "message" or kind.endswith(("_call", "_output")):
        item["status"] = message.get("status") or "completed"
    if kind == "reasoning":
        item.setdefault("summary", [])
    return item


def _translated(reading: Reading, message: Message) -> list[Item]:
    """Returns the items of a message of another format, still without ids."""
    role = reading.role or "unknown"
    items: list[Item] = []
    content: list[Item] = []
    for part in reading.parts:
        if isinstance(part, Call | Result | Thinking):
            items += [_said(role, content)] if content else []
            content = []
            items.append(_beside(part))
        elif isinstance(part, Unknown) and part.value is message:
            content.append(_text(role, _json(message)))
        else:
            content += _content(role, part)
    return [*items, _said(role, content)] if content or not items else items


def _said(role: str, content: list[Item]) -> Item:
    known = role if role in _ROLES else "tool"  # the role function of earlier APIs
    return {"type": "message", "role": known, "status": "completed", "content": content}


def _beside(part: Call | Result | Thinking) -> Item:
    """Returns a part that is an item of its own."""
    if isinstance(part, Call):
        arguments = _json(part.arguments)
        known = {"call_id": part.id or "", "name": part.name, "arguments": arguments, "status": "completed"}
        return {"type": "function_call", **known}
    if isinstance(part, Result):
        texts = [piece["text"] for inner in part.content for piece in _content("tool", inner) if "text" in piece]
        known = {"call_id": part.call_id or "", "output": "\n".join(texts), "status": "completed"}
        return {"type": "function_call_output", **known}
    item: Item = {"type": "reasoning", "summary": []}
    if part.text:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    if part.sealed and part.by == "openai":
        item["encrypted_content"] = part.sealed
    return item


def _content(role: str, part: Part) -> list[Item]:
    """Returns a part of what is said as parts of an item's content."""
    match part:
        case Text():
            return [_text(role, part.text)]
        case Refusal():
            return [{"type": "refusal", "refusal": part.text}]
        case Image():
            url = part.url or (f"data:{part.media_type or 'image/png'};base64,{part.data}" if part.data else None)
            return [{"type": "input_image", "detail": "auto", "image_url": url, "file_id": part.file_id}]
        case File() if part.text is not None:
            return [_text(role, part.text)]
        case File():
            known = {"filename": part.name, "file_url": part.url, "file_data": part.data, "file_id": part.file_id}
            return [{"type": "input_file", **{name: value for name, value in known.items() if value is not None}}]
        case Audio():
            return [_text(role, part.transcript or "[recording]")]
        case Unknown():
            return [_text(role, part.value if isinstance(part.value, str) else _json(part.value))]
    return []


def _text(role: str, text: str) -> Item:
    if role == "assistant":
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _identifier(item: Item, seq: int, number: int) -> str:
    kind = _KINDS.get(item["type"], "msg")
    return f"{kind}_seq{seq}_{number}" if number else f"{kind}_seq{seq}"
