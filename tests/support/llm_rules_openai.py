"""The rules of OpenAI's chat completions API, from its OpenAPI document and its error messages."""

import json
import re
from collections.abc import Iterator
from typing import Any

Body = dict[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IMAGE = re.compile(r"https?://\S+|data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=_-]+", re.IGNORECASE)
_LONGEST_ID = 40
_KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}


def faults(body: Body) -> Iterator[str]:
    """Yields the reasons to refuse a request."""
    yield from _of_tools(body)
    waiting: list[str] = []
    for index, message in enumerate(body["messages"]):
        place = f"messages[{index}]"
        yield from (f"{place}{fault}" for fault in _of_message(message))
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                yield f"{place}: role 'tool' must be a response to a preceding message with 'tool_calls'"
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            yield f"tool_call_ids did not have response messages: {', '.join(waiting)}"
        waiting = [call["id"] for call in message.get("tool_calls", [])]
        if len(set(waiting)) < len(waiting):
            yield f"{place}.tool_calls: Duplicate value for 'id'"
    if waiting:
        yield f"tool_call_ids did not have response messages: {', '.join(waiting)}"


def _of_tools(body: Body) -> Iterator[str]:
    names = [tool["function"]["name"] for tool in body.get("tools", [])]
    for name in names:
        if not _NAME.fullmatch(name):
            yield "tools[].function.name: string does not match pattern ^[a-zA-Z0-9_-]+$ or is too long"
    if len(set(names)) < len(names):
        yield "tools: names must be unique"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        yield "tool_choice: no such tool"


def _of_message(message: Body) -> Iterator[str]:
    role, content = message.get("role"), message.get("content")
    if role not in _KEYS:
        yield ".role: invalid value"
        return
    if unknown := message.keys() - _KEYS[role]:
        yield f": unknown parameters {sorted(unknown)}"
    if role == "assistant":
        yield from _of_calls(message)
        if content is None and not message.get("tool_calls"):
            yield ".content: expected a string, got null"
    elif content is None:
        yield ".content: expected a string or array, got null"
    if isinstance(content, list):
        if not content:
            yield ".content: array too short"
        for part in content:
            yield from _of_part(part, role)
    elif content is not None and not isinstance(content, str):
        yield ".content: invalid type"


def _of_calls(message: Body) -> Iterator[str]:
    if "tool_calls" in message and not message["tool_calls"]:
        yield ".tool_calls: array too short"
    for call in message.get("tool_calls", []):
        if not isinstance(call.get("id"), str) or not 0 < len(call["id"]) <= _LONGEST_ID:
            yield f".tool_calls[].id: string too long or missing, expected at most {_LONGEST_ID}"
        if call.get("type") != "function" or not _NAME.fullmatch(str(call["function"].get("name"))):
            yield ".tool_calls[].function.name: does not match pattern ^[a-zA-Z0-9_-]+$ or is too long"
        if not isinstance(json.loads(call["function"]["arguments"]), dict):
            yield ".tool_calls[].function.arguments: no object"


def _of_part(part: Body, role: str) -> Iterator[str]:
    kind = part.get("type")
    given = part.get(str(kind))
    if kind == "text":
        if not isinstance(given, str) or not given:
            yield ".content[].text: expected a string"
    elif role != "user":
        yield f".content[].type: {kind} is not allowed for {role}"
    elif kind == "image_url":
        if not _IMAGE.fullmatch(given["url"]):
            yield ".content[].image_url: invalid image"
    elif kind == "input_audio":
        if not given["data"] or given["format"] not in ("wav", "mp3"):
            yield ".content[].input_audio: invalid format"
    elif kind == "file":
        if not ("file_id" in given or (given["filename"] and given["file_data"].startswith("data:application/pdf;"))):
            yield ".content[].file: invalid file"
    else:
        yield f".content[].type: invalid value {kind}"
